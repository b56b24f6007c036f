package multipath

import (
	"fmt"
	"io"
	"sort"
	"testing"
	"testing/synctest"
	"time"

	"flurry/common/carrier/carriertest"
	"flurry/common/simnet/line"
)

// world is a client and a server joined by shaped pairs, in virtual time.
type world struct {
	client, server *Conn
	near, far      []*carriertest.ShapedConn
	cp, sp         []*Path
}

func newWorld(pairs ...carriertest.Shaped) *world {
	w := &world{client: New(Options{Ask: true}), server: New(Options{Accept: true})}
	for _, s := range pairs {
		w.add(s)
	}
	return w
}

func (w *world) add(s carriertest.Shaped) {
	a, b := carriertest.ShapedPair(s)
	w.near, w.far = append(w.near, a), append(w.far, b)
	w.cp, w.sp = append(w.cp, w.client.Add(a)), append(w.sp, w.server.Add(b))
}

func (w *world) close() {
	w.client.Close()
	w.server.Close()
}

// result of one bulk transfer from the server to the client.
type result struct {
	rate      float64 // MB/s over the whole
	p50, p99  time.Duration
	stall     time.Duration
	first     time.Duration
	sent, rcv Stats
}

func (r result) String() string {
	return fmt.Sprintf("%.2f MB/s delay p50 %v p99 %v stall %v first %v sent %d resent %d spurious %d dup %d",
		r.rate, r.p50.Round(time.Millisecond), r.p99.Round(time.Millisecond), r.stall.Round(time.Millisecond), r.first.Round(time.Millisecond), r.sent.Sent, r.sent.Resent, r.sent.Spurious, r.rcv.Duplicate)
}

const chunk = 32 << 10

// download moves data for d and says how it went.
func (w *world) download(t *testing.T, d time.Duration, events func()) result {
	t.Helper()
	begin := time.Now()
	stop := begin.Add(d)
	times := make(chan time.Time, 1<<16)
	go func() {
		defer close(times)
		b := make([]byte, chunk)
		for time.Now().Before(stop) {
			times <- time.Now()
			if _, err := w.server.Write(b); err != nil {
				return
			}
		}
	}()
	if events != nil {
		go events()
	}
	var r result
	var delays []time.Duration
	b := make([]byte, chunk)
	last := begin
	n := 0
	for at := range times {
		for got := 0; got < chunk; {
			k, err := w.client.Read(b[:chunk-got])
			if err != nil {
				t.Fatal(err)
			}
			now := time.Now()
			if n == 0 {
				r.first = now.Sub(begin)
			} else {
				r.stall = max(r.stall, now.Sub(last))
			}
			last = now
			n += k
			got += k
		}
		delays = append(delays, time.Since(at))
	}
	r.rate = float64(n) / 1e6 / time.Since(begin).Seconds()
	sort.Slice(delays, func(i, j int) bool { return delays[i] < delays[j] })
	r.p50, r.p99 = delays[len(delays)/2], delays[len(delays)*99/100]
	r.sent, r.rcv = w.server.Stats(), w.client.Stats()
	return r
}

// hello makes the conversation known to the server.
func (w *world) hello(t *testing.T) {
	t.Helper()
	for range 5 {
		w.client.Write([]byte("hello"))
		if _, err := io.ReadFull(w.server, make([]byte, 5)); err != nil {
			t.Fatal(err)
		}
		w.server.Write([]byte("hello"))
		if _, err := io.ReadFull(w.client, make([]byte, 5)); err != nil {
			t.Fatal(err)
		}
	}
}

// wan is scenario S2's way with another loss and rate of the volunteer.
func wan(kind carriertest.Kind, rate float64, loss float64) carriertest.Shaped {
	return carriertest.Shaped{Kind: kind,
		AB: line.Shape{Rate: rate, Delay: 85 * time.Millisecond, Queue: 200 * time.Millisecond, Loss: loss, Seed: 1},
		BA: line.Shape{Rate: rate, Delay: 85 * time.Millisecond, Queue: 200 * time.Millisecond, Loss: loss, Seed: 2}}
}

