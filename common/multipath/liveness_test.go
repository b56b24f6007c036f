package multipath

import (
	"io"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"flurry/common/carrier/carriertest"
	"flurry/common/simnet/line"
)

// shaped is a pair without a narrow place, of the given delay each way.
func shaped(kind carriertest.Kind, delay time.Duration) carriertest.Shaped {
	return carriertest.Shaped{Kind: kind, AB: line.Shape{Delay: delay}, BA: line.Shape{Delay: delay}}
}

// packets counts what has arrived on both lines of every path.
func (w *world) packets() (n int) {
	for i := range w.near {
		n += w.near[i].Line().Stats().Arrived + w.far[i].Line().Stats().Arrived
	}
	return n
}

// An idle conversation costs a question and an answer on each path every ten
// seconds or so, and wakes the client for nothing else.
func TestIdle(t *testing.T) {
	for _, kind := range []carriertest.Kind{carriertest.Lossy, carriertest.Ordered} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(shaped(kind, 85*ms), shaped(kind, 40*ms))
			defer w.close()
			w.hello(t)
			time.Sleep(30 * time.Second)
			before, sent := w.packets(), w.server.Stats()
			var wakes atomic.Int32
			w.client.mu.Lock()
			w.client.timer.Stop()
			w.client.timer = time.AfterFunc(time.Hour, func() { wakes.Add(1); w.client.tick() })
			w.client.armed = never
			w.client.armLocked(w.client.now())
			w.client.mu.Unlock()
			const minutes = 10
			time.Sleep(minutes * time.Minute)
			n, ticks := w.packets()-before, int(wakes.Load())
			t.Logf("kind %v: %d packets and %d wakes in %d minutes", kind, n, ticks, minutes)
			questions := minutes * 60 / 10 * len(w.cp)
			if n < questions*2*7/10 || n > questions*2*13/10 {
				t.Errorf("%d packets, want about %d", n, questions*2)
			}
			if ticks > n { // one to ask, one that finds the answer there
				t.Errorf("the client woke %d times for %d packets", ticks, n)
			}
			if w.server.Stats() != sent {
				t.Errorf("segments were sent: %+v", w.server.Stats())
			}
			for _, p := range w.client.Paths() {
				if p.Doubt || time.Since(p.LastHeard) > idleAfter*3/2 {
					t.Errorf("%+v", p)
				}
			}
		})
	}
}

// The end that does not ask is silent.
func TestIdleServerIsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Options{Accept: true})
		defer c.Close()
		b, _ := against(c, true, false)
		b.push(0, "x")
		time.Sleep(time.Minute)
		b.hear()
		time.Sleep(time.Hour)
		if hs := b.hear(); len(hs) != 0 {
			t.Errorf("%d segments in an hour", len(hs))
		}
	})
}

// Of two paths one falls silent under load: what it holds goes elsewhere within
// about a round trip, and the stream goes on.
func TestSilentPathOfTwo(t *testing.T) {
	for _, kind := range []carriertest.Kind{carriertest.Lossy, carriertest.Ordered} {
		for _, phase := range few([]int{0, 1, 2, 3, 4, 5, 6, 7}) {
			synctest.Test(t, func(t *testing.T) {
				s := wan(kind, 2e6, 0)
				w := newWorld(s, s)
				defer w.close()
				w.hello(t)
				r := w.download(t, 10*time.Second, func() {
					time.Sleep(5*time.Second + time.Duration(phase)*37*ms)
					w.near[1].Silence(true)
				})
				t.Logf("kind %v phase %d: %v", kind, phase, r)
				// Its round trip with the queue that the start made, one and a half
				// times (flight.timeout), and one more for the repair.
				if most := time.Second; r.stall > most {
					t.Errorf("stalls for %v, at most %v", r.stall, most)
				}
				if r.rate < 2 {
					t.Errorf("%.2f MB/s, want 2", r.rate)
				}
				if r.sent.Resent > r.sent.Sent/12 { // what the path held, and the queue that the start made
					t.Errorf("%d of %d sent again", r.sent.Resent, r.sent.Sent)
				}
				if r.rcv.Duplicate > r.sent.Sent/50 {
					t.Errorf("%d duplicates of %d", r.rcv.Duplicate, r.sent.Sent)
				}
			})
		}
	}
}

