package ws

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"flurry/common/carrier"

	"github.com/coder/websocket"
)

const (
	// maxMessage bounds one message that Send accepts. It is our own choice:
	// far above what a batch of packets needs, and small enough for a peer that
	// reads whole messages into memory.
	maxMessage = 65535

	// closeLimit bounds the closing handshake: a best effort within a second,
	// then the TCP connection goes (spec section 8.1).
	closeLimit = time.Second
)

// Conn is one WebSocket as a carrier.Conn.
type Conn struct {
	ws  *websocket.Conn
	raw *wire // the connection below; its deadline bounds the close
	out *sendQueue

	cur io.Reader // the message being read; used by Recv only

	endOnce  sync.Once
	done     chan struct{}
	err      error         // set before done is closed
	closed   atomic.Bool   // Close has begun
	finished chan struct{} // closed when Close has ended
}

func newConn(c *websocket.Conn, raw *wire) *Conn {
	c.SetReadLimit(-1) // messages are read piece by piece into the caller's buffer
	return &Conn{ws: c, raw: raw, out: newSendQueue(raw.Conn), done: make(chan struct{}), finished: make(chan struct{})}
}

// Send implements carrier.Conn. A Send cut short by ctx ends the Conn, since
// half a message may have left.
func (c *Conn) Send(ctx context.Context, msg []byte) error {
	if len(msg) > maxMessage {
		return carrier.ErrTooLong
	}
	if err := c.ws.Write(ctx, websocket.MessageBinary, msg); err != nil {
		return c.end(err)
	}
	return nil
}

// Recv implements carrier.Conn. Empty messages are passed over.
func (c *Conn) Recv(buf []byte) (int, error) {
	for {
		if c.cur == nil {
			_, r, err := c.ws.Reader(context.Background())
			if err != nil {
				return 0, c.end(err)
			}
			c.cur = r
		}
		n, err := fill(c.cur, buf)
		if err == io.EOF {
			c.cur = nil
		} else if err != nil {
			return n, c.end(err)
		}
		if n > 0 {
			return n, nil
		}
	}
}

// fill reads until buf is full or r has ended, with io.EOF at r's end.
func fill(r io.Reader, buf []byte) (n int, err error) {
	for n < len(buf) && err == nil {
		var k int
		k, err = r.Read(buf[n:])
		n += k
	}
	return n, err
}

// Queued implements carrier.Conn: what waits for the kernel, and what the
// kernel holds that the other end has not acknowledged, where it tells.
func (c *Conn) Queued() int { return c.raw.waiting() + c.out.bytes() }

// Traits implements carrier.Conn.
func (c *Conn) Traits() carrier.Traits {
	return carrier.Traits{Kind: "ws", Stream: true, MaxMessage: maxMessage}
}

// Done implements carrier.Conn. The end of an idle Conn is noticed by Recv.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Err implements carrier.Conn.
func (c *Conn) Err() error {
	select {
	case <-c.done:
		return c.err
	default:
		return nil
	}
}

// Close implements carrier.Conn: a Close frame without status, at most a
// second for the answer, then the TCP connection is closed. A second Close waits
// for the first, on a channel: waiting for a sync.Once would stop the clock of a
// testing/synctest bubble.
func (c *Conn) Close() error {
	if c.closed.CompareAndSwap(false, true) {
		c.end(carrier.ErrClosed)
		c.raw.SetDeadline(time.Now().Add(closeLimit))
		c.ws.Close(websocket.StatusNoStatusRcvd, "")
		c.raw.finish()
		close(c.finished)
	}
	<-c.finished
	return nil
}

// end notes why the Conn is over; the first reason stays. It returns the
// reason in the words of package carrier.
func (c *Conn) end(err error) error {
	err = c.reason(err)
	c.endOnce.Do(func() {
		c.err = err
		close(c.done)
	})
	return err
}

func (c *Conn) reason(err error) error {
	if c.closed.Load() {
		return carrier.ErrClosed
	}
	var ce websocket.CloseError
	if errors.As(err, &ce) {
		switch ce.Code {
		case websocket.StatusNormalClosure, websocket.StatusNoStatusRcvd, websocket.StatusGoingAway:
			return io.EOF // 1000 and 1005 count as a clean end (spec section 8.1), and a browser tab's 1001
		}
	}
	return err
}
