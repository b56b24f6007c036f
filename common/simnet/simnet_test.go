package simnet

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"flurry/common/simnet/line"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// transfer sends n bytes from one end to the other and returns the time they took. It checks them.
func transfer(t *testing.T, from, to net.Conn, n int) time.Duration {
	t.Helper()
	start := time.Now()
	want := make([]byte, n)
	for i := range want {
		want[i] = byte(i*7 + i>>8)
	}
	go func() {
		if k, err := from.Write(want); err != nil {
			t.Errorf("Write after %d bytes: %v", k, err)
		}
	}()
	got := make([]byte, n)
	if k, err := io.ReadFull(to, got); err != nil {
		t.Fatalf("after %d bytes: %v", k, err)
	}
	if !bytes.Equal(got, want) {
		t.Error("the bytes arrived changed")
	}
	return time.Since(start)
}

// join connects from one host to another. The test closes both ends.
func join(t *testing.T, from, to *Host) (dialed, accepted net.Conn) {
	t.Helper()
	ln, err := to.Listen(80)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	dialed, err = from.DialContext(t.Context(), "tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if accepted, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	return dialed, accepted
}

func TestTCPFillsTheLine(t *testing.T) {
	for name, c := range map[string]struct {
		shape       line.Shape
		bytes       int
		least, most time.Duration
	}{
		"clean":    {line.Shape{Rate: 1e6, Delay: 50 * time.Millisecond}, 20e6, 20 * time.Second, 23 * time.Second},
		"1 % loss": {line.Shape{Rate: 1e6, Delay: 50 * time.Millisecond, Loss: 0.01}, 2e6, 4 * time.Second, 30 * time.Second},
		"reorder":  {line.Shape{Rate: 1e6, Delay: 50 * time.Millisecond, Reorder: 1}, 2e6, 2 * time.Second, 5 * time.Second},
		"narrow":   {line.Shape{Rate: 8e3, Delay: 50 * time.Millisecond}, 80e3, 10 * time.Second, 13 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := New()
				a, b := join(t, w.Host(Access{Up: c.shape, Down: line.Shape{Delay: 50 * time.Millisecond}}), w.Host(Access{}))
				defer a.Close()
				defer b.Close()
				if d := transfer(t, a, b, c.bytes); d < c.least || d > c.most {
					t.Errorf("took %v, want %v to %v", d, c.least, c.most)
				}
			})
		})
	}
}

func TestTCPKeepsTheQueueBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New()
		from := w.Host(Access{Up: line.Shape{Rate: 1e6, Delay: 50 * time.Millisecond, Queue: 100 * time.Millisecond}})
		a, b := join(t, from, w.Host(Access{}))
		defer a.Close()
		defer b.Close()
		transfer(t, a, b, 10e6)
		if s := from.Up().Stats(); s.Longest > 100*time.Millisecond || s.Dropped == 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestTCPBackpressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New()
		a, b := join(t, w.Host(Access{}), w.Host(Access{}))
		defer b.Close()
		a.SetWriteDeadline(time.Now().Add(time.Hour))
		n, err := a.Write(make([]byte, 100<<20))
		var timeout net.Error
		if !errors.As(err, &timeout) || !timeout.Timeout() || n < receiveBuffer || n > 4*receiveBuffer {
			t.Errorf("%d bytes found room unread, %v", n, err)
		}
		a.SetWriteDeadline(time.Time{})
		got := make(chan int64)
		go func() {
			k, _ := io.Copy(io.Discard, b)
			got <- k
		}()
		a.Close()
		if k := <-got; k != int64(n) {
			t.Errorf("%d of %d bytes arrived before the end", k, n)
		}
	})
}

func TestTCPEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New()
		x, y := w.Host(Access{Up: line.Shape{Delay: time.Millisecond}}), w.Host(Access{})
		if _, err := x.DialContext(t.Context(), "tcp", netip.AddrPortFrom(y.Addr(), 9).String()); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("nobody listens: %v", err)
		}
		a, b := join(t, x, y)
		a.Write([]byte("last words"))
		a.Close()
		if got, err := io.ReadAll(b); string(got) != "last words" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		b.Write([]byte("to nobody"))
		time.Sleep(time.Second)
		if _, err := b.Write([]byte("x")); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("after writing to a closed end: %v", err)
		}
		b.Close()

		a, b = join(t, x, y)
		defer a.Close()
		defer b.Close()
		y.Silence(true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := x.DialContext(ctx, "tcp", netip.AddrPortFrom(y.Addr(), 80).String()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("dialling silence: %v", err)
		}
		a.Write([]byte("x"))
		a.SetReadDeadline(time.Now().Add(time.Hour))
		if _, err := a.Read(make([]byte, 1)); !errors.Is(err, syscall.ETIMEDOUT) {
			t.Errorf("silence for an hour: %v", err)
		}
	})
}

func TestTCPComesBackAfterSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New()
		x := w.Host(Access{Up: line.Shape{Rate: 1e6, Delay: 50 * time.Millisecond}})
		a, b := join(t, x, w.Host(Access{}))
		defer a.Close()
		defer b.Close()
		time.AfterFunc(500*time.Millisecond, func() { x.Silence(true) })
		time.AfterFunc(5*time.Second, func() { x.Silence(false) })
		if d := transfer(t, a, b, 2e6); d < 6*time.Second || d > 13*time.Second {
			t.Errorf("2 s of data around 4.5 s of silence took %v", d)
		}
	})
}

func TestHomeSharesItsLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New()
		home := w.Home(FullCone, Access{Up: line.Shape{Rate: 1e6, Delay: 10 * time.Millisecond, Queue: 100 * time.Millisecond}})
		server := w.Host(Access{})
		took := make(chan time.Duration, 2)
		for range 2 {
			a, b := join(t, home.Host(Access{}), server)
			defer a.Close()
			defer b.Close()
			go func() { took <- transfer(t, a, b, 5e6) }()
		}
		if d := max(<-took, <-took); d < 10*time.Second || d > 12*time.Second {
			t.Errorf("twice 5 MB over 1 MB/s took %v", d)
		}
	})
}

// heard sends a datagram and reports whether to gets it, and from where.
func heard(t *testing.T, from *udpConn, to *udpConn, at netip.AddrPort) (netip.AddrPort, bool) {
	t.Helper()
	if _, err := from.WriteToAddrPort([]byte("x"), at); err != nil {
		t.Fatal(err)
	}
	to.SetReadDeadline(time.Now().Add(time.Second))
	_, seen, err := to.ReadFromAddrPort(make([]byte, 10))
	return seen, err == nil
}

func bind(t *testing.T, h *Host) *udpConn {
	t.Helper()
	c, err := h.bindUDP(0, netip.AddrPort{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestNAT(t *testing.T) {
	for name, c := range map[string]struct {
		kind               NAT
		stranger, samePort bool
	}{
		"full cone":       {FullCone, true, true},
		"port restricted": {PortRestricted, false, true},
		"symmetric":       {Symmetric, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := New()
				inner := bind(t, w.Home(c.kind, Access{}).Host(Access{}))
				x, y, z := bind(t, w.Host(Access{})), bind(t, w.Host(Access{})), bind(t, w.Host(Access{}))
				atX, ok := heard(t, inner, x, x.local)
				if !ok || atX.Addr() != inner.host.home.Addr() {
					t.Fatalf("outwards: from %v, %v", atX, ok)
				}
				if atY, _ := heard(t, inner, y, y.local); (atY == atX) != c.samePort {
					t.Errorf("mapped to %v and %v", atX, atY)
				}
				if from, ok := heard(t, x, inner, atX); !ok || from != x.local {
					t.Errorf("no way back: %v", from)
				}
				if _, ok := heard(t, z, inner, atX); ok != c.stranger {
					t.Errorf("a stranger gets in: %v", ok)
				}
			})
		})
	}
}

func TestUDPBufferIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New()
		a, b := bind(t, w.Host(Access{})), bind(t, w.Host(Access{}))
		for range 1000 {
			a.WriteToAddrPort(make([]byte, 1000), b.local)
		}
		synctest.Wait()
		if b.inBytes > defaultUDPBuffer || b.inBytes < defaultUDPBuffer-1000 {
			t.Errorf("%d bytes wait", b.inBytes)
		}
	})
}
