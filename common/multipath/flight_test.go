package multipath

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"flurry/common/carrier/carriertest"
)

func TestRoundTrips(t *testing.T) {
	var f flight
	if got, want := f.timeout(), 2*firstRTT+ackSlack; got != want {
		t.Errorf("time-out of %v before the first sample, want %v", got, want)
	}
	f.measure(100 * ms)
	if f.srtt != 100*ms || f.rttvar != 50*ms || f.timeout() != 150*ms+200*ms+ackSlack {
		t.Errorf("after 100 ms: %v, %v, time-out %v", f.srtt, f.rttvar, f.timeout())
	}
	f.measure(180 * ms) // RFC 6298 section 2.3: the variation first
	if f.srtt != 110*ms || f.rttvar != 57500*time.Microsecond || f.minRTT != 100*ms {
		t.Errorf("after 180 ms: %v, %v, least %v", f.srtt, f.rttvar, f.minRTT)
	}
	for range 200 {
		f.measure(20 * ms)
	}
	if f.timeout() != timeoutMin {
		t.Errorf("time-out of %v for a neighbour, want %v", f.timeout(), timeoutMin)
	}
}

func TestPatience(t *testing.T) {
	f := flight{srtt: 100 * ms}
	if got := f.patience(true); got != reorderMin {
		t.Errorf("%v on a lossy path", got)
	}
	if got := f.patience(false); got != streamHold {
		t.Errorf("%v on a stream", got)
	}
	for range 3 {
		f.late()
	}
	if got := f.patience(true); got != 4*reorderMin {
		t.Errorf("%v after three that were only late", got)
	}
	for range 100 {
		f.late()
	}
	if got := f.patience(true); got != reorderMin+f.srtt {
		t.Errorf("%v after many, want at most a round trip more", got)
	}
	f.srtt = time.Second
	if got := f.patience(false); got != 4*time.Second {
		t.Errorf("%v on a slow stream", got)
	}
}

// The delivery rate is that of the path, whatever the lumps in which the
// acknowledgements come, and says when it is the application's.
func TestDeliveryRate(t *testing.T) {
	const n, size = 40, 1000
	var f flight
	segs := make([]outSegment, n)
	for i := range segs {
		segs[i].at = time.Duration(i) * ms // 1 MB/s
		f.send(&segs[i], uint32(i), size, segs[i].at)
	}
	var last sample
	for i := range segs {
		f.bytes -= size
		f.deliver(&segs[i], size, 50*ms, time.Duration(i/4*4)*ms+60*ms) // four at once
		if i%4 == 3 {
			last = f.finish()
			if last.rate > 1.2e6 {
				t.Errorf("%.0f bytes a second at segment %d", last.rate, i)
			}
		}
	}
	if last.bytes != 4*size || last.total != n*size || last.flying != 0 || last.limited {
		t.Errorf("%+v", last)
	}
	f.idle()
	seg := outSegment{at: time.Second}
	f.send(&seg, n, size, time.Second)
	f.bytes -= size
	f.deliver(&seg, size, 50*ms, time.Second+50*ms)
	if s := f.finish(); !s.limited {
		t.Error("one segment after a second of nothing is taken for the path's pace")
	}
}

// overtaken sends three segments, some time apart, of which only the last is
// acknowledged, and returns what is sent again at once.
func overtaken(t *testing.T, lossy bool, apart time.Duration) (again []uint32) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Options{})
		defer c.Close()
		b, _ := against(c, lossy, false)
		var last header
		for range 3 {
			time.Sleep(apart)
			c.Write([]byte("data"))
			hs := b.hear()
			last = hs[len(hs)-1]
		}
		time.Sleep(20 * ms)
		b.say(header{cmd: cmdAck, sn: last.sn, ts: last.ts, wnd: 100})
		for _, h := range b.hear() {
			again = append(again, h.sn)
		}
		c.sane(t)
	})
	return again
}

