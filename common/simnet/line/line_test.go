package line

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// record notes when packets arrive; used inside a bubble, where runs do not overlap.
type record struct {
	start   time.Time
	arrived []int
	at      []time.Duration
	lost    []int
}

type packet struct {
	r        *record
	id, size int
	reliable bool
}

func (p packet) Len() int       { return p.size }
func (p packet) Reliable() bool { return p.reliable }
func (p packet) Lost()          { p.r.lost = append(p.r.lost, p.id) }
func (p packet) Arrive() {
	p.r.arrived = append(p.r.arrived, p.id)
	p.r.at = append(p.r.at, time.Since(p.r.start))
}

// put sends n packets of 1000 bytes at once over a line of the given shape.
func put(l *Line, n int, reliable bool) *record {
	r := &record{start: time.Now()}
	for i := range n {
		l.Put(packet{r, i, 1000, reliable})
	}
	return r
}

// settle lets everything under way arrive. The time is that of the bubble.
func settle() {
	time.Sleep(time.Hour)
	synctest.Wait()
}

func TestRateAndDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Shape{Rate: 100_000, Delay: 50 * time.Millisecond})
		r := put(l, 3, false)
		settle()
		want := []time.Duration{60 * time.Millisecond, 70 * time.Millisecond, 80 * time.Millisecond}
		if !slices.Equal(r.at, want) {
			t.Errorf("arrived at %v, want %v", r.at, want)
		}
		if s := l.Stats(); s.Arrived != 3 || s.Bytes != 3000 || s.Longest != 20*time.Millisecond || s.Queued != 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestQueueDropsTheTail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, s := range map[string]Shape{
			"time":  {Rate: 100_000, Queue: 50 * time.Millisecond},
			"bytes": {Rate: 100_000, QueueBytes: 5000},
			"both":  {Rate: 100_000, Queue: time.Second, QueueBytes: 5000},
		} {
			l := New(s)
			r := put(l, 8, false)
			settle()
			if !slices.Equal(r.arrived, []int{0, 1, 2, 3, 4}) || !slices.Equal(r.lost, []int{5, 6, 7}) || l.Stats().Dropped != 3 {
				t.Errorf("%s: arrived %v, lost %v", name, r.arrived, r.lost)
			}
			if r := put(l, 8, true); len(r.lost) > 0 {
				t.Errorf("%s: reliable packets were dropped", name)
			}
		}
	})
}

func TestNarrowLineTakesOnePacket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := put(New(Shape{Rate: 1000, Queue: time.Millisecond}), 3, false)
		settle()
		if len(r.arrived) != 1 {
			t.Errorf("%d arrived", len(r.arrived))
		}
	})
}

func TestJitterKeepsTheOrderAndReorderDoesNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := put(New(Shape{Rate: 1e6, Queue: time.Hour, Delay: time.Second, Jitter: 50 * time.Millisecond, Seed: 1}), 100, false)
		settle()
		if len(r.arrived) != 100 || !slices.IsSorted(r.arrived) {
			t.Errorf("jitter: %v", r.arrived)
		}
		if spread := r.at[99] - r.at[0]; spread < 60*time.Millisecond {
			t.Errorf("jitter spreads 100 ms of packets over %v", spread)
		}
		r = put(New(Shape{Rate: 1e6, Queue: time.Hour, Reorder: 1, ReorderBy: 50 * time.Millisecond, Seed: 1}), 100, false)
		settle()
		displaced := 0
		for i, id := range r.arrived {
			if i != id {
				displaced++
			}
		}
		if len(r.arrived) != 100 || displaced < 80 {
			t.Errorf("reordering moved %d of %d", displaced, len(r.arrived))
		}
	})
}

func TestLossTakesPacketsAndDelaysStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Shape{Delay: 100 * time.Millisecond, Loss: 0.3, Seed: 7})
		r := put(l, 1000, false)
		settle()
		if n := len(r.lost); n < 250 || n > 350 || n+len(r.arrived) != 1000 || l.Stats().Lost != n {
			t.Errorf("%d of 1000 lost at 30 %%", n)
		}
		again := put(New(Shape{Delay: 100 * time.Millisecond, Loss: 0.3, Seed: 7}), 1000, false)
		settle()
		if !slices.Equal(again.lost, r.lost) {
			t.Error("the same seed loses other packets")
		}
		r = put(New(Shape{Delay: 100 * time.Millisecond, Loss: 0.3, Seed: 7}), 1000, true)
		settle()
		if len(r.arrived) != 1000 || r.at[999] != 300*time.Millisecond {
			t.Errorf("reliable: %d arrived, the last after %v", len(r.arrived), r.at[len(r.at)-1])
		}
	})
}

func TestChangeOfRateHoldsForWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Shape{Rate: 100_000, Queue: time.Minute})
		r := put(l, 3, false)
		time.Sleep(5 * time.Millisecond) // half of the first
		l.Change(func(s *Shape) { s.Rate = 10_000 })
		settle()
		want := []time.Duration{55 * time.Millisecond, 155 * time.Millisecond, 255 * time.Millisecond}
		if !slices.Equal(r.at, want) {
			t.Errorf("arrived at %v, want %v", r.at, want)
		}
	})
}

func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Shape{Delay: 50 * time.Millisecond})
		lossy, reliable := put(l, 2, false), put(l, 2, true)
		time.Sleep(20 * time.Millisecond)
		l.Silence(true)
		settle()
		if len(lossy.arrived)+len(reliable.arrived)+len(reliable.lost) > 0 || len(lossy.lost) != 2 {
			t.Errorf("in silence: %+v, %+v", lossy, reliable)
		}
		l.Silence(false)
		settle()
		if !slices.Equal(reliable.arrived, []int{0, 1}) {
			t.Errorf("after it: %+v", reliable)
		}
	})
}

func BenchmarkLine(b *testing.B) {
	l := New(Shape{})
	r := &benchPacket{}
	b.ReportAllocs()
	for b.Loop() {
		l.Put(r)
	}
}

type benchPacket struct{ arrived int }

func (p *benchPacket) Len() int       { return 1200 }
func (p *benchPacket) Reliable() bool { return false }
func (p *benchPacket) Lost()          {}
func (p *benchPacket) Arrive()        { p.arrived++ }
