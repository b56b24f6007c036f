package rtc

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/pion/transport/v5"
	"golang.org/x/sys/unix"
)

const (
	// batchBytes is the most that leaves or comes with one system call: what
	// fits the length field of an IPv4 header beside that header and UDP's.
	batchBytes = 65535 - 20 - 8

	// batchPackets is the kernel's limit to the packets of one call
	// (UDP_MAX_SEGMENTS before Linux 6.9, which doubled it).
	batchPackets = 64

	// lastWords bounds how long a deadline and Close wait for packets that have
	// been written. Usually they have left before.
	lastWords = 50 * time.Millisecond

	// controlSize holds what goes to the kernel and comes from it beside the
	// packets of a batch: a header of 16 bytes and their size.
	controlSize = 64
)

// batchConn is a UDP socket that moves a burst of packets with one system call
// (UDP_SEGMENT and UDP_GRO, udp(7)); what is on the wire is the same. Packets
// that are written while a call is under way leave with the next, so that an
// idle socket sends at once. As on the network, a packet that cannot be sent is
// lost without a word, except STUN's: those leave within the call that writes
// them, and it returns the error. A deadline for writing bounds what the socket
// does, not the wait for room in the queue, which moves all the time.
type batchConn struct {
	*net.UDPConn
	flush func()    // flushLoop, as a value made once
	in    batchRead // has its own lock

	mu       sync.Mutex
	changed  sync.Cond // on mu: the queue has been taken, or flushing has ended, or a wait has
	single   bool      // the kernel does not send batches here
	queue    batch     // waits; at most batchBytes
	spare    batch     // empty, for its memory
	flushing bool      // a goroutine sends what is in queue
	closed   bool
}

// newBatchConn returns c with batches, or c itself where the kernel has none.
func newBatchConn(c transport.UDPConn) transport.UDPConn {
	u, ok := c.(*net.UDPConn)
	if !ok {
		return c
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return c
	}
	b := &batchConn{UDPConn: u, in: batchRead{conn: u, raw: raw}}
	b.changed.L, b.flush = &b.mu, b.flushLoop
	// Kernels before 4.18 would send a batch as one long datagram.
	raw.Control(func(fd uintptr) {
		_, err := unix.GetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_SEGMENT)
		b.single = err != nil
	})
	return b
}

// A batch is packets back to back, in runs.
type batch struct {
	data []byte
	runs []run
}

// A run is packets that can leave in one call.
type run struct {
	to      netip.AddrPort
	size    int  // of each packet, but the last may be shorter
	packets int  // at most batchPackets
	end     int  // where in data it ends
	ended   bool // by a shorter packet
}

func (b *batch) add(p []byte, to netip.AddrPort) {
	b.data = append(b.data, p...)
	if i := len(b.runs) - 1; i >= 0 {
		r := &b.runs[i]
		if !r.ended && r.to == to && len(p) <= r.size && r.packets < batchPackets {
			r.packets++
			r.end = len(b.data)
			r.ended = len(p) < r.size
			return
		}
	}
	b.runs = append(b.runs, run{to: to, size: len(p), packets: 1, end: len(b.data)})
}

func (b *batch) reset() { b.data, b.runs = b.data[:0], b.runs[:0] }

// WriteToAddrPort is WriteTo without an allocation; package ice asks for it by
// name. It waits while the queue is full.
func (c *batchConn) WriteToAddrPort(p []byte, to netip.AddrPort) (int, error) {
	if len(p) == 0 || isSTUN(p) || len(p) > batchBytes {
		return c.UDPConn.WriteToUDPAddrPort(p, to)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for !c.closed && len(c.queue.data)+len(p) > batchBytes {
		c.changed.Wait()
	}
	if c.closed {
		return 0, net.ErrClosed
	}
	c.queue.add(p, to)
	if !c.flushing {
		c.flushing = true
		go c.flush()
	}
	return len(p), nil
}

// isSTUN tells STUN from what else shares its socket (RFC 7983 section 7).
func isSTUN(p []byte) bool { return p[0] < 4 }

// WriteTo implements net.PacketConn.
func (c *batchConn) WriteTo(p []byte, to net.Addr) (int, error) {
	if u, ok := to.(*net.UDPAddr); ok {
		return c.WriteToAddrPort(p, u.AddrPort())
	}
	return c.UDPConn.WriteTo(p, to)
}

// flushLoop sends until the queue is empty. One runs at a time; Close waits for
// it.
func (c *batchConn) flushLoop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.queue.runs) > 0 {
		out, single := c.queue, c.single
		c.queue, c.spare = c.spare, batch{}
		c.changed.Broadcast()
		c.mu.Unlock()
		single = c.send(&out, single)
		out.reset()
		c.mu.Lock()
		c.spare, c.single = out, single
	}
	c.flushing = false
	c.changed.Broadcast()
}

// send sends b, packet by packet if single, and says how to send the next.
func (c *batchConn) send(b *batch, single bool) bool {
	start := 0
	for _, r := range b.runs {
		data := b.data[start:r.end]
		start = r.end
		if r.packets > 1 && !single {
			var control [controlSize]byte
			_, _, err := c.WriteMsgUDPAddrPort(data, segmentSize(control[:0], r.size), r.to)
			if !refused(err) {
				continue
			}
			single = true
		}
		for len(data) > 0 {
			n := min(r.size, len(data))
			c.UDPConn.WriteToUDPAddrPort(data[:n], r.to)
			data = data[n:]
		}
	}
	return single
}

// refused says whether the kernel would take the packets one by one: the device
// computes no checksums (EIO), or the path takes less at a time.
func refused(err error) bool {
	return errors.Is(err, unix.EIO) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EMSGSIZE) || errors.Is(err, unix.EOPNOTSUPP)
}

// segmentSize appends to b, which has room, the control message that has the
// kernel cut a batch into packets of size bytes (cmsg(3)).
func segmentSize(b []byte, size int) []byte {
	b = b[:unix.CmsgSpace(2)]
	data := unix.CmsgLen(0)
	if data == 16 { // the length is a size_t
		binary.NativeEndian.PutUint64(b, uint64(unix.CmsgLen(2)))
	} else {
		binary.NativeEndian.PutUint32(b, uint32(unix.CmsgLen(2)))
	}
	binary.NativeEndian.PutUint32(b[data-8:], unix.SOL_UDP)
	binary.NativeEndian.PutUint32(b[data-4:], unix.UDP_SEGMENT)
	binary.NativeEndian.PutUint16(b[data:], uint16(size))
	return b
}

// drain waits until what has been written has left, at most lastWords.
func (c *batchConn) drain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.flushing {
		return
	}
	late := false
	t := time.AfterFunc(lastWords, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		late = true
		c.changed.Broadcast()
	})
	defer t.Stop()
	for c.flushing && !late {
		c.changed.Wait()
	}
}

// SetDeadline implements net.PacketConn.
func (c *batchConn) SetDeadline(t time.Time) error {
	c.drain() // package ice sets a past one before it closes, after the last words
	return c.UDPConn.SetDeadline(t)
}

// SetWriteDeadline implements net.PacketConn.
func (c *batchConn) SetWriteDeadline(t time.Time) error {
	c.drain()
	return c.UDPConn.SetWriteDeadline(t)
}

// Close implements net.PacketConn. Packets that have been written are given a
// short time to leave.
func (c *batchConn) Close() error {
	c.mu.Lock()
	c.closed = true
	c.changed.Broadcast()
	c.mu.Unlock()
	c.drain()
	err := c.UDPConn.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.flushing {
		c.changed.Wait()
	}
	return err
}
