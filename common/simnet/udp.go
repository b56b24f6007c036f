package simnet

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/pion/transport/v5"
)

// defaultUDPBuffer is Linux's net.core.rmem_default.
const defaultUDPBuffer = 208 << 10

// maxDatagram is the most that UDP over IPv4 can say.
const maxDatagram = 65507

type datagram struct {
	from netip.AddrPort
	data []byte
}

// udpConn implements transport.UDPConn. Datagrams that find its buffer full are
// dropped.
type udpConn struct {
	host   *Host
	local  netip.AddrPort
	remote netip.AddrPort // valid: connected

	mu       sync.Mutex
	changed  sync.Cond // on mu: inbox, closed or deadline
	inbox    []datagram
	inBytes  int
	buffer   int
	closed   bool
	deadline deadline // of reading
}

var _ transport.UDPConn = (*udpConn)(nil)

// bindUDP makes a socket on port, or on one of the host's choice for 0.
func (h *Host) bindUDP(port uint16, remote netip.AddrPort) (*udpConn, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if port == 0 {
		port = h.choosePortLocked()
	}
	local := netip.AddrPortFrom(h.addr, port)
	if h.udp[port] != nil {
		return nil, &net.OpError{Op: "listen", Net: "udp", Addr: net.UDPAddrFromAddrPort(local), Err: errInUse}
	}
	c := &udpConn{host: h, local: local, remote: remote, buffer: defaultUDPBuffer}
	c.changed.L = &c.mu
	h.udp[port] = c
	return c, nil
}

var errInUse = errors.New("address already in use")

func (c *udpConn) opError(op string, err error) error {
	return &net.OpError{Op: op, Net: "udp", Source: net.UDPAddrFromAddrPort(c.local), Err: err}
}

func (c *udpConn) deliver(from netip.AddrPort, data []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.inBytes+len(data) > c.buffer || c.remote.IsValid() && from != c.remote {
		return
	}
	c.inbox = append(c.inbox, datagram{from, data})
	c.inBytes += len(data)
	c.changed.Signal()
}

// ReadFromAddrPort waits for one datagram.
func (c *udpConn) ReadFromAddrPort(b []byte) (int, netip.AddrPort, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.inbox) == 0 {
		if c.closed {
			return 0, netip.AddrPort{}, c.opError("read", net.ErrClosed)
		}
		if c.deadline.passed() {
			return 0, netip.AddrPort{}, c.opError("read", os.ErrDeadlineExceeded)
		}
		c.changed.Wait()
	}
	d := c.inbox[0]
	c.inbox[0] = datagram{}
	c.inbox = c.inbox[1:]
	c.inBytes -= len(d.data)
	return copy(b, d.data), d.from, nil
}

// ReadFromUDPAddrPort is what net.UDPConn calls it.
func (c *udpConn) ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error) {
	return c.ReadFromAddrPort(b)
}

// WriteToAddrPort sends one datagram and never waits: a host's own queue is that
// of its line.
func (c *udpConn) WriteToAddrPort(b []byte, to netip.AddrPort) (int, error) {
	c.mu.Lock()
	closed := c.closed
	c.mu.Unlock()
	if closed {
		return 0, c.opError("write", net.ErrClosed)
	}
	if len(b) > maxDatagram {
		return 0, c.opError("write", errors.New("message too long"))
	}
	c.host.sendUDP(c.local.Port(), netip.AddrPortFrom(to.Addr().Unmap(), to.Port()), append([]byte(nil), b...))
	return len(b), nil
}

// WriteToUDPAddrPort is what net.UDPConn calls it.
func (c *udpConn) WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error) {
	return c.WriteToAddrPort(b, to)
}

// The rest of transport.UDPConn, in terms of the above.

func (c *udpConn) Read(b []byte) (int, error) {
	n, _, err := c.ReadFromAddrPort(b)
	return n, err
}

func (c *udpConn) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := c.ReadFromUDP(b)
	if err != nil {
		return 0, nil, err // not a nil *net.UDPAddr
	}
	return n, from, nil
}

func (c *udpConn) ReadFromUDP(b []byte) (int, *net.UDPAddr, error) {
	n, from, err := c.ReadFromAddrPort(b)
	if err != nil {
		return 0, nil, err
	}
	return n, net.UDPAddrFromAddrPort(from), nil
}

func (c *udpConn) ReadMsgUDP(b, _ []byte) (n, oobn, flags int, addr *net.UDPAddr, err error) {
	n, addr, err = c.ReadFromUDP(b)
	return n, 0, 0, addr, err
}

func (c *udpConn) Write(b []byte) (int, error) {
	if !c.remote.IsValid() {
		return 0, c.opError("write", errors.New("not connected"))
	}
	return c.WriteToAddrPort(b, c.remote)
}

func (c *udpConn) WriteTo(b []byte, to net.Addr) (int, error) {
	u, ok := to.(*net.UDPAddr)
	if !ok {
		return 0, c.opError("write", errors.New("not a UDP address"))
	}
	return c.WriteToUDP(b, u)
}

func (c *udpConn) WriteToUDP(b []byte, to *net.UDPAddr) (int, error) {
	return c.WriteToAddrPort(b, to.AddrPort())
}

func (c *udpConn) WriteMsgUDP(b, _ []byte, to *net.UDPAddr) (n, oobn int, err error) {
	if to == nil {
		n, err = c.Write(b)
	} else {
		n, err = c.WriteToUDP(b, to)
	}
	return n, 0, err
}

func (c *udpConn) Close() error {
	c.host.mu.Lock()
	if c.host.udp[c.local.Port()] == c {
		delete(c.host.udp, c.local.Port())
	}
	c.host.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return c.opError("close", net.ErrClosed)
	}
	c.closed, c.inbox = true, nil
	c.deadline.stop()
	c.changed.Broadcast()
	return nil
}

func (c *udpConn) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(c.local) }

func (c *udpConn) RemoteAddr() net.Addr {
	if !c.remote.IsValid() {
		return nil
	}
	return net.UDPAddrFromAddrPort(c.remote)
}

func (c *udpConn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return c.opError("set", net.ErrClosed)
	}
	c.deadline.set(t, &c.changed)
	return nil
}

func (c *udpConn) SetReadBuffer(n int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.buffer = n
	return nil
}

func (c *udpConn) SetDeadline(t time.Time) error    { return c.SetReadDeadline(t) }
func (c *udpConn) SetWriteDeadline(time.Time) error { return nil } // writing never waits
func (c *udpConn) SetWriteBuffer(int) error         { return nil }

// A deadline wakes the waiters of a Cond; its fields belong under the Cond's lock.
type deadline struct {
	at    time.Time
	timer *time.Timer
}

func (d *deadline) set(t time.Time, wake *sync.Cond) {
	d.stop()
	d.at = t
	if !t.IsZero() {
		d.timer = time.AfterFunc(time.Until(t), func() {
			wake.L.Lock()
			defer wake.L.Unlock()
			wake.Broadcast()
		})
	}
}

func (d *deadline) stop() {
	if d.timer != nil {
		d.timer.Stop()
	}
}

func (d *deadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }
