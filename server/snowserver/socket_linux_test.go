package snowserver

import (
	"net"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestDeadProxiesAreDropped(t *testing.T) {
	l := newTestListener(t, Config{})
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var accepted net.Conn
	eventually(t, "the connection", func() bool {
		l.edge.waiting.mu.Lock()
		defer l.edge.waiting.mu.Unlock()
		if e := l.edge.waiting.queue.Front(); e != nil {
			accepted = e.Value.(net.Conn)
		}
		return accepted != nil
	})
	raw, err := accepted.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) {
		v, err := unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT)
		if err != nil || v != int(deadAfter.Milliseconds()) {
			t.Errorf("TCP_USER_TIMEOUT is %d, %v; want %d", v, err, deadAfter.Milliseconds())
		}
	})
}
