package rtc

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"flurry/common/carrier/carriertest"

	"github.com/pion/transport/v5"
	"golang.org/x/sys/unix"
)

// listen returns a batching socket on loopback and its address.
func listen(t testing.TB, ip net.IP) (*batchConn, netip.AddrPort) {
	t.Helper()
	n, err := newRoomyNet()
	if err != nil {
		t.Fatal(err)
	}
	c, err := n.ListenUDP("udp", &net.UDPAddr{IP: ip})
	if err != nil {
		t.Skip(err) // no IPv6 here
	}
	t.Cleanup(func() { c.Close() })
	return c.(*batchConn), c.LocalAddr().(*net.UDPAddr).AddrPort()
}

var v4 = net.IPv4(127, 0, 0, 1)

// traffic is packets of the sizes that a connection has: long runs of one, with
// others in between.
func traffic(n int) [][]byte {
	random := rand.New(rand.NewPCG(1, 2))
	var all [][]byte
	for len(all) < n {
		size := 1 + random.IntN(1400)
		for range 1 + random.IntN(100) {
			p := make([]byte, size)
			for i := range p {
				p[i] = byte(random.Uint32())
			}
			p[0] = 20 + byte(random.IntN(44)) // DTLS (RFC 7983)
			all = append(all, p)
		}
		all = append(all, []byte{21}, append([]byte{22}, all[len(all)-1]...))
	}
	return all[:n]
}

func TestBatchesKeepPackets(t *testing.T) {
	for name, c := range map[string]struct {
		ip     net.IP
		option int // set on the sender's socket
		single bool
	}{
		"IPv4":    {ip: v4},
		"IPv6":    {ip: net.IPv6loopback},
		"refused": {ip: v4, option: unix.SO_NO_CHECK, single: true}, // UDP_SEGMENT wants checksums
	} {
		t.Run(name, func(t *testing.T) {
			a, from := listen(t, c.ip)
			b, to := listen(t, c.ip)
			if c.option != 0 {
				setOption(t, a, c.option)
			}
			packets := traffic(3000)
			go func() {
				for _, p := range packets {
					if n, err := a.WriteTo(p, net.UDPAddrFromAddrPort(to)); n != len(p) || err != nil {
						t.Errorf("wrote %d: %v", n, err)
					}
				}
			}()
			buf := make([]byte, 8192)
			b.SetReadDeadline(time.Now().Add(10 * time.Second))
			for i, want := range packets {
				n, addr, err := b.ReadFrom(buf)
				if err != nil {
					t.Fatalf("packet %d: %v", i, err)
				}
				if !bytes.Equal(buf[:n], want) {
					t.Fatalf("packet %d: %d bytes in place of %d", i, n, len(want))
				}
				if got := addr.(*net.UDPAddr).AddrPort(); got != from {
					t.Fatalf("from %v", got)
				}
			}
			if b.in.buf == nil {
				t.Error("the reader has no batches")
			}
			if a.drain(); a.single != c.single {
				t.Errorf("sends packets singly: %v", a.single)
			}
		})
	}
}

func setOption(t *testing.T, c *batchConn, option int) {
	t.Helper()
	var err error
	c.in.raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, option, 1) })
	if err != nil {
		t.Fatal(err)
	}
}

func TestRuns(t *testing.T) {
	x, y := netip.MustParseAddrPort("192.0.2.1:1"), netip.MustParseAddrPort("192.0.2.1:2")
	type packet struct {
		size int
		to   netip.AddrPort
	}
	many := slices.Repeat([]packet{{9, x}}, batchPackets+1)
	for name, c := range map[string]struct {
		packets []packet
		want    []int // packets of each run
	}{
		"equal":         {[]packet{{9, x}, {9, x}, {9, x}}, []int{3}},
		"a shorter one": {[]packet{{9, x}, {9, x}, {8, x}, {8, x}, {9, x}}, []int{3, 1, 1}},
		"a longer one":  {[]packet{{9, x}, {10, x}, {10, x}}, []int{1, 2}},
		"two ways":      {[]packet{{9, x}, {9, y}, {9, y}, {9, x}}, []int{1, 2, 1}},
		"many":          {many, []int{batchPackets, 1}},
	} {
		var b batch
		for _, p := range c.packets {
			b.add(make([]byte, p.size), p.to)
		}
		var got []int
		for _, r := range b.runs {
			got = append(got, r.packets)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v in place of %v", name, got, c.want)
		}
	}
}

// What package ice does at the end: a deadline in the past, then Close.
func TestLastWords(t *testing.T) {
	a, _ := listen(t, v4)
	b, to := listen(t, v4)
	for _, p := range [][]byte{{21, 1}, {21, 2}, {21, 3}} {
		a.WriteToAddrPort(p, to)
	}
	a.SetDeadline(time.Unix(1, 0))
	a.Close()
	buf := make([]byte, 100)
	b.SetReadDeadline(time.Now().Add(10 * time.Second))
	for i := range 3 {
		if n, _, err := b.ReadFromAddrPort(buf); err != nil || n != 2 || buf[1] != byte(i+1) {
			t.Fatalf("packet %d: %x, %v", i, buf[:n], err)
		}
	}
	if _, err := a.WriteToAddrPort([]byte{21}, to); !errors.Is(err, net.ErrClosed) {
		t.Errorf("write after Close: %v", err)
	}
}

