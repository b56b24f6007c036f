package dtls13

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// A Conn is a DTLS connection over a transport of datagrams. It is a net.Conn
// that keeps message bounds: each Write is one record in one datagram, each Read
// returns one record. Read, Write and the rest may be called from any goroutine
// at the same time.
//
// After the handshake nothing reads the transport but Read, which also answers
// what the peer's DTLS asks for (lost acknowledgements, key updates). So the
// owner must keep calling Read.
type Conn struct {
	transport net.Conn
	writes    sync.Pool // of *writing

	// Readers take turns: readMu is held while one waits for the transport, and
	// is taken before mu. It guards the machine's inbound, too.
	readMu sync.Mutex
	buf    []byte
	rest   []byte   // of buf: records that have not been looked at
	queue  [][]byte // application data that came with the handshake

	// mu guards what follows. It is never held across I/O; VerifyPeer is called
	// with it, at a time when nobody has the Conn.
	mu     sync.Mutex
	m      *machine // but for its inbound
	closed bool
	timer  *time.Timer
	armed  time.Time      // what timer is set to
	timers sync.WaitGroup // of timers set or running
}

const (
	// bufferSize holds the largest record.
	bufferSize = plainHeaderSize + maxBody

	// lastWords bounds how long close_notify may wait for a transport that is
	// stuck.
	lastWords = 250 * time.Millisecond

	// rekeyAfter is how many records are sent under one key before it is
	// changed. RFC 8446 section 5.5 allows 2^24.5 for AES-GCM.
	rekeyAfter = 1 << 24
)

var (
	errRecordSize = errors.New("dtls13: payload is larger than a record")
	errHandshake  = errors.New("dtls13: handshake")
)

// past is a deadline that ends a Read.
func past() time.Time { return time.Unix(0, 1) }

// Client makes the handshake as DTLS client (setup:active) over transport, whose
// every Read and Write is one datagram. It returns once application data may be
// sent; for a 1.3 client that is when its last flight has left, so that a server
// that refuses its certificate shows only in Read, by a PeerError. When ctx ends
// before, or the handshake fails, it returns an error and has not closed
// transport; whoever called does. A Conn that was returned closes transport in
// Close.
func Client(ctx context.Context, transport net.Conn, config Config) (*Conn, error) {
	return connect(ctx, transport, config, true)
}

// Server is Client for the other end (setup:passive). It returns once the
// client's last flight has arrived.
func Server(ctx context.Context, transport net.Conn, config Config) (*Conn, error) {
	return connect(ctx, transport, config, false)
}

func connect(ctx context.Context, transport net.Conn, config Config, client bool) (*Conn, error) {
	config, err := config.filled()
	if err != nil {
		return nil, err
	}
	c := &Conn{transport: transport, buf: make([]byte, bufferSize), m: newMachine(config, client, time.Now())}
	c.writes.New = func() any { return new(writing) }
	c.m.in.clock = time.Now
	if err := c.handshake(ctx); err != nil {
		c.stop()
		return nil, fmt.Errorf("%w: %w", errHandshake, err)
	}
	return c, nil
}

// handshake reads until the handshake is complete.
func (c *Conn) handshake(ctx context.Context) error {
	interrupted := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(interrupted)
		c.transport.SetReadDeadline(past())
	})
	defer func() {
		if !stop() {
			<-interrupted
		}
		c.transport.SetReadDeadline(time.Time{})
	}()
	c.readMu.Lock()
	defer c.readMu.Unlock()
	c.drive(func(m *machine) { m.start(time.Now()) })
	for {
		if done, err := c.status(); done || err != nil {
			return err
		}
		n, err := c.receive()
		if err != nil {
			if _, failed := c.status(); failed != nil {
				return failed
			}
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return fmt.Errorf("read: %w", err)
		}
		c.drive(func(m *machine) { m.input(time.Now(), c.buf[:n]) })
	}
}

// receive reads a datagram into buf. One that is larger than any record is lost.
func (c *Conn) receive() (int, error) {
	for {
		n, err := c.transport.Read(c.buf)
		if !errors.Is(err, io.ErrShortBuffer) {
			return n, err
		}
	}
}

// status says whether the handshake is complete, and why it never will be.
func (c *Conn) status() (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m.err != nil {
		return false, c.m.err
	}
	if c.m.closed {
		return false, io.EOF
	}
	c.queue = append(c.queue, c.m.data...)
	c.m.data = nil
	return c.m.done, nil
}

// drive has the machine do something, sends what comes of it, and sets the timer.
func (c *Conn) drive(f func(*machine)) {
	c.mu.Lock()
	f(c.m)
	out := c.m.out
	c.m.out = nil
	c.armLocked()
	failed := c.m.err != nil
	c.mu.Unlock()
	for _, datagram := range out {
		c.transport.Write(datagram) // What is lost is sent again.
	}
	if failed {
		c.transport.SetReadDeadline(past()) // Whoever reads is to look at the error.
	}
}

// armLocked sets the timer to the machine's deadline.
func (c *Conn) armLocked() {
	d := c.m.deadline()
	if c.closed {
		d = time.Time{}
	}
	if d.Equal(c.armed) {
		return
	}
	if c.timer != nil && c.timer.Stop() {
		c.timers.Done()
	}
	c.timer, c.armed = nil, d
	if !d.IsZero() {
		c.timers.Add(1)
		c.timer = time.AfterFunc(time.Until(d), c.onTimer)
	}
}

func (c *Conn) onTimer() {
	defer c.timers.Done()
	c.drive(func(m *machine) {
		c.armed = time.Time{}
		if !c.closed {
			m.timeout(time.Now())
		}
	})
}

// stop ends the timer.
func (c *Conn) stop() {
	c.mu.Lock()
	c.closed = true
	c.armLocked()
	c.mu.Unlock()
	c.timers.Wait()
}

// Close sends close_notify, once, and closes the transport.
func (c *Conn) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil
	}
	c.closed = true
	c.m.close()
	c.mu.Unlock()
	c.transport.SetWriteDeadline(time.Now().Add(lastWords))
	c.drive(func(*machine) {})
	err := c.transport.Close()
	c.timers.Wait()
	return err
}

// State is what the handshake has agreed on.
func (c *Conn) State() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.m.state
}

// Export derives keying material (RFC 8446 section 7.5, in 1.2 RFC 5705): for
// SRTP the label is "EXTRACTOR-dtls_srtp", the context nil (RFC 5764 section 4.2).
func (c *Conn) Export(label string, context []byte, length int) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.m.export(label, context, length)
}

// UpdateKeys changes the keys that we send with (RFC 9147 section 8), and asks
// the peer to change its own if request. In 1.2 it does nothing. Conn does it by
// itself before a key has been used too often.
func (c *Conn) UpdateKeys(request bool) {
	c.drive(func(m *machine) {
		m.now = time.Now()
		m.requestUpdate(request)
	})
}

// LocalAddr implements net.Conn.
func (c *Conn) LocalAddr() net.Addr { return c.transport.LocalAddr() }

// RemoteAddr implements net.Conn.
func (c *Conn) RemoteAddr() net.Addr { return c.transport.RemoteAddr() }

// SetDeadline implements net.Conn.
func (c *Conn) SetDeadline(t time.Time) error { return c.transport.SetDeadline(t) }

// SetReadDeadline implements net.Conn, by the transport's.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.transport.SetReadDeadline(t) }

// SetWriteDeadline implements net.Conn, by the transport's.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.transport.SetWriteDeadline(t) }
