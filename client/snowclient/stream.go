package snowclient

import (
	"errors"
	"io"
	"net"
	"sync"
)

// A stream is the net.Conn that Dial returns.
type stream struct {
	net.Conn // nil until open; set before Dial returns, never changed after
	s        *session

	// Guarded by mu.
	mu    sync.Mutex
	cause error // why it was ended; nil while it is open
}

// open makes conn the stream's, unless the stream has been ended already.
func (c *stream) open(conn net.Conn) error {
	c.mu.Lock()
	cause := c.cause
	if cause == nil {
		c.Conn = conn
	}
	c.mu.Unlock()
	if cause != nil {
		conn.Close()
	}
	return cause
}

// Read implements net.Conn. io.EOF means that the bridge closed the stream,
// ErrSessionLost that it is out of reach or has forgotten us.
func (c *stream) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	return n, c.explain(err)
}

// Write implements net.Conn.
func (c *stream) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	return n, c.explain(err)
}

// WriteTo implements io.WriterTo: smux hands its buffers to w as they are.
func (c *stream) WriteTo(w io.Writer) (int64, error) {
	to, ok := c.Conn.(io.WriterTo)
	if !ok {
		return io.Copy(w, struct{ io.Reader }{c})
	}
	n, err := to.WriteTo(w)
	return n, c.explain(err) // nil when the bridge has closed the stream
}

// Close ends the stream. The bridge learns of it after everything written.
func (c *stream) Close() error { return c.end(net.ErrClosed) }

// end closes the stream for a reason, which pending and later calls get.
func (c *stream) end(cause error) error {
	c.mu.Lock()
	if c.cause != nil {
		c.mu.Unlock()
		return nil
	}
	c.cause = cause
	conn := c.Conn
	c.mu.Unlock()
	defer c.s.leave(c)
	if conn == nil {
		return nil
	}
	if err := conn.Close(); err != nil && !c.s.over() {
		return err
	}
	return nil
}

// explain replaces the error of a layer below by what it means here.
func (c *stream) explain(err error) error {
	if err == nil {
		return nil
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return err
	}
	c.mu.Lock()
	cause := c.cause
	c.mu.Unlock()
	switch {
	case cause != nil:
		return cause
	case c.s.over():
		return c.s.lost()
	case errors.Is(err, io.EOF):
		return io.EOF
	}
	return err
}