func TestErrorsOfSTUN(t *testing.T) {
	a, _ := listen(t, v4)
	elsewhere := netip.MustParseAddrPort("192.0.2.1:9") // not reachable from a loopback address
	if _, err := a.WriteToAddrPort([]byte{0, 1}, elsewhere); err == nil {
		t.Error("no error with a STUN message")
	}
	if _, err := a.WriteToAddrPort([]byte{22, 1}, elsewhere); err != nil {
		t.Errorf("with another: %v", err)
	}
	a.Close()
	if _, err := a.WriteToAddrPort([]byte{0, 1}, elsewhere); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// TestQueueIsBounded stops the sending and fills the queue.
func TestQueueIsBounded(t *testing.T) {
	a, to := listen(t, v4)
	a.mu.Lock()
	a.flushing = true
	a.mu.Unlock()
	p := make([]byte, 1200)
	p[0] = 22
	written := make(chan error)
	go func() {
		var err error
		n := 0
		for ; err == nil; n += len(p) {
			_, err = a.WriteToAddrPort(p, to)
		}
		if n > batchBytes+len(p) {
			t.Errorf("%d bytes were queued", n)
		}
		written <- err
	}()
	for full := false; !full; {
		a.mu.Lock()
		full = len(a.queue.data) > batchBytes-len(p)
		a.mu.Unlock()
	}
	closed := make(chan struct{})
	go func() { a.Close(); close(closed) }()
	if err := <-written; !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	go a.flushLoop()
	<-closed
}

func TestDeadlineAndCloseFreeReaders(t *testing.T) {
	for _, busy := range []bool{false, true} {
		a, to := listen(t, v4)
		if busy {
			a.in.seen = busyAfter - 1
			a.WriteToAddrPort([]byte{22}, to)
			if _, err := a.Read(make([]byte, 9)); err != nil || a.in.buf == nil {
				t.Fatal(err)
			}
		}
		a.SetReadDeadline(time.Now().Add(time.Millisecond))
		if _, _, err := a.ReadFrom(nil); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
		a.SetReadDeadline(time.Time{})
		read := make(chan error)
		go func() {
			_, _, err := a.ReadFrom(make([]byte, 9))
			read <- err
		}()
		a.Close()
		if err := <-read; !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	}
}

// addrPortConn is what package ice makes of a socket.
type addrPortConn interface {
	transport.UDPConn
	ReadFromAddrPort(p []byte) (int, netip.AddrPort, error)
	WriteToAddrPort(p []byte, to netip.AddrPort) (int, error)
}

// plainConn is a socket without batches.
type plainConn struct{ *net.UDPConn }

func (c plainConn) ReadFromAddrPort(p []byte) (int, netip.AddrPort, error) {
	return c.ReadFromUDPAddrPort(p)
}

func (c plainConn) WriteToAddrPort(p []byte, to netip.AddrPort) (int, error) {
	return c.WriteToUDPAddrPort(p, to)
}

// BenchmarkUDP sends bursts over loopback and waits for each to arrive. A burst
// of one packet shows what an idle socket takes.
func BenchmarkUDP(b *testing.B) {
	for _, burst := range []int{1, 10, 100} {
		for _, batches := range []bool{false, true} {
			b.Run(fmt.Sprintf("burst=%d/batches=%v", burst, batches), func(b *testing.B) {
				socket := func() (addrPortConn, netip.AddrPort) {
					c, addr := listen(b, v4)
					if batches {
						return c, addr
					}
					return plainConn{c.UDPConn}, addr
				}
				x, _ := socket()
				y, to := socket()
				packet := make([]byte, 1200)
				packet[0] = 22
				burstDone := make(chan struct{})
				go func() {
					buf := make([]byte, 8192)
					for n := 1; ; n++ {
						if _, _, err := y.ReadFromAddrPort(buf); err != nil {
							close(burstDone)
							return
						}
						if n%burst == 0 {
							burstDone <- struct{}{}
						}
					}
				}()
				b.SetBytes(int64(burst * len(packet)))
				b.ReportAllocs()
				began := carriertest.CPUTime(b)
				for b.Loop() {
					for range burst {
						x.WriteToAddrPort(packet, to)
					}
					<-burstDone
				}
				b.ReportMetric(perGB(carriertest.CPUTime(b)-began, b.N*burst*len(packet)), "cpu-s/GB")
				y.Close()
				<-burstDone
			})
		}
	}
}

func perGB(d time.Duration, bytes int) float64 { return d.Seconds() / (float64(bytes) / 1e9) }
