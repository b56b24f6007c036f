package rtc

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/ice/v4"
)

// A packetClass is what a packet on ICE's path belongs to, by its first byte.
type packetClass int

const (
	otherPacket packetClass = iota
	stunPacket              // the ICE agent keeps it
	dtlsPacket
	mediaPacket // SRTP and SRTCP; nothing takes it yet, see dtlsConn.Read
)

// classify tells them apart (RFC 7983 section 7).
func classify(p []byte) packetClass {
	if len(p) == 0 {
		return otherPacket
	}
	switch b := p[0]; {
	case b <= 3:
		return stunPacket
	case b >= 20 && b <= 63:
		return dtlsPacket
	case b >= 128 && b <= 191:
		return mediaPacket
	}
	return otherPacket
}

// A dtlsConn is the packets of DTLS on ICE's path, each whole. Its reader takes
// them from the ICE agent itself: there is no goroutine in between. It is a
// net.PacketConn too, with addresses that mean nothing, for pion/dtls.
type dtlsConn struct {
	path   *ice.Conn
	closed atomic.Bool

	stashed [][]byte // came before there was a reader; used by keep and Read only
}

// mostStashed is how many packets of DTLS wait until it begins: a hello that has
// been sent twice (measured of Chromium: it acknowledges no more).
const mostStashed = 4

// keepLast adds a packet and forgets the oldest of more than mostStashed.
func keepLast(all [][]byte, p []byte) [][]byte {
	all = append(all, bytes.Clone(p))
	return all[max(0, len(all)-mostStashed):]
}

// keep reads what comes before DTLS begins, until the function that it returns
// is called. Of more than a browser keeps the oldest are lost.
func (c *dtlsConn) keep() (stop func()) {
	var reading sync.WaitGroup
	reading.Go(func() {
		buf := make([]byte, earlySize)
		for {
			n, err := c.path.Read(buf)
			switch {
			case errors.Is(err, io.ErrShortBuffer): // it is lost
			case err != nil:
				return
			case classify(buf[:n]) == dtlsPacket:
				c.stashed = keepLast(c.stashed, buf[:n])
			}
		}
	})
	return func() {
		_ = c.path.SetReadDeadline(time.Unix(1, 0))
		reading.Wait()
		_ = c.path.SetReadDeadline(time.Time{})
	}
}

// Read implements net.Conn.
func (c *dtlsConn) Read(p []byte) (int, error) {
	if len(c.stashed) > 0 {
		first := c.stashed[0]
		c.stashed = c.stashed[1:]
		return copy(p, first), nil
	}
	for {
		n, err := c.path.Read(p)
		if c.closed.Load() {
			return 0, io.EOF
		}
		if err != nil {
			return n, err
		}
		switch classify(p[:n]) {
		case dtlsPacket:
			return n, nil
		case mediaPacket:
			// An RTP carrier takes these, with keys that DTLS exports.
		}
	}
}

// Write implements net.Conn. What is written while there is no path is lost, as
// on the network.
func (c *dtlsConn) Write(p []byte) (int, error) {
	if c.closed.Load() {
		return 0, io.ErrClosedPipe
	}
	n, err := c.path.Write(p)
	switch {
	case errors.Is(err, ice.ErrNoCandidatePairs):
		return len(p), nil
	case errors.Is(err, ice.ErrClosed):
		return 0, io.ErrClosedPipe
	}
	return n, err
}

// Close frees a reader. The path is the ICE agent's and stays.
func (c *dtlsConn) Close() error {
	c.closed.Store(true)
	return c.path.SetReadDeadline(time.Unix(1, 0))
}

// SetReadDeadline implements net.Conn.
func (c *dtlsConn) SetReadDeadline(t time.Time) error {
	if c.closed.Load() {
		return nil // Close has set one
	}
	err := c.path.SetReadDeadline(t)
	if c.closed.Load() { // meanwhile
		return c.path.SetReadDeadline(time.Unix(1, 0))
	}
	return err
}

// SetWriteDeadline implements net.Conn.
func (c *dtlsConn) SetWriteDeadline(t time.Time) error { return c.path.SetWriteDeadline(t) }

// SetDeadline implements net.Conn.
func (c *dtlsConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// ReadFrom implements net.PacketConn.
func (c *dtlsConn) ReadFrom(p []byte) (int, net.Addr, error) {
	n, err := c.Read(p)
	return n, pathAddr{}, err
}

// WriteTo implements net.PacketConn.
func (c *dtlsConn) WriteTo(p []byte, _ net.Addr) (int, error) { return c.Write(p) }

// LocalAddr implements net.Conn.
func (c *dtlsConn) LocalAddr() net.Addr { return pathAddr{} }

// RemoteAddr implements net.Conn.
func (c *dtlsConn) RemoteAddr() net.Addr { return pathAddr{} }

// pathAddr stands for both ends of ICE's path, which may change.
type pathAddr struct{}

func (pathAddr) Network() string { return "udp" }
func (pathAddr) String() string  { return "ice" }