// few leaves out two of three cases under the race detector: they run the same
// code, for which it takes its time, and make test-simulated runs them all.
func few[T any](cases []T) []T {
	if !raceEnabled {
		return cases
	}
	var third []T
	for i := 0; i < len(cases); i += 3 {
		third = append(third, cases[i])
	}
	return third
}

// TestSimTable holds downloads to bounds a little below what they reach. To print
// the figures: go test -v -run SimTable. The first download starts cold; the
// second is that of a path that is known.
func TestSimTable(t *testing.T) {
	const mb, lossy = 1e6, carriertest.Lossy
	type bounds struct {
		cold, warm float64       // MB/s at least
		delay      time.Duration // median at most, warm
		stall      time.Duration // at most, warm
		resent     float64       // share of what was sent, at most
	}
	type row struct {
		name  string
		pairs []carriertest.Shaped
		bounds
	}
	for _, c := range few([]row{
		{"50 Mbit/s", []carriertest.Shaped{wan(lossy, 6.25*mb, 0)}, bounds{5.3, 5.8, 180 * ms, 100 * ms, 0.03}},
		{"50 Mbit/s, stream", []carriertest.Shaped{wan(carriertest.Ordered, 6.25*mb, 0)}, bounds{5.3, 5.8, 180 * ms, 100 * ms, 0}},
		{"50 Mbit/s, 1 % loss", []carriertest.Shaped{wan(lossy, 6.25*mb, 0.01)}, bounds{4.7, 5.4, 550 * ms, time.Second, 0.05}},
		{"50 Mbit/s, 3 %", []carriertest.Shaped{wan(lossy, 6.25*mb, 0.03)}, bounds{4.4, 5.2, 700 * ms, 1300 * ms, 0.08}},
		{"50 Mbit/s, 10 %", []carriertest.Shaped{wan(lossy, 6.25*mb, 0.10)}, bounds{2.8, 4.6, time.Second, 1300 * ms, 0.19}},
		{"1 Mbit/s", []carriertest.Shaped{wan(lossy, .125*mb, 0)}, bounds{.1, .11, 950 * ms, 300 * ms, 0.05}},
		{"1 Mbit/s, 10 %", []carriertest.Shaped{wan(lossy, .125*mb, 0.1)}, bounds{.06, .085, 1700 * ms, 1500 * ms, 0.25}},
		{"four of 8 Mbit/s", []carriertest.Shaped{wan(lossy, mb, 0), wan(lossy, mb, 0), wan(lossy, mb, 0), wan(lossy, mb, 0)},
			bounds{3.3, 3.7, 200 * ms, 150 * ms, 0.03}},
		{"8 and 24 Mbit/s, 3 %", []carriertest.Shaped{wan(lossy, mb, 0.03), wan(lossy, 3*mb, 0.03)}, bounds{2.9, 3.3, 600 * ms, 800 * ms, 0.08}},
	}) {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(c.pairs...)
				defer w.close()
				w.hello(t)
				cold := w.download(t, 7*time.Second, nil)
				warm := w.download(t, 20*time.Second, nil)
				t.Logf("cold: %v", cold)
				t.Logf("warm: %v", warm)
				for _, p := range w.server.Paths() {
					t.Logf("  rtt %v rate %.2f window %d flying %d", p.RTT, p.Rate/1e6, p.Window, p.InFlight)
				}
				if cold.rate < c.cold || warm.rate < c.warm {
					t.Errorf("%.2f MB/s cold and %.2f warm, want %.2f and %.2f", cold.rate, warm.rate, c.cold, c.warm)
				}
				if warm.p50 > c.delay || warm.stall > c.stall {
					t.Errorf("delay %v and stall %v, want at most %v and %v", warm.p50, warm.stall, c.delay, c.stall)
				}
				if share := float64(warm.sent.Resent) / float64(warm.sent.Sent); share > c.resent {
					t.Errorf("%.3f of the segments sent again, want at most %.3f", share, c.resent)
				}
			})
		})
	}
}
