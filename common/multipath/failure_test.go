package multipath

import (
	"bytes"
	"crypto/sha256"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"flurry/common/carrier/carriertest"
	"flurry/common/simnet/line"
	"flurry/common/vectors"
)

// The failures of the design's table, over memory carriers in virtual time.

// asym is a path with another shape each way: up from the client, down to it.
func asym(kind carriertest.Kind, up, down line.Shape) carriertest.Shaped {
	up.Seed, down.Seed = 3, 4
	return carriertest.Shaped{Kind: kind, AB: up, BA: down}
}

// A fast path is not slower for a slow one beside it.
func TestFastAndSlowPath(t *testing.T) {
	for _, kind := range []carriertest.Kind{carriertest.Lossy, carriertest.Ordered} {
		fast, slow := wan(kind, 3e6, 0), wan(kind, 1e6, 0)
		fast.AB.Delay, fast.BA.Delay = 10*ms, 10*ms
		slow.AB.Delay, slow.BA.Delay = 300*ms, 300*ms
		alone := run(t, 8*time.Second, fast)
		both := run(t, 8*time.Second, fast, slow)
		t.Logf("kind %v: alone %v", kind, alone)
		t.Logf("kind %v: both  %v", kind, both)
		if both.rate < 0.97*alone.rate {
			t.Errorf("%.2f MB/s with a slow path, %.2f without", both.rate, alone.rate)
		}
		if both.stall > 700*ms {
			t.Errorf("stalls for %v", both.stall)
		}
	}
}

// run is a world of the given paths after a hello and a download.
func run(t *testing.T, d time.Duration, pairs ...carriertest.Shaped) (r result) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(pairs...)
		defer w.close()
		w.hello(t)
		r = w.download(t, d, nil)
	})
	return r
}

// Acknowledgements that get lost, or share 64 kbit/s, do not stop a download.
func TestAckPath(t *testing.T) {
	down := line.Shape{Rate: 2e6, Delay: 85 * ms, Queue: 200 * ms}
	for _, c := range []struct {
		name   string
		kind   carriertest.Kind
		up     line.Shape
		rate   float64
		resent float64 // of what was sent, at most
	}{
		{"10 % loss up", carriertest.Lossy, line.Shape{Rate: 1e6, Delay: 85 * ms, Loss: 0.1}, 1.5, 0.08},
		{"30 % loss up", carriertest.Lossy, line.Shape{Rate: 1e6, Delay: 85 * ms, Loss: 0.3}, 1, 0.2},
		{"64 kbit/s up", carriertest.Lossy, line.Shape{Rate: 8e3, Delay: 85 * ms, Queue: 500 * ms}, 0.5, 0.2},
		{"64 kbit/s up, stream", carriertest.Ordered, line.Shape{Rate: 8e3, Delay: 85 * ms}, 0.5, 0.1},
	} {
		r := run(t, 10*time.Second, asym(c.kind, c.up, down))
		t.Logf("%s: %v", c.name, r)
		if r.rate < c.rate {
			t.Errorf("%s: %.2f MB/s, want %.2f", c.name, r.rate, c.rate)
		}
		if float64(r.sent.Resent) > c.resent*float64(r.sent.Sent) {
			t.Errorf("%s: %d of %d sent again", c.name, r.sent.Resent, r.sent.Sent)
		}
	}
}

// Bursts of the application say little of what the path can do; a download after
// them fills it and makes no queue that lasts.
func TestBurstsThenDownload(t *testing.T) {
	for _, kind := range []carriertest.Kind{carriertest.Lossy, carriertest.Ordered} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(wan(kind, 2e6, 0))
			defer w.close()
			w.hello(t)
			burst := make([]byte, 1<<20)
			for range 10 {
				begin := time.Now()
				go w.server.Write(burst)
				if _, err := io.ReadFull(w.client, make([]byte, len(burst))); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(begin); took > 2*time.Second {
					t.Errorf("a burst of 1 MiB took %v at 2 MB/s", took)
				}
				time.Sleep(2 * time.Second)
			}
			r := w.download(t, 10*time.Second, nil)
			t.Logf("kind %v: %v", kind, r)
			if r.rate < 1.75 {
				t.Errorf("%.2f MB/s of 2", r.rate)
			}
			if r.p50 > 250*ms {
				t.Errorf("delay of %v", r.p50)
			}
		})
	}
}

