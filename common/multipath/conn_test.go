package multipath

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"flurry/common/carrier"
	"flurry/common/carrier/carriertest"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type name string

func (n name) Network() string { return "test" }
func (n name) String() string  { return string(n) }

const bridge, user = name("bridge"), name("user")

// push is a packet with one data segment.
func push(sn, ts uint32, size int) []byte { return kcpPacket(cmdPush, sn, ts, 0, size) }

func kcpPacket(cmd byte, sn, ts, una uint32, size int) []byte {
	p := make([]byte, kcpHeader+size)
	binary.LittleEndian.PutUint32(p, 7) // conv
	p[4] = cmd
	binary.LittleEndian.PutUint32(p[8:], ts)
	binary.LittleEndian.PutUint32(p[12:], sn)
	binary.LittleEndian.PutUint32(p[16:], una)
	binary.LittleEndian.PutUint32(p[20:], uint32(size))
	return p
}

// datagrams is a pair of packet carriers.
func datagrams(delay time.Duration) (a, b *carriertest.Conn) {
	return carriertest.Pair(carriertest.Options{Datagram: true, Delay: delay, MaxMessage: maxPacket, Capacity: 10000})
}

// collector gathers what arrives at the far end of a path.
type collector chan []byte

func collect(c *carriertest.Conn) collector {
	ch := make(collector, 10000)
	go func() {
		for {
			buf := make([]byte, maxPacket)
			n, err := c.Recv(buf)
			if err != nil {
				return
			}
			ch <- buf[:n]
		}
	}()
	return ch
}

// take returns what has come since the last call.
func (ch collector) take() (got [][]byte) {
	for {
		select {
		case p := <-ch:
			got = append(got, p)
		case <-time.After(time.Second): // of the bubble's clock
			return got
		}
	}
}

func sns(packets [][]byte) (out []uint32) {
	for _, p := range packets {
		for {
			s, rest, ok := nextSegment(p)
			if !ok {
				break
			}
			out = append(out, s.sn)
			p = rest
		}
	}
	return out
}

func write(t *testing.T, c *Conn, p []byte) {
	t.Helper()
	if n, err := c.WriteTo(p, bridge); n != len(p) || err != nil {
		t.Fatalf("WriteTo: %d, %v", n, err)
	}
}

// TestNoBurstAfterAGap plays KCP resending into a session that has no path.
func TestNoBurstAfterAGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(user, Options{})
		defer c.Close()
		const segments = 20
		for try := range uint32(10) {
			for sn := range uint32(segments) {
				write(t, c, push(sn, 1000+try*200, 100))
			}
			time.Sleep(200 * time.Millisecond)
		}
		a, b := datagrams(0)
		far := collect(b)
		defer b.Close()
		c.Add(bridge, a)
		got := far.take()
		if len(got) != segments {
			t.Errorf("%d packets for %d segments: %v", len(got), segments, sns(got))
		}
		for i, sn := range sns(got) {
			if sn != uint32(i) {
				t.Fatalf("out of order: %v", sns(got))
			}
		}
		if s, _, _ := nextSegment(got[0]); s.ts != 1000+2000 {
			t.Errorf("timestamp %d does not say when the packet left", s.ts)
		}
	})
}

func TestRetransmissionsOnALivingPath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(user, Options{})
		defer c.Close()
		a, b := datagrams(0)
		far := collect(b)
		defer b.Close()
		c.Add(bridge, a)
		write(t, c, push(0, 0, 10))
		time.Sleep(100 * time.Millisecond)
		write(t, c, push(0, 100, 10))
		if got := far.take(); len(got) != 1 {
			t.Errorf("an early retransmission went over a reliable path: %v", sns(got))
		}
		time.Sleep(holdMax)
		write(t, c, push(0, 200, 10))
		if got := far.take(); len(got) != 1 {
			t.Error("a late retransmission was held back for ever")
		}
	})
}

func TestRetransmissionAfterAPathsDeath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(user, Options{})
		defer c.Close()
		a, b := datagrams(0)
		far := collect(b)
		first := c.Add(bridge, a)
		write(t, c, push(0, 0, 10))
		far.take()
		b.Close()
		<-first.Done()
		if len(c.Paths(bridge)) != 0 {
			t.Error("a dead path is still there")
		}
		a, b = datagrams(0)
		far = collect(b)
		defer b.Close()
		c.Add(bridge, a)
		write(t, c, push(0, 10, 10))
		if got := far.take(); len(got) != 1 {
			t.Errorf("the retransmission was dropped, though the path that had the segment is gone")
		}
	})
}

