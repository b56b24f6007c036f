package turbotunnel

import (
	"context"
	"errors"
	"fmt"
	"io"

	"flurry/common/carrier"
)

// magic opens every carrier from the client's side (spec section 7.1).
var magic = [8]byte{0x12, 0x93, 0x60, 0x5d, 0x27, 0x81, 0x75, 0xf5}

// preludeLen is the magic and the ClientID.
const preludeLen = len(magic) + len(ClientID{})

// ErrBadMagic says that the other end of a carrier does not speak this
// protocol.
var ErrBadMagic = errors.New("turbotunnel: the carrier does not begin with the expected magic")

// errNotStream refuses carriers that this framing would break on.
var errNotStream = errors.New("turbotunnel: only carriers that are byte streams can be framed")

// AppendPrelude appends the 16 bytes with which a client opens a carrier.
func AppendPrelude(dst []byte, id ClientID) []byte {
	return append(append(dst, magic[:]...), id[:]...)
}

// Attach is the client's half: it sends the prelude for id over c and returns
// c as a pipe of packets, which owns c. On an error c is left open.
func Attach(ctx context.Context, c carrier.Conn, id ClientID) (carrier.Conn, error) {
	if !c.Traits().Stream {
		return nil, errNotStream
	}
	if err := c.Send(ctx, AppendPrelude(nil, id)); err != nil {
		return nil, fmt.Errorf("send the prelude: %w", err)
	}
	return newPackets(c), nil
}

// Accept is the server's half: it waits for the prelude and returns the
// ClientID and c as a pipe of packets, which owns c. It returns ErrBadMagic for
// a stranger and io.EOF for a carrier that ended unused; when ctx ends first,
// Accept closes c, because a wait for a message can only be ended so. After
// any other error c is left open.
func Accept(ctx context.Context, c carrier.Conn) (ClientID, carrier.Conn, error) {
	var id ClientID
	if !c.Traits().Stream {
		return id, nil, errNotStream
	}
	stop := context.AfterFunc(ctx, func() { c.Close() })
	p := newPackets(c)
	var prelude [preludeLen]byte
	_, err := io.ReadFull(p.stream, prelude[:])
	if !stop() {
		return id, nil, fmt.Errorf("wait for the prelude: %w", ctx.Err())
	}
	if err == io.EOF {
		return id, nil, io.EOF
	}
	if err != nil {
		return id, nil, fmt.Errorf("read the prelude: %w", err)
	}
	if [8]byte(prelude[:8]) != magic {
		return id, nil, ErrBadMagic
	}
	copy(id[:], prelude[8:])
	return id, p, nil
}
