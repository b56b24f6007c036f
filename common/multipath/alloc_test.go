//go:build !race

// The race detector makes sync.Pool forget, so that nothing can be said of
// allocations under it.

package multipath

import (
	"context"
	"runtime"
	"sync"
	"testing"

	"flurry/common/carrier"
)

// A ring is a pair of queues without a thought of time, and without allocations:
// what is measured with it is the conversation's.
type ring struct {
	lossy    bool
	in, out  chan *packet
	done     chan struct{}
	peerDone chan struct{}
	once     sync.Once
}

func rings(lossy bool) (a, b *ring) {
	ab, ba := make(chan *packet, 256), make(chan *packet, 256)
	a = &ring{lossy: lossy, in: ba, out: ab, done: make(chan struct{})}
	b = &ring{lossy: lossy, in: ab, out: ba, done: make(chan struct{})}
	a.peerDone, b.peerDone = b.done, a.done
	return a, b
}

func (r *ring) Send(ctx context.Context, msg []byte) error {
	p := newPacket()
	p.n = copy(p.data[:], msg)
	select {
	case r.out <- p:
		return nil
	case <-r.done:
	case <-r.peerDone:
	}
	return carrier.ErrClosed
}

func (r *ring) SendBatch(ctx context.Context, msgs [][]byte) error {
	for _, m := range msgs {
		if err := r.Send(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

func (r *ring) Recv(buf []byte) (int, error) {
	select {
	case p := <-r.in:
		n := copy(buf, p.bytes())
		p.free()
		return n, nil
	case <-r.done:
		return 0, carrier.ErrClosed
	}
}

func (r *ring) Queued() int           { return 0 }
func (r *ring) Done() <-chan struct{} { return r.done }
func (r *ring) Err() error            { return nil }
func (r *ring) Traits() carrier.Traits {
	t := carrier.Traits{Kind: "mem", Lossy: r.lossy, MaxMessage: maxPacket}
	if r.lossy {
		t.Fit = lossyPacket
	}
	return t
}

func (r *ring) Close() error {
	r.once.Do(func() { close(r.done) })
	return nil
}

// bulk moves data from one end to the other.
type bulk struct {
	from, to *Conn
	b        []byte
	left     chan int // bytes for the reader to read
	read     chan struct{}
}

func newBulk(tb testing.TB, paths int, lossy bool) *bulk {
	k := &bulk{from: New(Options{Ask: true}), to: New(Options{Accept: true}), b: make([]byte, 32<<10),
		left: make(chan int), read: make(chan struct{})}
	for range paths {
		x, y := rings(lossy)
		k.from.Add(x)
		k.to.Add(y)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		b := make([]byte, 32<<10)
		for n := range k.left {
			for n > 0 {
				got, err := k.to.Read(b[:min(n, len(b))])
				if err != nil {
					return
				}
				n -= got
			}
			k.read <- struct{}{}
		}
	}()
	tb.Cleanup(func() {
		close(k.left)
		k.from.Close()
		k.to.Close()
		<-ended
	})
	return k
}

// move moves n bytes.
func (k *bulk) move(n int) {
	k.left <- n
	for n > 0 {
		w, err := k.from.Write(k.b[:min(n, len(k.b))])
		if err != nil {
			panic(err)
		}
		n -= w
	}
	<-k.read
}

// Write, dispatch, the path's goroutines, input, acknowledgements and Read do not
// allocate for each packet, once rings and pools are filled.
func TestBulkDoesNotAllocate(t *testing.T) {
	for name, c := range map[string]struct {
		paths int
		lossy bool
	}{"lossy": {1, true}, "stream": {1, false}, "three lossy": {3, true}} {
		t.Run(name, func(t *testing.T) {
			k := newBulk(t, c.paths, c.lossy)
			k.move(32 << 20)
			var before, after runtime.MemStats
			packets := k.from.Stats().Sent
			runtime.ReadMemStats(&before)
			k.move(32 << 20)
			runtime.ReadMemStats(&after)
			packets = k.from.Stats().Sent - packets
			allocs := float64(after.Mallocs-before.Mallocs) / float64(packets)
			bytes := float64(after.TotalAlloc-before.TotalAlloc) / float64(packets)
			t.Logf("%.4f allocations, %.1f bytes, per packet of %d", allocs, bytes, packets)
			// The collector empties pools, and a reader that lags makes rings grow:
			// rarely.
			if allocs > 0.25 {
				t.Errorf("%.4f allocations per packet", allocs)
			}
			if bytes > 300 {
				t.Errorf("%.1f bytes allocated per packet", bytes)
			}
		})
	}
}

func TestPickDoesNotAllocate(t *testing.T) {
	paths := []PathInfo{free(50*ms, 1e6), full(20*ms, 1e6), doubted(free(10*ms, 1e6)), free(0, 0)}
	var s Scheduler = Earliest{}
	if n := testing.AllocsPerRun(100, func() { s.Pick(1140, paths) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkPick(b *testing.B) {
	paths := []PathInfo{free(50*ms, 1e6), full(20*ms, 1e6), doubted(free(10*ms, 1e6)), free(0, 0)}
	var s Scheduler = Earliest{}
	b.ReportAllocs()
	for b.Loop() {
		s.Pick(1140, paths)
	}
}

// One operation is one packet: written, sent, received, acknowledged, read.
func BenchmarkBulk(b *testing.B) {
	for _, c := range []struct {
		name  string
		paths int
		lossy bool
	}{{"lossy", 1, true}, {"stream", 1, false}, {"three", 3, true}} {
		b.Run(c.name, func(b *testing.B) {
			k := newBulk(b, c.paths, c.lossy)
			k.move(8 << 20)
			size := maxPacket - headerLen
			if c.lossy {
				size = lossyPacket - headerLen
			}
			b.SetBytes(int64(size))
			b.ReportAllocs()
			b.ResetTimer()
			k.move(b.N * size)
		})
	}
}

// The cost of one turn of a quiet conversation: a click and its answer.
func BenchmarkEcho(b *testing.B) {
	k := newBulk(b, 1, true)
	k.move(1)
	b.ReportAllocs()
	for b.Loop() {
		k.move(500)
	}
}