// On a lossy path a segment is lost when later ones have been acknowledged that
// left later by more than reordering explains; on a stream it will come.
func TestOvertaken(t *testing.T) {
	if got := overtaken(t, true, 30*ms); !slices.Equal(got, []uint32{0, 1}) {
		t.Errorf("%d sent again, want the two that were overtaken", got)
	}
	if got := overtaken(t, true, 7*ms); !slices.Equal(got, []uint32{0}) {
		t.Errorf("%d sent again, want only what was overtaken by more than %v", got, reorderMin)
	}
	if got := overtaken(t, true, 2*ms); len(got) != 0 {
		t.Errorf("%d sent again, overtaken by 4 ms at most", got)
	}
	if got := overtaken(t, false, 30*ms); len(got) != 0 {
		t.Errorf("%d sent again on a stream", got)
	}
}

// When the tail of a burst is lost, the answer to one nudge shows all of it,
// though una has taken the nudged segment off the books before its
// acknowledgement is looked at.
func TestTailLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Options{})
		defer c.Close()
		b, _ := against(c, true, false)
		time.Sleep(time.Second)
		ack := func(h header) {
			b.say(header{cmd: cmdAck, sn: h.sn, ts: h.ts, una: h.sn + 1, wnd: 1000})
		}
		pushes := func() (hs []header) {
			for _, h := range b.hear() {
				if h.cmd == cmdPush {
					hs = append(hs, h)
				}
			}
			return hs
		}
		const n = 10
		c.Write(make([]byte, n*(maxPacket-headerLen)))
		time.Sleep(50 * ms)
		first := pushes()
		if len(first) != n {
			t.Fatalf("%d segments", len(first))
		}
		ack(first[0]) // the others are lost
		var nudge []header
		for begin := time.Now(); len(nudge) == 0; nudge = pushes() {
			if time.Since(begin) > time.Second {
				t.Fatal("no nudge")
			}
			time.Sleep(10 * ms)
		}
		if len(nudge) != 1 || nudge[0].sn != 1 {
			t.Fatalf("%d segments, the first is %d", len(nudge), nudge[0].sn)
		}
		time.Sleep(50 * ms)
		ack(nudge[0])
		time.Sleep(50 * ms)
		if got := pushes(); len(got) != n-2 {
			t.Errorf("%d segments go again after the answer to the nudge, want %d", len(got), n-2)
		}
	})
}

// What was sent again and una alone speaks for has been delivered, too: it
// counts for the rate, and as a sign of life.
func TestSentAgainCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Options{})
		defer c.Close()
		b, p := against(c, true, false)
		const n = 3
		var last header
		for range n {
			time.Sleep(30 * ms)
			c.Write([]byte("data"))
			hs := b.hear()
			last = hs[len(hs)-1]
		}
		time.Sleep(20 * ms)
		b.say(header{cmd: cmdAck, sn: last.sn, ts: last.ts, wnd: 100}) // the others go again
		time.Sleep(20 * ms)
		b.say(header{cmd: cmdTell, una: n, wnd: 100})
		if got, want := p.fl.delivered, int64(n*(headerLen+len("data"))); got != want {
			t.Errorf("%d bytes delivered, want %d", got, want)
		}
		if now := c.now(); p.fl.progress != now {
			t.Errorf("the last sign of life was %v ago", now-p.fl.progress)
		}
		c.sane(t)
	})
}

// What takes a lost path's place is not credited with what that one had
// delivered: acknowledgements that were lost with it come within less than a
// round trip.
func TestSuccessorHasNoRateOfItsPredecessor(t *testing.T) {
	const rate = 2e6
	synctest.Test(t, func(t *testing.T) {
		s := wan(carriertest.Lossy, rate, 0)
		w := newWorld(s)
		defer w.close()
		w.hello(t)
		r := w.download(t, 9*time.Second, func() {
			time.Sleep(5 * time.Second)
			w.near[0].Line().Silence(true) // data arrives, acknowledgements do not
			time.Sleep(time.Second)
			a, b := carriertest.ShapedPair(s)
			w.client.Add(a)
			w.cp[0].Close()
			w.client.Write([]byte("what follows the prelude"))
			time.Sleep(s.AB.Delay - time.Millisecond)
			next := w.server.Add(b)
			for range 60 {
				time.Sleep(20 * ms)
				if got := next.Info().Rate; got > 1.5*rate {
					t.Errorf("%.1f MB/s of %.1f", got/1e6, rate/1e6)
					break
				}
			}
		})
		t.Log(r)
	})
}
