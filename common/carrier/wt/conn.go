package wt

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"flurry/common/carrier"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/webtransport-go"
)

const (
	// closeLimit is how long Close waits for the other end to say that it has seen
	// the end. A WebSocket has as long (spec section 8.1).
	closeLimit = time.Second

	// lingerLimit is how long after that the other end may still read what has
	// arrived there. TCP keeps that without us; QUIC drops it with the connection.
	lingerLimit = 5 * time.Second
)

// noError is HTTP/3's code for a connection that nobody needs any more.
const noError = quic.ApplicationErrorCode(http3.ErrCodeNoError)

// Conn is the one stream of a WebTransport session as a carrier.Conn.
type Conn struct {
	session *webtransport.Session
	stream  *webtransport.Stream
	release func() // ends the QUIC connection, and whatever else there is for it alone

	sending sync.Mutex // one Send, or the end of the sending half
	out     []byte     // of Send and SendBatch
	leaving atomic.Int64

	receiving sync.Mutex // one Recv, or Close reading to the end
	in        *frames

	endOnce  sync.Once
	done     chan struct{}
	err      error         // set before done is closed
	closed   atomic.Bool   // Close has begun
	finished chan struct{} // closed when Close has ended
}

var (
	_ carrier.Conn        = (*Conn)(nil)
	_ carrier.BatchSender = (*Conn)(nil)
)

func newConn(session *webtransport.Session, stream *webtransport.Stream, release func()) *Conn {
	return &Conn{session: session, stream: stream, release: release, in: newFrames(stream),
		done: make(chan struct{}), finished: make(chan struct{})}
}

// Send implements carrier.Conn. It blocks until all but the last packet of msg
// has left. A Send cut short by ctx ends the Conn, since half a message may have
// left.
func (c *Conn) Send(ctx context.Context, msg []byte) error {
	return c.SendBatch(ctx, [][]byte{msg})
}

// SendBatch implements carrier.BatchSender: the messages share packets.
func (c *Conn) SendBatch(ctx context.Context, msgs [][]byte) error {
	for _, m := range msgs {
		if len(m) > maxMessage {
			return carrier.ErrTooLong
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	c.sending.Lock()
	defer c.sending.Unlock()
	if c.closed.Load() {
		return carrier.ErrClosed
	}
	c.out = c.out[:0]
	for _, m := range msgs {
		if len(m) > 0 { // an empty one has no frame, and in a byte stream no meaning
			c.out = appendFrame(c.out, m)
		}
	}
	c.leaving.Store(int64(len(c.out)))
	defer c.leaving.Store(0)
	stop := context.AfterFunc(ctx, func() { c.stream.SetWriteDeadline(past()) })
	_, err := c.stream.Write(c.out)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return c.end(err)
	}
	return nil
}

// Recv implements carrier.Conn.
func (c *Conn) Recv(buf []byte) (int, error) {
	c.receiving.Lock()
	defer c.receiving.Unlock()
	if c.closed.Load() {
		return 0, carrier.ErrClosed
	}
	n, err := c.in.read(buf)
	if err != nil {
		return n, c.end(err)
	}
	return n, nil
}

// Queued implements carrier.Conn: the message that is being sent. What QUIC keeps
// until it is acknowledged, it does not tell.
func (c *Conn) Queued() int { return int(c.leaving.Load()) }

// Traits implements carrier.Conn. Messages come whole where the receiver has
// room, as they do over a WebSocket.
func (c *Conn) Traits() carrier.Traits {
	return carrier.Traits{Kind: "wt", Stream: true, MaxMessage: maxMessage}
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

// Close implements carrier.Conn: it ends its half of the stream and gives the
// other end at most a second to do the same. Session and connection end then, or a
// little later if the other end has said nothing. One that has failed is not waited
// for. A second Close waits for the first.
func (c *Conn) Close() error {
	if c.closed.CompareAndSwap(false, true) {
		c.end(carrier.ErrClosed)
		c.finish()
		close(c.finished)
	}
	<-c.finished
	return nil
}

// finish frees Send and Recv, and does what Close says.
func (c *Conn) finish() {
	c.stream.SetDeadline(past())
	c.sending.Lock()
	c.stream.Close()
	c.sending.Unlock()
	end := sync.OnceFunc(func() {
		c.session.CloseWithError(0, "")
		c.release()
	})
	if c.err != carrier.ErrClosed || c.seen() {
		end()
		return
	}
	linger := time.AfterFunc(lingerLimit, end)
	context.AfterFunc(c.session.Context(), func() {
		linger.Stop()
		end()
	})
}

// seen reads to the other end's end, and reports whether that came in time.
func (c *Conn) seen() bool {
	c.receiving.Lock()
	defer c.receiving.Unlock()
	c.stream.SetReadDeadline(time.Now().Add(closeLimit))
	_, err := io.Copy(io.Discard, c.stream)
	return !errors.Is(err, os.ErrDeadlineExceeded)
}

// past is a deadline that ends what is under way.
func past() time.Time { return time.Unix(1, 0) }

// end notes why the Conn is over; the first reason stays. It returns the reason
// in the words of package carrier.
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
	if session, ok := errors.AsType[*webtransport.SessionError](err); ok && session.Remote && session.ErrorCode == 0 {
		return io.EOF // what close() of a browser's WebTransport says
	}
	if app, ok := errors.AsType[*quic.ApplicationError](err); ok && app.Remote && (app.ErrorCode == 0 || app.ErrorCode == noError) {
		return io.EOF // what a browser's tab says when it goes
	}
	return err
}
