package simnet

import (
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"flurry/common/simnet/line"
)

const (
	maxSegment = 1448 // with time stamps on Ethernet

	// leastSendBuffer is what Write may leave unacknowledged however small the
	// congestion window; above it the buffer is twice the window, as Linux's
	// is when it sizes itself.
	leastSendBuffer = 64 << 10

	// receiveBuffer is the largest that Linux gives a socket by itself
	// (net.ipv4.tcp_rmem).
	receiveBuffer = 6 << 20

	firstWindow = 10 * maxSegment // RFC 6928
	leastWindow = 2 * maxSegment

	leastTimeout = 200 * time.Millisecond // of retransmission: Linux's
	mostTimeout  = 10 * time.Second       // Linux goes on to 2 min; tests end before

	// giveUpAfter is how often one segment is sent before the connection is
	// given up: some two minutes. Linux takes 15 min.
	giveUpAfter = 18
)

// tcpConn is one end of a TCP connection.
//
// It knows from the lines which packets were lost and acts on it when a real
// sender would have noticed: after a round trip, or when the same segment is
// lost again after a time-out that doubles.
type tcpConn struct {
	local, remote netip.AddrPort
	lines         []*line.Line // to the other end
	peer          *tcpConn     // set before the connection is used

	mu      sync.Mutex
	changed sync.Cond // on mu: anything that Read or Write waits for
	closed  bool      // by Close
	err     error     // the connection was reset or timed out
	read    deadline
	write   deadline
	tcpSender
	tcpReceiver
}

type segment struct {
	seq   uint64
	data  []byte
	fin   bool
	sent  time.Time
	tries int
}

// size is what the segment takes on a line.
func (s *segment) size() int { return len(s.data) + tcpHeaders }

// tcpReceiver is the state for receiving, under the conn's mu.
type tcpReceiver struct {
	next    uint64 // segment to be delivered
	early   map[uint64]*segment
	inbox   [][]byte
	held    int // bytes in early and inbox
	eof     bool
	ackID   uint64 // of the last acknowledgement
	offered int    // room that it told
}

// acknowledgement is one in the wire's sense, and the room for more.
type acknowledgement struct {
	id        uint64 // later ones have larger numbers
	below     uint64 // everything before it has arrived
	seq       uint64 // and this one
	room      int
	tries     int
	windowing bool // seq means nothing
}

func newTCP(local, remote netip.AddrPort, lines []*line.Line) *tcpConn {
	c := &tcpConn{local: local, remote: remote, lines: lines}
	c.changed.L = &c.mu
	c.early = make(map[uint64]*segment)
	c.offered = receiveBuffer
	c.flying = make(map[uint64]*segment)
	c.window, c.threshold, c.room = firstWindow, 1<<40, receiveBuffer
	return c
}

func (c *tcpConn) opError(op string, err error) error {
	return &net.OpError{Op: op, Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}

// Read implements net.Conn.
func (c *tcpConn) Read(b []byte) (int, error) {
	c.mu.Lock()
	for len(c.inbox) == 0 {
		var err error
		switch {
		case c.closed:
			err = c.opError("read", net.ErrClosed)
		case c.err != nil:
			err = c.opError("read", c.err)
		case c.eof:
			err = io.EOF
		case c.read.passed():
			err = c.opError("read", os.ErrDeadlineExceeded)
		}
		if err != nil || len(b) == 0 {
			c.mu.Unlock()
			return 0, err
		}
		c.changed.Wait()
	}
	n := 0
	for len(c.inbox) > 0 && n < len(b) {
		k := copy(b[n:], c.inbox[0])
		n += k
		if c.inbox[0] = c.inbox[0][k:]; len(c.inbox[0]) == 0 {
			c.inbox[0] = nil
			c.inbox = c.inbox[1:]
		}
	}
	c.held -= n
	tell := c.offered < receiveBuffer/2 && receiveBuffer-c.held >= receiveBuffer/2
	c.mu.Unlock()
	if tell {
		c.acknowledge(acknowledgement{windowing: true})
	}
	return n, nil
}

// receive takes a segment from the line.
func (c *tcpConn) receive(s *segment) {
	c.mu.Lock()
	if c.closed && len(s.data) > 0 {
		c.mu.Unlock()
		c.reset()
		return
	}
	c.early[s.seq] = s
	c.held += len(s.data)
	for s := c.early[c.next]; s != nil; s = c.early[c.next] {
		delete(c.early, c.next)
		c.next++
		if len(s.data) > 0 {
			c.inbox = append(c.inbox, s.data)
		}
		c.eof = c.eof || s.fin
	}
	c.changed.Broadcast()
	c.mu.Unlock()
	c.acknowledge(acknowledgement{seq: s.seq})
}

// acknowledge sends a; lost, again.
func (c *tcpConn) acknowledge(a acknowledgement) {
	c.mu.Lock()
	c.ackID++
	c.offered = max(receiveBuffer-c.held, 0)
	a.id, a.below, a.room = c.ackID, c.next, c.offered
	c.mu.Unlock()
	p := &parcel{lines: c.lines, size: tcpHeaders}
	p.arrived = func() { c.peer.acknowledged(a) }
	p.lost = func() {
		if a.tries++; a.tries < giveUpAfter {
			time.AfterFunc(timeout(a.tries), func() { c.acknowledge(a) })
		}
	}
	p.send()
}

// timeout is the wait before the n-th repetition, from 1.
func timeout(n int) time.Duration { return min(leastTimeout<<(n-1), mostTimeout) }

// reset tells the other end that nobody listens here.
func (c *tcpConn) reset() {
	p := &parcel{lines: c.lines, size: tcpHeaders}
	p.arrived = func() { c.peer.fail(syscall.ECONNRESET) }
	p.send()
}

// fail ends the connection.
func (c *tcpConn) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = err
	}
	c.dropLocked()
	c.changed.Broadcast()
}

// Close implements net.Conn. What was written still leaves.
func (c *tcpConn) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return c.opError("close", net.ErrClosed)
	}
	c.closed = true
	unread := len(c.inbox) > 0
	c.inbox, c.held = nil, 0
	c.read.stop()
	c.write.stop()
	c.finishLocked()
	c.changed.Broadcast()
	c.mu.Unlock()
	c.pump()
	if unread {
		c.reset() // as kernels do when data is thrown away
	}
	return nil
}

// CloseWrite ends the stream from this end and leaves the other as it is.
func (c *tcpConn) CloseWrite() error {
	c.mu.Lock()
	c.finishLocked()
	c.mu.Unlock()
	c.pump()
	return nil
}

// LocalAddr implements net.Conn.
func (c *tcpConn) LocalAddr() net.Addr { return net.TCPAddrFromAddrPort(c.local) }

// RemoteAddr implements net.Conn.
func (c *tcpConn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.remote) }

// SetDeadline implements net.Conn.
func (c *tcpConn) SetDeadline(t time.Time) error {
	return c.setDeadlines(t, &c.read, &c.write)
}

// SetReadDeadline implements net.Conn.
func (c *tcpConn) SetReadDeadline(t time.Time) error { return c.setDeadlines(t, &c.read) }

// SetWriteDeadline implements net.Conn.
func (c *tcpConn) SetWriteDeadline(t time.Time) error { return c.setDeadlines(t, &c.write) }

func (c *tcpConn) setDeadlines(t time.Time, which ...*deadline) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return c.opError("set", net.ErrClosed)
	}
	for _, d := range which {
		d.set(t, &c.changed)
	}
	c.changed.Broadcast()
	return nil
}