func TestQueueIsBounded(t *testing.T) {
	c := New(user, Options{QueueBytes: 10000})
	defer c.Close()
	for sn := range uint32(1000) {
		write(t, c, push(sn, 0, 1000))
	}
	p := c.known(bridge)
	if p.queue.size > 10000 {
		t.Errorf("%d bytes wait", p.queue.size)
	}
	if p.dropped == 0 {
		t.Error("nothing was dropped")
	}
}

func TestDrained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(user, Options{})
		defer c.Close()
		a, b := datagrams(0)
		defer b.Close()
		c.Add(bridge, a)
		write(t, c, push(0, 0, 10))
		write(t, c, push(1, 0, 10))
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := c.Drained(ctx, bridge); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("before any acknowledgement: %v", err)
		}
		done := make(chan error, 1)
		go func() { done <- c.Drained(context.Background(), bridge) }()
		b.Send(context.Background(), kcpPacket(cmdAck, 0, 0, 1, 0))
		synctest.Wait()
		select {
		case <-done:
			t.Error("drained with one segment outstanding")
		default:
		}
		b.Send(context.Background(), kcpPacket(cmdAck, 1, 0, 2, 0))
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestSilentPathIsSuspect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(user, Options{})
		defer c.Close()
		a, b := carriertest.Pair(carriertest.Options{Datagram: true, MaxMessage: maxPacket, Capacity: 1})
		path := c.Add(bridge, a)
		for sn := range uint32(5) {
			write(t, c, push(sn, 0, 1000))
		}
		b.Kill()
		synctest.Wait()
		if path.Info().Suspect {
			t.Error("suspect at once")
		}
		time.Sleep(suspectAfter + time.Millisecond)
		if !path.Info().Suspect {
			t.Error("not suspect after it held its bytes in silence")
		}
	})
}

// TestIdlePathIsNotSuspect sends on a path that has been quiet for long.
func TestIdlePathIsNotSuspect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(user, Options{})
		defer c.Close()
		a, b := carriertest.Pair(carriertest.Options{Datagram: true, MaxMessage: maxPacket, Capacity: 1})
		defer b.Close()
		path := c.Add(bridge, a)
		time.Sleep(time.Hour)
		write(t, c, push(0, 0, 1000))
		synctest.Wait()
		if path.Info().Suspect {
			t.Error("suspect for having had nothing to do")
		}
	})
}

// TestPacketsMoveToOtherPaths gives a path that takes nothing its share and
// then ends it.
func TestPacketsMoveToOtherPaths(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(user, Options{})
		defer c.Close()
		a, b := carriertest.Pair(carriertest.Options{Datagram: true, MaxMessage: maxPacket, Capacity: 1})
		stuck := c.Add(bridge, a)
		for sn := range uint32(30) {
			write(t, c, push(sn, 0, 1000))
		}
		synctest.Wait()
		b.Kill()
		stuck.Close()
		a, b = datagrams(0)
		far := collect(b)
		defer b.Close()
		c.Add(bridge, a)
		got := sns(far.take())
		if len(got) < 28 { // the carrier had taken one, and may have sent a second
			t.Errorf("only %v came over the other path", got)
		}
	})
}

func TestAddAfterClose(t *testing.T) {
	c := New(user, Options{})
	c.Close()
	a, b := datagrams(0)
	defer b.Close()
	p := c.Add(bridge, a)
	<-p.Done()
	p.Close()
	if p.Err() == nil {
		t.Error("no error")
	}
	if _, err := b.Recv(make([]byte, 10)); err == nil {
		t.Error("the carrier was left open")
	}
	if _, err := c.WriteTo(push(0, 0, 1), bridge); !errors.Is(err, net.ErrClosed) {
		t.Errorf("WriteTo: %v", err)
	}
	if _, _, err := c.ReadFrom(make([]byte, 10)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("ReadFrom: %v", err)
	}
}