// Two paths through one narrow line: its rate, in halves or so, without a queue
// that lasts.
func TestTwoPathsOneBottleneck(t *testing.T) {
	for _, kind := range []carriertest.Kind{carriertest.Lossy, carriertest.Ordered} {
		synctest.Test(t, func(t *testing.T) {
			narrow := line.Shape{Rate: 1e6, Delay: 5 * ms, Queue: 200 * ms}
			up, down := line.New(narrow), line.New(narrow)
			pair := shaped(kind, 60*ms)
			pair.ThenAB, pair.ThenBA = []*line.Line{up}, []*line.Line{down}
			w := newWorld(pair, pair)
			defer w.close()
			w.hello(t)
			w.download(t, 5*time.Second, nil)
			r := w.download(t, 20*time.Second, nil)
			a, b := w.far[0].Line().Stats().Bytes, w.far[1].Line().Stats().Bytes
			t.Logf("kind %v: %v, %d and %d bytes, queue at most %v", kind, r, a, b, down.Stats().Longest)
			if r.rate < 0.85 {
				t.Errorf("%.2f MB/s of 1", r.rate)
			}
			if r.p50 > 400*ms {
				t.Errorf("delay of %v", r.p50)
			}
			if min(a, b)*8 < max(a, b) {
				t.Errorf("one path took %d bytes, the other %d", a, b)
			}
		})
	}
}

// A path that delays all by two seconds for a while: what is in doubt goes again
// once, and the rate comes back.
func TestPathThatDelays(t *testing.T) {
	for _, kind := range []carriertest.Kind{carriertest.Lossy, carriertest.Ordered} {
		for _, paths := range []int{1, 2} {
			synctest.Test(t, func(t *testing.T) {
				pairs := []carriertest.Shaped{wan(kind, 2e6, 0), wan(kind, 2e6, 0)}
				w := newWorld(pairs[:paths]...)
				defer w.close()
				w.hello(t)
				r := w.download(t, 25*time.Second, func() {
					time.Sleep(5 * time.Second)
					w.far[0].Line().Change(func(s *line.Shape) { s.Delay += 2 * time.Second })
					time.Sleep(5 * time.Second)
					w.far[0].Line().Change(func(s *line.Shape) { s.Delay -= 2 * time.Second })
				})
				end := w.download(t, 5*time.Second, nil)
				t.Logf("kind %v, %d paths: %v; then %v", kind, paths, r, end)
				if most := r.sent.Sent / 10; r.rcv.Duplicate > most {
					t.Errorf("%d duplicates, at most %d", r.rcv.Duplicate, most)
				}
				if r.stall > 3500*ms || paths == 2 && r.stall > 2*time.Second {
					t.Errorf("stalls for %v", r.stall)
				}
				if want := 1.4 * float64(paths); end.rate < want {
					t.Errorf("%.2f MB/s afterwards, want %.2f", end.rate, want)
				}
			})
		}
	}
}

// Reordering by up to a tenth of a second is not taken for loss for long.
func TestPathThatReorders(t *testing.T) {
	s := line.Shape{Rate: 2e6, Delay: 60 * ms, Queue: 200 * ms, Reorder: 1, ReorderBy: 30 * ms}
	r := run(t, 10*time.Second, asym(carriertest.Lossy, s, s))
	t.Logf("all by up to 30 ms: %v", r)
	if r.rate < 1.6 {
		t.Errorf("%.2f MB/s of 2", r.rate)
	}
	if most := r.sent.Sent / 50; r.sent.Resent-most > most {
		t.Errorf("%d of %d sent again", r.sent.Resent, r.sent.Sent)
	}
	s.Reorder, s.ReorderBy = 0.1, 100*ms
	r = run(t, 10*time.Second, asym(carriertest.Lossy, s, s))
	t.Logf("a tenth by up to 100 ms: %v", r)
	if r.rate < 1.4 {
		t.Errorf("%.2f MB/s of 2", r.rate)
	}
	if r.sent.Resent > r.sent.Sent/20 {
		t.Errorf("%d of %d sent again", r.sent.Resent, r.sent.Sent)
	}
}

