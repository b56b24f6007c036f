package ws

import (
	"crypto/tls"
	"net"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// sendQueue reads how many bytes of a TCP connection the other end has not
// acknowledged (SIOCOUTQ, tcp(7)).
type sendQueue struct {
	rc   syscall.RawConn
	read func(fd uintptr)
	n    atomic.Int64
}

func newSendQueue(c net.Conn) *sendQueue {
	q := &sendQueue{}
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	if sc, ok := c.(syscall.Conn); ok {
		q.rc, _ = sc.SyscallConn()
	}
	q.read = func(fd uintptr) {
		if n, err := unix.IoctlGetInt(int(fd), unix.SIOCOUTQ); err == nil {
			q.n.Store(int64(n))
		}
	}
	return q
}

// bytes is 0 where the kernel does not tell.
func (q *sendQueue) bytes() int {
	if q.rc == nil || q.rc.Control(q.read) != nil {
		return 0
	}
	return int(q.n.Load())
}
