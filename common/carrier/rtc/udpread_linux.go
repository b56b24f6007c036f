package rtc

import (
	"encoding/binary"
	"net"
	"net/netip"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// busyAfter is how many packets a socket has received when it gets a buffer for
// batches. What sets a connection up comes to a few dozen; most sockets of a
// connection never see more.
const busyAfter = 64

// readBytes holds any batch: more than a length field of 16 bits can say.
const readBytes = 65535

// batchRead is the reading side of a batchConn.
type batchRead struct {
	conn *net.UDPConn
	raw  syscall.RawConn

	mu      sync.Mutex
	seen    int    // packets so far, up to busyAfter
	buf     []byte // of readBytes, once the socket is busy; nil where the kernel has no batches
	rest    []byte // of buf, not handed out yet
	size    int    // of each packet in rest, but the last may be shorter
	from    netip.AddrPort
	control [controlSize]byte
}

// next reads one packet into p.
func (r *batchRead) next(p []byte) (int, netip.AddrPort, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.buf == nil {
		n, from, err := r.conn.ReadFromUDPAddrPort(p)
		r.count()
		return n, from, err
	}
	if len(r.rest) == 0 {
		n, controls, _, from, err := r.conn.ReadMsgUDPAddrPort(r.buf, r.control[:])
		if err != nil {
			return 0, from, err
		}
		r.rest, r.from, r.size = r.buf[:n], from, receivedSize(r.control[:controls], n)
	}
	packet := r.rest[:min(r.size, len(r.rest))]
	r.rest = r.rest[len(packet):]
	return copy(p, packet), r.from, nil
}

// count asks the kernel for batches once the socket is busy.
func (r *batchRead) count() {
	if r.seen == busyAfter {
		return
	}
	if r.seen++; r.seen == busyAfter {
		r.raw.Control(func(fd uintptr) {
			if unix.SetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_GRO, 1) == nil {
				r.buf = make([]byte, readBytes)
			}
		})
	}
}

// receivedSize finds the size of each packet in a batch of n bytes.
func receivedSize(control []byte, n int) int {
	for len(control) >= unix.CmsgLen(0) {
		h, data, rest, err := unix.ParseOneSocketControlMessage(control)
		if err != nil {
			break
		}
		if h.Level == unix.SOL_UDP && h.Type == unix.UDP_GRO && len(data) >= 4 {
			if size := int(binary.NativeEndian.Uint32(data)); size > 0 {
				return size
			}
		}
		control = rest
	}
	return n
}

// ReadFromAddrPort is ReadFrom without an allocation; package ice asks for it
// by name.
func (c *batchConn) ReadFromAddrPort(p []byte) (int, netip.AddrPort, error) { return c.in.next(p) }

// ReadFrom implements net.PacketConn.
func (c *batchConn) ReadFrom(p []byte) (int, net.Addr, error) {
	n, from, err := c.ReadFromUDP(p)
	if err != nil {
		return n, nil, err // and not an address that is a nil pointer
	}
	return n, from, nil
}

// ReadFromUDP implements transport.UDPConn.
func (c *batchConn) ReadFromUDP(p []byte) (int, *net.UDPAddr, error) {
	n, from, err := c.in.next(p)
	if err != nil {
		return n, nil, err
	}
	return n, net.UDPAddrFromAddrPort(from), nil
}

// ReadMsgUDP implements transport.UDPConn. There is no control data.
func (c *batchConn) ReadMsgUDP(p, _ []byte) (n, controls, flags int, from *net.UDPAddr, err error) {
	n, from, err = c.ReadFromUDP(p)
	return n, 0, 0, from, err
}

// Read implements net.Conn.
func (c *batchConn) Read(p []byte) (int, error) {
	n, _, err := c.in.next(p)
	return n, err
}