// 30 % loss each way still makes progress.
func TestHeavyLoss(t *testing.T) {
	r := run(t, 20*time.Second, wan(carriertest.Lossy, 1e6, 0.3))
	t.Logf("%v", r)
	if r.rate < 0.25 {
		t.Errorf("%.2f MB/s of 0.7", r.rate)
	}
}

// exchange moves size bytes each way at once, and checks them.
func (w *world) exchange(t *testing.T, size int) time.Duration {
	t.Helper()
	begin := time.Now()
	var group sync.WaitGroup
	one := func(seed int, from io.Writer, to io.Reader) {
		data := vectors.Payload(seed, size)
		group.Go(func() {
			for rest := data; len(rest) > 0; {
				n := min(len(rest), 9999)
				from.Write(rest[:n])
				rest = rest[n:]
			}
		})
		group.Go(func() {
			h := sha256.New()
			n, err := io.CopyN(h, to, int64(size))
			if sum := sha256.Sum256(data); err != nil || !bytes.Equal(h.Sum(nil), sum[:]) {
				t.Errorf("%d bytes of %d, or changed: %v", n, size, err)
			}
		})
	}
	one(1, w.client, w.server)
	one(2, w.server, w.client)
	group.Wait()
	return time.Since(begin)
}

// Bulk both ways at once: each way gets its line, or half of it at least, as the
// queue of one way is in the round trips of the other.
func TestBothWays(t *testing.T) {
	for name, pair := range map[string]carriertest.Shaped{
		"lossy":         wan(carriertest.Lossy, 2e6, 0),
		"lossy, 3 %":    wan(carriertest.Lossy, 2e6, 0.03),
		"stream":        wan(carriertest.Ordered, 2e6, 0),
		"stream, 0.1 %": wan(carriertest.Ordered, 2e6, 0.001),
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(pair)
			defer w.close()
			w.hello(t)
			const size = 16 << 20
			took := w.exchange(t, size)
			t.Logf("%s: %.2f MB/s each way; %+v", name, size/1e6/took.Seconds(), w.server.Stats())
			if took > 17*time.Second {
				t.Errorf("%s: took %v", name, took)
			}
		})
	}
}

// All paths are replaced every five seconds for two minutes; no byte is lost and
// little goes twice.
func TestPathsReplaced(t *testing.T) {
	for _, kind := range []carriertest.Kind{carriertest.Lossy, carriertest.Ordered} {
		for name, leave := range map[string]func(w *world, i int){
			"closed": func(w *world, i int) { w.cp[i].Close() },
			"silent": func(w *world, i int) { w.near[i].Silence(true) },
		} {
			synctest.Test(t, func(t *testing.T) {
				s := wan(kind, 0.5e6, 0.01)
				s.AB.Delay, s.BA.Delay = 40*ms, 40*ms
				w := newWorld(s, s)
				defer w.close()
				w.hello(t)
				stop := make(chan struct{})
				var changes sync.WaitGroup
				changes.Go(func() {
					for i := 0; ; i += 2 {
						select {
						case <-time.After(5 * time.Second):
						case <-stop:
							return
						}
						if name == "silent" { // the dialler notices the silence
							leave(w, i)
							leave(w, i+1)
							time.Sleep(time.Second)
						}
						w.add(s)
						w.add(s)
						for _, j := range []int{i, i + 1} {
							w.cp[j].Close()
							w.sp[j].Close()
						}
					}
				})
				const size = 60 << 20
				took := w.exchange(t, size)
				close(stop)
				changes.Wait()
				st, dup := w.server.Stats(), w.client.Stats().Duplicate
				t.Logf("kind %v, %s: %v for %d MiB each way, %d paths; %+v, %d duplicates", kind, name, took, size>>20, len(w.near), st, dup)
				if took < time.Minute || took > 200*time.Second {
					t.Errorf("took %v", took)
				}
				if dup > st.Sent/20 {
					t.Errorf("%d duplicates of %d", dup, st.Sent)
				}
				if st.Resent > st.Sent/4 {
					t.Errorf("%d sent again of %d", st.Resent, st.Sent)
				}
			})
		}
	}
}
