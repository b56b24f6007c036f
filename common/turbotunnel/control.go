package turbotunnel

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// A control stream is the one stream of a session that the server opens. On it
// the client asks the broker for more proxies by way of the bridge (doc/wire.md,
// appendix D):
//
//	server ── hello ─▶ client ── hello ─▶ server
//	client ── request, canceled ─▶ server ── taken, then reply or failed ─▶ client
//
// The hello is controlHello; a client that knows nothing of control streams never
// says it. Then both send frames: kind (1), id (4), length of the body (4), body;
// numbers are big endian. A request has an id of its own in this session, and what
// it leads to has the same.

// controlHello names the protocol and its version, 1. It is fixed.
const controlHello = "flurryr\x01"

// A ControlKind says what a frame means.
type ControlKind byte

// Kinds of frames, and who sends them.
const (
	ControlRequest  ControlKind = 1 // client: to the broker, sealed
	ControlCanceled ControlKind = 2 // client: the reply is not wanted any more; no body
	ControlTaken    ControlKind = 3 // server: the request has arrived and is on its way; no body
	ControlReply    ControlKind = 4 // server: the broker's, sealed
	ControlFailed   ControlKind = 5 // server: there will be no reply; no body
)

const (
	// MaxControlBody is the longest request or reply (spec section 2.3).
	MaxControlBody = 100_000

	// controlHeader is kind, id and length.
	controlHeader = 1 + 4 + 4

	// frameTimeout bounds the rest of a frame after its first byte, and the
	// sending of one. A session may be without a path for that long (spec
	// section 7.6) and goes on after it.
	frameTimeout = time.Minute
)

// Errors of a control stream. After any the stream is of no more use.
var (
	ErrControlHello = errors.New("not a control stream")
	ErrControlFrame = errors.New("malformed control frame")
)

// A ControlFrame is one message.
type ControlFrame struct {
	Kind ControlKind
	ID   uint32
	Body []byte // of requests and replies only
}

// checkControl says whether there are frames of this kind with such a body.
func checkControl(kind ControlKind, size uint64) error {
	switch kind {
	case ControlRequest, ControlReply:
		if size > MaxControlBody {
			return fmt.Errorf("%w: a body of %d bytes", ErrControlFrame, size)
		}
	case ControlCanceled, ControlTaken, ControlFailed:
		if size != 0 {
			return fmt.Errorf("%w: kind %d with a body", ErrControlFrame, kind)
		}
	default:
		return fmt.Errorf("%w: kind %d", ErrControlFrame, kind)
	}
	return nil
}

// A Control is one end of a control stream. Send and Close may be called from
// any goroutine, Next from one.
type Control struct {
	conn net.Conn
	mu   sync.Mutex // held while a frame is sent
}

// OfferControl is the server's beginning: it says hello on conn, a stream that it
// has just opened, and waits until the client has said it too, for at most
// timeout. It owns conn and closes it when it returns an error.
func OfferControl(conn net.Conn, timeout time.Duration) (*Control, error) {
	return newControl(conn, timeout, writeHello, readHello)
}

// AcceptControl is the client's beginning, on a stream that the server opened.
func AcceptControl(conn net.Conn, timeout time.Duration) (*Control, error) {
	return newControl(conn, timeout, readHello, writeHello)
}

func newControl(conn net.Conn, timeout time.Duration, steps ...func(net.Conn) error) (*Control, error) {
	err := conn.SetDeadline(time.Now().Add(timeout))
	for _, step := range steps {
		if err == nil {
			err = step(conn)
		}
	}
	if err == nil {
		err = conn.SetDeadline(time.Time{})
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("begin control stream: %w", err)
	}
	return &Control{conn: conn}, nil
}

func writeHello(conn net.Conn) error {
	_, err := io.WriteString(conn, controlHello)
	return err
}

func readHello(conn net.Conn) error {
	got := make([]byte, len(controlHello))
	if _, err := io.ReadFull(conn, got); err != nil {
		return err
	}
	if string(got) != controlHello {
		return ErrControlHello
	}
	return nil
}

// Send sends f. It waits while the other end does not read, for a while: then
// it gives up, and the stream is closed.
func (c *Control) Send(f ControlFrame) error {
	if err := checkControl(f.Kind, uint64(len(f.Body))); err != nil {
		return err
	}
	b := make([]byte, controlHeader, controlHeader+len(f.Body))
	b[0] = byte(f.Kind)
	binary.BigEndian.PutUint32(b[1:], f.ID)
	binary.BigEndian.PutUint32(b[5:], uint32(len(f.Body)))
	b = append(b, f.Body...)
	c.mu.Lock()
	defer c.mu.Unlock()
	err := c.conn.SetWriteDeadline(time.Now().Add(frameTimeout))
	if err == nil {
		_, err = c.conn.Write(b)
	}
	if err != nil {
		c.conn.Close() // half a frame may be out
		return fmt.Errorf("send control frame: %w", err)
	}
	return nil
}

// Next waits for a frame, without limit for its first byte. Memory is taken as
// the body arrives, whatever its length claims. io.EOF is a clean end.
func (c *Control) Next() (ControlFrame, error) {
	var header [controlHeader]byte
	if err := c.conn.SetReadDeadline(time.Time{}); err != nil {
		return ControlFrame{}, fmt.Errorf("read control frame: %w", err)
	}
	n, err := c.conn.Read(header[:])
	if err == io.EOF {
		return ControlFrame{}, io.EOF
	}
	var f ControlFrame
	if err == nil {
		f, err = c.rest(header[:], n)
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return ControlFrame{}, fmt.Errorf("read control frame: %w", err)
	}
	return f, nil
}

// rest reads a frame of which the first n bytes of the header are here.
func (c *Control) rest(header []byte, n int) (ControlFrame, error) {
	if err := c.conn.SetReadDeadline(time.Now().Add(frameTimeout)); err != nil {
		return ControlFrame{}, err
	}
	if _, err := io.ReadFull(c.conn, header[n:]); err != nil {
		return ControlFrame{}, err
	}
	f := ControlFrame{Kind: ControlKind(header[0]), ID: binary.BigEndian.Uint32(header[1:])}
	size := binary.BigEndian.Uint32(header[5:])
	if err := checkControl(f.Kind, uint64(size)); err != nil || size == 0 {
		return f, err
	}
	var body bytes.Buffer
	if _, err := io.CopyN(&body, c.conn, int64(size)); err != nil {
		return ControlFrame{}, err
	}
	f.Body = body.Bytes()
	return f, nil
}

// Close ends the stream. It may be called twice.
func (c *Control) Close() error { return c.conn.Close() }
