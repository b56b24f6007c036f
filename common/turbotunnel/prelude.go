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

// AppendPrelude appends the 16 bytes with which a client opens a carrier.
func AppendPrelude(dst []byte, id ClientID) []byte {
	return append(append(dst, magic[:]...), id[:]...)
}

// Attach is the client's half: it sends the prelude for id over c and returns
// c as a pipe of packets, which owns c. On an error c is left open. Where c loses
// messages each of them is framed for itself and names id again.
func Attach(ctx context.Context, c carrier.Conn, id ClientID) (carrier.Conn, error) {
	if !c.Traits().Stream {
		d := newDatagrams(c, id, true, make([]byte, maxDatagram))
		// So that the server hears of the path before there is anything to say.
		if err := c.Send(ctx, d.head); err != nil {
			return nil, fmt.Errorf("send the prelude: %w", err)
		}
		return d, nil
	}
	if err := c.Send(ctx, AppendPrelude(nil, id)); err != nil {
		return nil, fmt.Errorf("send the prelude: %w", err)
	}
	return newPackets(c, nil), nil
}

// Accept is the server's half: it waits for the prelude and returns the
// ClientID and c as a pipe of packets, which owns c. The first message shows
// whether the client frames by message, and so does the server then: c must hand
// on whole messages of up to 2 KiB where the volunteer does, as a WebSocket does.
//
// Accept returns ErrBadMagic for a stranger and io.EOF for a carrier that ended
// unused; when ctx ends first, Accept closes c, because a wait for a message can
// only be ended so. After any other error c is left open.
func Accept(ctx context.Context, c carrier.Conn) (ClientID, carrier.Conn, error) {
	stop := context.AfterFunc(ctx, func() { c.Close() })
	id, p, err := accept(c)
	if !stop() {
		return ClientID{}, nil, fmt.Errorf("wait for the prelude: %w", ctx.Err())
	}
	switch {
	case err == nil:
		return id, p, nil
	case err == io.EOF || err == ErrBadMagic:
		return ClientID{}, nil, err
	}
	return ClientID{}, nil, fmt.Errorf("read the prelude: %w", err)
}

func accept(c carrier.Conn) (id ClientID, p carrier.Conn, err error) {
	first := make([]byte, maxDatagram)
	n, err := c.Recv(first)
	if err != nil {
		return id, nil, err
	}
	if id, ok := readHead(first[:n]); ok {
		d := newDatagrams(c, id, false, first)
		d.take(first[:n])
		return id, d, nil
	}
	if !c.Traits().Stream {
		return id, nil, ErrBadMagic
	}
	s := newPackets(c, first[:n])
	var prelude [preludeLen]byte
	if _, err := io.ReadFull(s.stream, prelude[:]); err != nil {
		return id, nil, err
	}
	if [8]byte(prelude[:8]) != magic {
		return id, nil, ErrBadMagic
	}
	copy(id[:], prelude[8:])
	return id, s, nil
}