// inFlight counts the data segments sent to bridge and not acknowledged.
func inFlight(c *Conn) int {
	p := c.known(bridge)
	if p == nil {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.kcp.inFlight()
}

func TestForget(t *testing.T) {
	c := New(user, Options{})
	defer c.Close()
	write(t, c, push(0, 0, 1))
	c.Forget(bridge)
	if inFlight(c) != 0 {
		t.Error("the peer's record is still there")
	}
}

// TestHostilePackets checks that nothing but the path is harmed by them.
func TestHostilePackets(t *testing.T) {
	c := New(user, Options{})
	defer c.Close()
	a, b := datagrams(0)
	defer b.Close()
	c.Add(bridge, a)
	write(t, c, push(0, 0, 10))
	long := kcpPacket(cmdAck, 0, 0, 0, 0)
	binary.LittleEndian.PutUint32(long[20:], 0xffffffff)
	for _, p := range [][]byte{{}, {1}, make([]byte, 23), make([]byte, maxPacket), long,
		kcpPacket(cmdAck, 0xffffffff, 0, 0xffffffff, 0), kcpPacket(cmdAck, 99, 0, 99, 0), kcpPacket(200, 1, 1, 1, 5)} {
		b.Send(context.Background(), p)
		if n, _, err := c.ReadFrom(make([]byte, maxPacket)); err != nil || n != len(p) {
			t.Fatalf("ReadFrom: %d, %v", n, err)
		}
	}
	if n := inFlight(c); n != 1 {
		t.Errorf("%d segments in flight, want 1", n)
	}
}

func TestEarliest(t *testing.T) {
	type pi = PathInfo
	for _, c := range []struct {
		what  string
		paths []PathInfo
		want  int
	}{
		{"no path", nil, -1},
		{"one path", []pi{{}}, 0},
		{"one full path", []pi{{Waiting: pathQueue}}, -1},
		{"the emptier", []pi{{Queued: 50000}, {Queued: 10000}}, 1},
		{"the faster", []pi{{Queued: 50000, DrainRate: 1e5}, {Queued: 50000, DrainRate: 1e6}}, 1},
		{"the nearer", []pi{{FirstHop: 200 * time.Millisecond}, {FirstHop: 20 * time.Millisecond}}, 1},
		{"not the stalled", []pi{{Stalled: time.Second}, {Queued: 100000}}, 1},
		{"a stalled one if there is no other", []pi{{Stalled: time.Second}}, 0},
		{"the next best if the best is full", []pi{{Waiting: pathQueue, DrainRate: 1e6}, {Queued: 50000, DrainRate: 1e6}}, 1},
		{"turn about where it is all the same", []pi{{LastSent: time.Unix(2, 0)}, {LastSent: time.Unix(1, 0)}, {LastSent: time.Unix(3, 0)}}, 1},
		{"wait rather than be much too late", []pi{{Waiting: pathQueue, DrainRate: 1e7}, {Queued: 100000, DrainRate: 1e4}}, -1},
	} {
		if got := (Earliest{}).Pick(1400, c.paths, time.Time{}); got != c.want {
			t.Errorf("%s: %d, want %d", c.what, got, c.want)
		}
	}
}

func BenchmarkWriteTo(b *testing.B) {
	for _, paths := range []int{1, 4} {
		b.Run(map[int]string{1: "1path", 4: "4paths"}[paths], func(b *testing.B) {
			c := New(user, Options{})
			defer c.Close()
			for range paths {
				c.Add(bridge, &sink{done: make(chan struct{})})
			}
			p := push(0, 0, 1376)
			b.SetBytes(int64(len(p)))
			b.ReportAllocs()
			sn := uint32(0)
			for b.Loop() {
				binary.LittleEndian.PutUint32(p[12:], sn)
				sn++
				c.WriteTo(p, bridge)
			}
		})
	}
}

// sink takes everything and says nothing.
type sink struct{ done chan struct{} }

func (s *sink) Send(context.Context, []byte) error { return nil }
func (s *sink) Recv([]byte) (int, error)           { <-s.done; return 0, carrier.ErrClosed }
func (s *sink) Queued() int                        { return 0 }
func (s *sink) Traits() carrier.Traits             { return carrier.Traits{Kind: "sink", MaxMessage: maxPacket} }
func (s *sink) Done() <-chan struct{}              { return s.done }
func (s *sink) Err() error                         { return nil }
func (s *sink) Close() error {
	select {
	case <-s.done:
	default:
		close(s.done)
	}
	return nil
}
