package multipath

import (
	"math"
	"testing"
	"time"
)

// A queue is what every segment of a stretch has met, beyond what batching of
// acknowledgements explains.
func TestTrips(t *testing.T) {
	var tr trips
	now := time.Duration(0)
	stretch := func(rtts ...time.Duration) (closed int) {
		for _, rtt := range rtts {
			now += 30 * ms
			if tr.heard(rtt, now) {
				closed++
			}
		}
		return closed
	}
	if n := stretch(100*ms, 110*ms, 105*ms, 120*ms); n != 1 || tr.queue != 0 || tr.least != 100*ms {
		t.Errorf("%d stretches, queue %v, least %v", n, tr.queue, tr.least)
	}
	stretch(200*ms, 300*ms, 102*ms, 300*ms)
	if tr.queue != 0 {
		t.Errorf("a queue of %v that one segment has not met", tr.queue)
	}
	stretch(150*ms, 160*ms, 170*ms, 155*ms)
	if tr.queue != 50*ms {
		t.Errorf("a queue of %v, want 50 ms", tr.queue)
	}
	stretch(114*ms, 114*ms, 114*ms, 114*ms)
	if tr.queue != 0 {
		t.Errorf("a queue of %v from batching", tr.queue)
	}
	if at := now; tr.leastAt != at {
		t.Error("the least round trip has not been seen, or nearly, for long")
	}
	tr.reset(0, now)
	stretch(300*ms, 310*ms, 320*ms, 330*ms)
	if tr.least != 300*ms || tr.queue != 0 {
		t.Errorf("least %v and queue %v after a reset", tr.least, tr.queue)
	}
}

// settled is a controller in the given phase that knows its path.
func settled(p phase) *controller {
	c := &controller{phase: p, rate: 1e6}
	c.trip.least, c.trip.smooth = 100*ms, 100*ms
	return c
}

func near(a, b float64) bool { return math.Abs(a-b) <= 0.001*math.Abs(b) }

func TestPace(t *testing.T) {
	c := settled(keeping)
	c.trip.least = 75 * ms                                  // it holds a quarter of pressHeld
	for calm, gain := range []float64{1.1, 1.2, 1.4, 1.8} { // doubled with each success
		c.calm = calm
		if got := c.pace(); !near(got, gain*1e6) {
			t.Errorf("pressed %d times: %.0f, want %.0f", calm, got, gain*1e6)
		}
	}
	c.calm = 0
	c.loss = 0.1
	if got := c.pace(); !near(got, 1.1e6/0.9) {
		t.Errorf("%.0f with a loss of 10 %%", got)
	}
	c.loss = 0.5
	if got := c.pace(); !near(got, 1.1e6/(1-lossMost)) {
		t.Errorf("%.0f with a loss of 50 %%", got)
	}
	c.trip.least = 100 * ms
	c.trip.queue = 20 * ms // loss is not made up for into a queue
	if got := c.pace(); !near(got, 0.9e6) {
		t.Errorf("%.0f with a queue of a fifth of the round trip", got)
	}
	c.trip.queue = time.Second
	if got := c.pace(); !near(got, easeLeast*1e6) {
		t.Errorf("%.0f with a long queue", got)
	}
	if got := settled(draining).pace(); !near(got, 1e6/startGrowth) {
		t.Errorf("%.0f while draining", got)
	}
	c = settled(keeping)
	c.rate = 0
	if got := c.pace(); got < leastPace {
		t.Errorf("%.0f with a rate of nothing", got)
	}
	if got := new(controller).pace(); !near(got, startPace*firstWindow/firstRTT.Seconds()) {
		t.Errorf("%.0f at first", got)
	}
}

// The more a path holds, the smaller is the share by which it is pressed.
func TestStep(t *testing.T) {
	for held, want := range map[float64]float64{
		pressHeld:     pressStep,
		pressHeld / 4: 2 * pressStep,
		1000:          pressMost,
		0:             pressMost,
		1e8:           pressLeast,
	} {
		c := settled(keeping)
		c.rate = held / c.trip.least.Seconds()
		if got := c.step(); !near(got, want) {
			t.Errorf("%.3f where the path holds %.0f bytes, want %.3f", got, held, want)
		}
	}
}

func TestWindow(t *testing.T) {
	if got := new(controller).window(); got != firstWindow {
		t.Errorf("%d at first", got)
	}
	const product, lump = 1e5, 1e4
	if got := settled(keeping).window(); got != int(windowGain*product+lump) {
		t.Errorf("%d of a product of %v", got, product)
	}
	if got := settled(dipping).window(); got != product/2 {
		t.Errorf("%d in a dip", got)
	}
	for _, p := range []phase{draining, keeping, dipping} {
		c := settled(p)
		c.rate = 1
		if got := c.window(); got != leastWindow {
			t.Errorf("phase %d: %d on a path of nothing", p, got)
		}
	}
	c := settled(starting)
	c.grown = 1 << 40
	if got := c.window(); got > firstWindow+int(startGain*product+lump) {
		t.Errorf("%d: the start outpaces what has come through by more than %v", got, startGain)
	}
}

