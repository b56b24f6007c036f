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

func TestSimTable(t *testing.T) {
	mb := 1e6
	for _, c := range []struct {
		name  string
		pairs []carriertest.Shaped
	}{
		{"S2", []carriertest.Shaped{wan(carriertest.Lossy, 6.25*mb, 0)}},
		{"S2 stream", []carriertest.Shaped{wan(carriertest.Ordered, 6.25*mb, 0)}},
		{"1%", []carriertest.Shaped{wan(carriertest.Lossy, 6.25*mb, 0.01)}},
		{"3%", []carriertest.Shaped{wan(carriertest.Lossy, 6.25*mb, 0.03)}},
		{"10%", []carriertest.Shaped{wan(carriertest.Lossy, 6.25*mb, 0.10)}},
		{"thin", []carriertest.Shaped{wan(carriertest.Lossy, .125*mb, 0)}},
		{"thin 10%", []carriertest.Shaped{wan(carriertest.Lossy, .125*mb, 0.1)}},
		{"S5", []carriertest.Shaped{wan(carriertest.Lossy, mb, 0), wan(carriertest.Lossy, mb, 0), wan(carriertest.Lossy, mb, 0), wan(carriertest.Lossy, mb, 0)}},
		{"two 3%", []carriertest.Shaped{wan(carriertest.Lossy, mb, 0.03), wan(carriertest.Lossy, 3*mb, 0.03)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(c.pairs...)
				defer w.close()
				w.hello(t)
				for _, d := range []time.Duration{7 * time.Second, 20 * time.Second} {
					t.Log(c.name, w.download(t, d, nil))
				}
				for _, p := range w.server.Paths() {
					t.Logf("  rtt %v rate %.2f window %d flying %d", p.RTT, p.Rate/1e6, p.Window, p.InFlight)
				}
			})
		})
	}
}
