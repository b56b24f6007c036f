package covert

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"sync"
	"time"
)

// maxInterim bounds the 1xx replies before the real one.
const maxInterim = 8

// An h1Conn is an HTTP/1.1 connection. It carries one request at a time and
// needs no goroutine: reads and writes happen in the request's.
type h1Conn struct {
	// fixed after construction
	transport *Transport
	host      *host
	conn      net.Conn

	// owned by the request that holds the reservation
	limit      io.LimitedReader // under r, bounds the headers of a reply
	r          *bufio.Reader
	mayBeStale bool // the peer may have closed it since it was opened or last used

	mu     sync.Mutex // guards the rest
	busy   bool
	err    error // not nil: ended
	since  time.Time
	expire *time.Timer
}

func newH1Conn(t *Transport, h *host, conn net.Conn) *h1Conn {
	c := &h1Conn{transport: t, host: h, conn: conn, since: wallClock()}
	c.limit = io.LimitedReader{R: conn}
	c.r = bufio.NewReader(&c.limit)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.expire = time.AfterFunc(t.options.IdleTimeout, c.expireIdle)
	return c
}

// wallClock returns the time without its monotonic part, which stands still
// while a machine sleeps: a connection idle over a night is not to be tried.
func wallClock() time.Time { return time.Now().Round(0) }

func (c *h1Conn) openedAhead() { c.mayBeStale = true }

func (c *h1Conn) reserve() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.busy || c.err != nil || wallClock().Sub(c.since) >= c.transport.options.IdleTimeout {
		return false
	}
	c.busy = true
	c.expire.Stop()
	return true
}

func (c *h1Conn) idle() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.busy
}

// release makes the connection free for the next request.
func (c *h1Conn) release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy = false
	c.since = wallClock()
	if c.err == nil {
		c.expire.Reset(c.transport.options.IdleTimeout)
	}
}

// expireIdle ends the connection if it is unused.
func (c *h1Conn) expireIdle() {
	if c.idle() {
		c.close(errIdle)
	}
}

func (c *h1Conn) close(err error) {
	c.mu.Lock()
	ended := c.err != nil
	if !ended {
		c.err = err
		c.expire.Stop()
	}
	c.mu.Unlock()
	if !ended {
		_ = c.conn.Close() // the peer is not owed more
		c.transport.forget(c.host, c)
	}
}

func (c *h1Conn) roundTrip(ctx context.Context, o *outgoing) (*http.Response, error) {
	stop := context.AfterFunc(ctx, func() { c.close(context.Cause(ctx)) })
	again := c.mayBeStale
	c.mayBeStale = true
	c.limit.N = maxHeaderBytes
	writeErr := c.write(o)
	resp, err := c.readReply(o) // a peer may answer and close without reading all
	if err != nil {
		untouched := c.limit.N == maxHeaderBytes
		stop()
		c.close(err)
		if writeErr != nil {
			err = writeErr
		}
		if again && untouched {
			return nil, fmt.Errorf("%w: %w", errStale, err)
		}
		return nil, err
	}
	c.limit.N = math.MaxInt64
	body := &h1Body{ctx: ctx, conn: c, reply: resp, inner: resp.Body, stop: stop}
	if resp.Body == http.NoBody {
		body.finish(true)
	} else {
		resp.Body = body
	}
	if writeErr != nil {
		c.close(writeErr)
	}
	return resp, nil
}

// write sends a request in the pieces in which the browser would.
func (c *h1Conn) write(o *outgoing) error {
	p := &c.transport.hello.profile
	head := o.http1Head(p)
	if !p.bodyApart {
		_, err := c.conn.Write(append(head, o.body...))
		return err
	}
	if _, err := c.conn.Write(head); err != nil || len(o.body) == 0 {
		return err
	}
	_, err := c.conn.Write(o.body)
	return err
}

// readReply reads the head of the reply, past interim ones.
func (c *h1Conn) readReply(o *outgoing) (*http.Response, error) {
	for range maxInterim {
		resp, err := http.ReadResponse(c.r, &http.Request{Method: o.method})
		switch {
		case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
			if c.limit.N <= 0 {
				return nil, fmt.Errorf("reply headers longer than %d bytes", maxHeaderBytes)
			}
			return nil, errors.New("the server closed the connection without a reply")
		case err != nil:
			return nil, err
		case resp.StatusCode == http.StatusSwitchingProtocols:
			return nil, errors.New("the server switched protocols unasked")
		case resp.StatusCode >= 200:
			return resp, nil
		}
	}
	return nil, errors.New("too many interim replies")
}

// http1Head renders the request, but for its body, as the browser p would.
func (o *outgoing) http1Head(p *profile) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\n", o.method, o.target)
	for _, f := range o.fields(p, false) {
		fmt.Fprintf(&b, "%s: %s\r\n", f.name, f.value)
	}
	b.WriteString("\r\n")
	return b.Bytes()
}

// An h1Body is the body of a reply. At its end the connection is free again;
// closed before, the connection ends.
type h1Body struct {
	ctx   context.Context // the request's
	conn  *h1Conn
	reply *http.Response
	inner io.ReadCloser
	stop  func() bool
	once  sync.Once
	cut   bool // the context ended the connection; set within once
}

func (b *h1Body) Read(p []byte) (int, error) {
	n, err := b.inner.Read(p)
	if err == nil {
		return n, nil
	}
	b.finish(errors.Is(err, io.EOF))
	if b.cut {
		err = context.Cause(b.ctx) // even an EOF is then the server's reaction to our end
	}
	return n, err
}

// Close may be called while a Read waits and ends it.
func (b *h1Body) Close() error {
	b.finish(false)
	return nil
}

// finish gives up the connection, for another request if the reply was complete.
func (b *h1Body) finish(complete bool) {
	b.once.Do(func() {
		b.cut = !b.stop()
		if complete && !b.cut && !b.reply.Close && b.conn.r.Buffered() == 0 {
			b.conn.release()
			return
		}
		b.conn.close(errIdle)
	})
}
