package ws

import (
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A connection under BBR goes on after each renewal, and one under another
// control is left alone.
func TestBBRRenewal(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	for _, control := range []string{"bbr", "reno"} {
		near, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer near.Close()
		far, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer far.Close()
		rc, err := near.(*net.TCPConn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		var setErr error
		rc.Control(func(fd uintptr) {
			setErr = unix.SetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION, control)
		})
		if setErr != nil {
			t.Logf("this kernel does not let us choose %s (%v): it has nothing to renew", control, setErr)
			continue
		}
		now := time.Now()
		b := newBBR(near, now)
		if renews := b.rc != nil; renews != (control == "bbr") {
			t.Errorf("%s: renews %v", control, renews)
		}
		const rounds, size = 5, 100_000
		go func() {
			for range rounds {
				now = now.Add(bbrRenewal)
				b.renew(now)
				near.Write(make([]byte, size))
			}
		}()
		if n, err := io.ReadFull(far, make([]byte, rounds*size)); err != nil {
			t.Errorf("%s: %d bytes came, then %v", control, n, err)
		}
		rc.Control(func(fd uintptr) {
			if got := congestionControl(fd); got != control {
				t.Errorf("the control is %q, not %q any more", got, control)
			}
		})
	}
}