// The only path falls silent: suspect after two time-outs, nothing is lost when
// it speaks again, and no burst of what had arrived goes with it.
func TestOnlyPathSilent(t *testing.T) {
	for _, kind := range []carriertest.Kind{carriertest.Lossy, carriertest.Ordered} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(wan(kind, 2e6, 0))
			defer w.close()
			w.hello(t)
			const silence = 6 * time.Second
			var suspectAfter time.Duration
			r := w.download(t, 20*time.Second, func() {
				time.Sleep(5 * time.Second)
				begin := time.Now()
				w.near[0].Silence(true)
				for !w.sp[0].Info().Suspect && time.Since(begin) < silence {
					time.Sleep(10 * ms)
				}
				suspectAfter = time.Since(begin)
				time.Sleep(silence - suspectAfter)
				w.near[0].Silence(false)
			})
			t.Logf("kind %v: suspect after %v; %v", kind, suspectAfter, r)
			// Three time-outs' time: the first, and the second twice as long.
			if suspectAfter < 2*timeoutMin || suspectAfter > 2*time.Second {
				t.Errorf("suspect after %v", suspectAfter)
			}
			if r.rate < 1 { // 14 seconds of 20 at 2 MB/s are 1.4
				t.Errorf("%.2f MB/s over all: the rate does not come back", r.rate)
			}
			if r.stall > silence+4*time.Second {
				t.Errorf("stalls for %v after a silence of %v", r.stall, silence)
			}
			if most := r.sent.Sent / 20; r.rcv.Duplicate > most {
				t.Errorf("%d duplicates, at most %d", r.rcv.Duplicate, most)
			}
			if i := w.sp[0].Info(); i.Suspect || i.Doubt {
				t.Error("still in doubt")
			}
		})
	}
}

// A client that only listens finds out, too: a quiet path is asked.
func TestQuietPathIsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(shaped(carriertest.Lossy, 40*ms), shaped(carriertest.Lossy, 60*ms))
		defer w.close()
		w.hello(t)
		stop := make(chan struct{})
		go func() {
			tick := time.NewTicker(20 * ms)
			defer tick.Stop()
			for {
				select {
				case <-tick.C:
					w.server.Write(make([]byte, 500))
				case <-stop:
					return
				}
			}
		}()
		go io.Copy(io.Discard, w.client)
		time.Sleep(2 * time.Second)
		w.near[0].Silence(true)
		w.near[1].Silence(true)
		begin := time.Now()
		for !w.cp[0].Info().Suspect || !w.cp[1].Info().Suspect {
			if time.Since(begin) > 15*time.Second {
				t.Fatal("the client has not noticed")
			}
			time.Sleep(10 * ms)
		}
		t.Logf("after %v", time.Since(begin))
		w.near[0].Silence(false)
		w.near[1].Silence(false)
		begin = time.Now()
		for w.cp[0].Info().Doubt || w.cp[1].Info().Doubt {
			if time.Since(begin) > 10*time.Second {
				t.Fatal("the client has not noticed the return")
			}
			time.Sleep(10 * ms)
		}
		t.Logf("back after %v", time.Since(begin))
		close(stop)
	})
}

// A path that ends gives back what it held at once, without any time-out.
func TestPathEnds(t *testing.T) {
	for _, kind := range []carriertest.Kind{carriertest.Lossy, carriertest.Ordered} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(shaped(kind, 40*ms), shaped(kind, 300*ms))
			defer w.close()
			w.hello(t)
			w.near[0].Silence(true)
			w.client.Write([]byte("data"))
			begin := time.Now()
			w.cp[0].Close()
			if _, err := io.ReadFull(w.server, make([]byte, 4)); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(begin); took != 300*ms {
				t.Errorf("took %v", took)
			}
			if n := len(w.client.Paths()); n != 1 {
				t.Errorf("%d paths", n)
			}
			if w.cp[0].Err() == nil {
				t.Error("no reason")
			}
		})
	}
}