// The start grows by startGrowth for each window acknowledged, if it is the
// window that limits and there is no queue.
func TestStartGrows(t *testing.T) {
	c := settled(starting)
	c.rate = 1e9
	c.start(sample{bytes: firstWindow, flying: 0})
	if got, want := c.window(), int(startGrowth*firstWindow); got != want {
		t.Errorf("a window of %d, want %d", got, want)
	}
	before := c.window()
	c.start(sample{bytes: 1000, flying: 1000})
	if c.window() != before {
		t.Error("grows though the application has little to send")
	}
	c.trip.queue = 50 * ms
	c.start(sample{bytes: firstWindow, flying: firstWindow})
	if c.window() != before {
		t.Error("grows into a queue")
	}
}

// A path whose least round trip has not been seen for long is half emptied, and
// filled again.
func TestDip(t *testing.T) {
	c := settled(keeping)
	now := rttWindow + time.Second
	c.refresh(sample{rtt: 150 * ms}, now)
	if c.phase != dipping {
		t.Fatal("no dip")
	}
	c.move(sample{}, now+dipTime/2)
	if c.phase != dipping {
		t.Error("the dip is over too soon")
	}
	c.trip.heard(90*ms, now+dipTime)
	c.move(sample{}, now+dipTime+ms)
	if c.phase != keeping || c.trip.least != 90*ms {
		t.Errorf("phase %d, least %v after the dip", c.phase, c.trip.least)
	}
	c = settled(keeping)
	c.refresh(sample{rtt: 150 * ms, limited: true}, now)
	if c.phase != keeping || c.trip.least != 150*ms {
		t.Error("dips though nothing of ours was in the way")
	}
}

// A queue that does not shrink at first means that the rate was believed to be
// more than it is; only one that stays after that is a neighbour's.
func TestQueueMendsTheRateFirst(t *testing.T) {
	c := settled(keeping)
	c.trip.queue = 50 * ms
	now := time.Second
	round := func(rate float64, l lap) { now += 150 * ms; c.press(rate, l, now) }
	round(0.9e6, lap{})
	if c.rate != 1e6 || c.mended {
		t.Errorf("rate %.0f when the queue has just been seen", c.rate)
	}
	round(0.9e6, lap{slow: true}) // what the application does not fill tells nothing
	if c.rate != 1e6 || c.mended {
		t.Errorf("rate %.0f after a round of the application's", c.rate)
	}
	c = settled(keeping)
	c.trip.queue = 50 * ms
	round(0.9e6, lap{})
	round(0.9e6, lap{})
	if c.rate != 0.9e6 || c.eased != 0 {
		t.Errorf("rate %.0f, want what has come through; eased %d", c.rate, c.eased)
	}
	for range 1 + easeRounds {
		if c.phase != keeping {
			t.Fatal("contests too soon")
		}
		round(0.7e6, lap{})
	}
	if c.phase != contesting || c.rate != 0.9e6 {
		t.Errorf("phase %d, rate %.0f: the queue is somebody else's", c.phase, c.rate)
	}
}

// A pause of what lies below makes a queue and a bad round. Neither is the
// path's rate.
func TestPauseDoesNotLowerTheRate(t *testing.T) {
	c := settled(keeping)
	c.trip.queue = 300 * ms
	now := 10 * time.Second
	c.correct(sample{total: 1e6}, now) // the queue begins
	c.lately = 1e6                     // and drains at the path's rate
	now += time.Second
	c.correct(sample{total: 1e6 + 600e3}, now) // the pause included
	if c.rate != 1e6 {
		t.Errorf("rate %.0f after a pause", c.rate)
	}
	c.lately = 0.6e6
	c.correct(sample{total: 1e6 + 600e3}, now)
	if c.rate != 0.6e6 {
		t.Errorf("rate %.0f where the last round has brought no more than the second", c.rate)
	}
	c = settled(keeping)
	c.trip.queue, c.stood = 300*ms, 100*ms
	c.press(0.3e6, lap{}, now)
	if c.rate != mendLeast*1e6 {
		t.Errorf("rate %.0f after one bad round", c.rate)
	}
}

// A rush goes on while the neighbour has most of the line, and ends when half
// of it is ours; a loss cuts it like any other growth.
func TestRushEndsAtHalf(t *testing.T) {
	const line, others = 2.5e6, 400.0 // bytes per second; segments of the neighbour under way
	c := newContest(20*cubicSegment, 0)
	now := time.Duration(0)
	for rounds := 0; c.rush; rounds++ {
		if rounds > 60 {
			t.Fatalf("the rush does not end: window %.0f beside %.0f", c.window, others)
		}
		now += 200 * ms
		c.round(line*c.window/(c.window+others), now)
	}
	if share := c.window / (c.window + others); share < 0.4 || share > 0.7 {
		t.Errorf("the rush has ended with %.0f %% of the line", 100*share)
	}
	before := c.window
	c.acked(sample{bytes: cubicSegment}, 100*ms, now)
	if c.window > before+1 {
		t.Error("the window jumps after the rush")
	}
	c = newContest(100*cubicSegment, 0)
	c.acked(sample{lost: cubicSegment}, 100*ms, now+time.Minute)
	if !c.rush || c.window != 100*cubicBeta {
		t.Errorf("rush %v and window %.0f after a loss", c.rush, c.window)
	}
}
