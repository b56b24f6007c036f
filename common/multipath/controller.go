package multipath

import (
	"math"
	"time"
)

// A controller finds out how fast its path is and fills it without making a
// queue. It measures as BBR does (draft-cardwell-iccrg-bbr-congestion-control):
// the rate at which segments are delivered, and the least round trip, whose
// product is what the path holds. What it does with that differs, because the
// volunteer's uplink has a deep queue, the user an interactive session, and
// loss says nothing (users have 7 to 21 %):
//
//	starting   grow manyfold per round trip until the path is full
//	draining   empty the queue that this has made
//	keeping    press a little while there is no queue, harder the longer that
//	           brings more; ease while there is one
//	contesting somebody else keeps the queue full, and easing would only feed
//	           them: hold our own, as the neighbours' TCP does
//	dipping    half empty the path to see its least round trip again
type controller struct {
	phase phase
	rate  float64 // bytes per second that the path delivers, as far as is known
	loss  float64 // smoothed share of bytes lost
	trip  trips
	lap   lap

	flying int     // bytes under way
	lately float64 // rate of the last round; 0 if it was too short to tell

	grown      int     // starting: growth of the window
	fullRate   float64 // starting: what the rate must beat to go on
	fullRounds int     // starting: rounds in which it did not

	calm   int           // keeping: rounds in a row that brought more
	missed bool          // keeping: the last round brought no more
	eased  int           // keeping: rounds in a row in which the queue did not shrink
	stood  time.Duration // keeping: the queue of the last round
	mended bool          // keeping: the rate has been lowered to what comes through this queue
	busy   mark          // keeping: when the queue began
	held   int           // bytes under way before the queue was eased
	rival  contest       // contesting
	wary   bool          // there was a contest a moment ago
	since  time.Duration // when the phase began
}

type phase uint8

const (
	starting phase = iota
	draining
	keeping
	contesting
	dipping
)

const (
	// firstWindow is what a path may hold before anything is known of it. On a
	// path of 170 ms each round trip that the start needs costs a fiftieth of a
	// download of 40 MB.
	firstWindow = 96 << 10

	// startGrowth is by how much the window grows in a round trip of the start.
	// A quarter more than doubling still fits the queues of home lines (0.2 s),
	// because a queue ends the growth.
	startGrowth = 2.5

	// startGain is by how much the start may outpace the rate measured so far,
	// which is that of a round trip ago.
	startGain = 4.0

	// startPace spreads the start's window over two thirds of a round trip.
	startPace = 1.5

	// startLoss is the share of loss that ends the start: a line that drops what
	// is too much without queueing it.
	startLoss = 0.3

	// startQueue is a queue that ends the start in any case, if it is also three
	// quarters of the least round trip: no busy machine's jitter.
	startQueue = 50 * time.Millisecond

	// startMore is by how much the rate must have grown in a round of the start
	// for the path not to be full (draft section 4.3.1.2).
	startMore = 1.25

	// windowGain leaves room for acknowledgements that come in lumps (draft
	// section 4.6.4.2).
	windowGain = 2.0

	// leastWindow keeps acknowledgements coming.
	leastWindow = 4 * maxPacket

	// ackLump is how much time's worth of data one lump of acknowledgements
	// stands for: an interval of a deployed peer's KCP (spec section 7.3).
	ackLump = 10 * time.Millisecond

	// pressStep is by how much a path without a queue is pressed, if it holds
	// pressHeld bytes; it doubles with each round that has brought more,
	// pressSteps times. A path that holds a quarter is pressed by twice that:
	// sessions that share a line have its queue in common and ease alike, so
	// that only pressing can bring their shares together, and one in proportion
	// never does (28 : 72 stayed so for minutes; increase and decrease with
	// powers whose difference is a half, as in Bansal and Balakrishnan, Binomial
	// Congestion Control Algorithms, 2001). Bounds: pressMost is what BBR probes
	// with (draft section 4.3.3), less than pressLeast drowns in the jitter. With
	// this pressHeld 10 : 90 comes to 43 : 57 or better within a minute on lines
	// that hold 85 kB to 1 MB (measured, doc/benchmarks.md).
	pressStep  = 0.05
	pressHeld  = 300_000 // bytes
	pressLeast = 0.03
	pressMost  = 0.25
	pressSteps = 3
	pressMore  = 1.01 // what counts as more

	// easeLeast bounds how much slower a path with a queue is filled. A queue
	// that does not shrink by easeShrink in easeRounds rounds of that, or fewer
	// if there has just been a contest, is somebody else's.
	easeLeast  = 0.7
	easeShrink = 0.9
	easeRounds = 3
	easeWary   = 1

	// mendLeast bounds by how much one look at a queue lowers the rate: the start
	// overshoots by a quarter at most, and in what is less there was a pause.
	mendLeast = 0.8

	// raiseTrips and lowerTrips are for how many round trips, and busyLeast for
	// how long at least, there must be a queue for the rate to be corrected by
	// it: a busy machine's pause makes a queue, and then lumps, too, and so does
	// a kernel whose TCP looks for its own least round trip on the leg between
	// volunteer and bridge (BBR, 0.2 s in ten).
	raiseTrips = 2
	lowerTrips = 6
	busyLeast  = 50 * time.Millisecond

	// drainTrips is how many round trips the queue of the start has to go.
	drainTrips = 2

	// rttWindow is for how long a least round trip counts, dipTime how long it
	// takes to see it again (draft section 4.3.4).
	rttWindow = 10 * time.Second
	dipTime   = 200 * time.Millisecond

	// lossMost is the share of loss for which pacing makes up. Beyond it loss
	// is taken for a path that is too full.
	lossMost = 0.15
)

// mark is a point in a path's deliveries.
type mark struct {
	at    time.Duration
	total int64 // bytes delivered by then
}

// rate is that of the deliveries since m.
func (m mark) rate(total int64, now time.Duration) float64 {
	return float64(total-m.total) / (now - m.at).Seconds()
}

// acked takes in what the acknowledgements of one packet tell.
func (c *controller) acked(s sample, now time.Duration) {
	c.flying = s.flying
	if s.rtt > 0 && c.trip.heard(s.rtt, now) {
		c.stretch(now)
	}
	if c.phase == starting {
		c.start(s)
	}
	if c.lap.acked(s, now) {
		c.round(s, now)
	}
	c.correct(s, now)
	c.move(s, now)
}

// start lets the window grow, if it is the window that limits.
func (c *controller) start(s sample) {
	c.rate = max(c.rate, s.rate) // a round would be too long to wait
	if c.trip.queue == 0 && s.flying+s.bytes > c.window()/2 {
		c.grown += int((startGrowth - 1) * float64(s.bytes))
	}
}

// stretch looks at the queue, or none, of the last part of a round trip.
func (c *controller) stretch(now time.Duration) {
	queue := c.trip.queue
	c.lap.queued = c.lap.queued || queue > 0
	switch {
	case queue == 0:
		c.eased, c.busy, c.stood, c.held, c.mended = 0, mark{}, 0, 0, false
	case c.phase == starting && c.flying > c.window()/2 && queue > max(startQueue, c.trip.least*3/4):
		c.full(now) // whatever it is that grows, it is too much
	}
}

// round closes a round trip. Its rate is that of all of it: acknowledgements
// come in lumps, and the largest rate between any two of them would be a tenth
// too much (measured).
func (c *controller) round(s sample, now time.Duration) {
	l := c.lap.next(s, now)
	if total := l.good + l.lost; total > 0 {
		c.loss += (float64(l.lost)/float64(total) - c.loss) / 4
	}
	rate := 0.0
	if now-l.from.at >= c.trip.least {
		rate = l.from.rate(s.total, now)
	}
	c.lately = rate
	switch c.phase {
	case starting:
		c.checkFull(l, now)
	case keeping:
		c.press(rate, l, now)
	case contesting:
		if rate > 0 && !l.slow {
			c.rate = rate
			c.rival.round(rate, now)
		}
	}
}

// checkFull ends the start when the rate grows no more: at once if there is a
// queue, otherwise after three rounds. A queue alone proves nothing: the
// kernel's own start on the leg between volunteer and bridge makes one, too.
func (c *controller) checkFull(l lap, now time.Duration) {
	if l.slow {
		return
	}
	if c.rate >= c.fullRate*startMore {
		c.fullRate, c.fullRounds = c.rate, 0
	} else {
		c.fullRounds++
	}
	total := l.good + l.lost
	dropped := total > firstWindow && float64(l.lost) > startLoss*float64(total)
	if c.fullRounds >= 3 || c.fullRounds >= 1 && c.trip.queue > 0 || dropped {
		c.full(now)
	}
}

// full ends the start. Should the queue turn out to be a neighbour's, our part
// of it is what TCP would keep of its start.
func (c *controller) full(now time.Duration) {
	c.phase, c.since = draining, now
	c.held = int(cubicBeta * float64(c.flying))
}

// press raises the rate to what has come through without making a queue.
func (c *controller) press(rate float64, l lap, now time.Duration) {
	switch {
	case c.trip.queue > 0:
		c.calm = 0
		c.ease(rate, l, now)
	case l.slow, l.queued: // the application's pace; that of a queue as it goes
	case rate > pressMore*c.rate:
		c.rate = min(rate, max(2*c.rate, leastPace))
		c.missed = false
		if c.calm++; c.calm > pressSteps {
			c.restart(now)
		}
	case c.missed:
		c.calm = 0
	default:
		c.missed = true // what the last step has brought shows in the next round
	}
}

// restart begins the start again, from here: what ended the last one was not
// the path, or the path has become wider.
func (c *controller) restart(now time.Duration) {
	c.phase, c.since, c.calm = starting, now, 0
	c.grown, c.fullRate, c.fullRounds = int(c.product()), c.rate, 0
}

// ease looks whether the queue shrinks. If it does not, either the rate was
// believed to be more than it is, which easing from what has come through cures,
// or somebody keeps it up.
func (c *controller) ease(rate float64, l lap, now time.Duration) {
	before := c.stood
	c.stood = c.trip.queue
	switch {
	case before == 0 || float64(c.trip.queue) <= easeShrink*float64(before):
		return
	case !c.mended && rate > 0 && !l.slow:
		c.mended, c.stood = true, 0 // what that brings shows a round later
		c.rate = min(c.rate, max(rate, mendLeast*c.rate))
		return
	}
	c.eased++
	limit := easeRounds
	if c.wary {
		limit = easeWary
	}
	if c.eased >= limit {
		c.phase, c.since = contesting, now
		if !c.wary {
			c.rival = newContest(c.held, now)
		}
	}
}

// correct sets the rate to what the path has delivered while there was a queue:
// that, no more and no less, is what it can do. The longer the time, the less
// lumps of acknowledgements count.
func (c *controller) correct(s sample, now time.Duration) {
	switch {
	case c.trip.queue == 0 || c.phase == contesting || c.phase == dipping:
	case c.busy.at == 0:
		c.held = max(c.held, s.flying)
		c.busy = mark{now, s.total}
	case s.limited:
		c.busy = mark{now, s.total}
	case c.phase != starting:
		long, rate := now-c.busy.at, c.busy.rate(s.total, now)
		if rate > c.rate && long > c.raiseAfter() {
			c.rate = rate
		} else if long > max(lowerTrips*c.trip.least, busyLeast) {
			// What the last round has shown is possible. The time before may
			// have had a pause in it.
			c.rate = max(rate, min(c.rate, c.lately))
		}
	}
}

// raiseAfter is how long there must have been a queue for the rate to be raised
// by it. What drains the queue of the start is sure to be the path's own pace.
func (c *controller) raiseAfter() time.Duration {
	if c.phase == draining {
		return max(c.trip.least/2, busyLeast)
	}
	return max(raiseTrips*c.trip.least, busyLeast)
}

// move goes from phase to phase.
func (c *controller) move(s sample, now time.Duration) {
	switch c.phase {
	case draining:
		if s.flying <= int(c.product()+c.lump()) || now-c.since > drainTrips*c.trip.smooth {
			c.phase, c.since, c.calm = keeping, now, 0
		}
	case keeping:
		if c.wary && c.trip.queue == 0 && now-c.since > contestFor {
			c.wary = false
		}
		if !c.wary {
			c.refresh(s, now)
		}
	case contesting:
		c.rival.acked(s, c.trip.queue, now)
		if c.trip.queue == 0 || now-c.since > contestFor {
			c.keep(now)
			c.wary = true
		}
	case dipping:
		if now-c.since > max(dipTime, c.trip.least) {
			c.keep(now)
		}
	}
}

func (c *controller) keep(now time.Duration) {
	c.phase, c.since, c.calm, c.eased, c.stood, c.mended, c.busy = keeping, now, 0, 0, 0, false, mark{}
}

// refresh sees to it that the least round trip is one of these days.
func (c *controller) refresh(s sample, now time.Duration) {
	switch {
	case now-c.trip.leastAt <= rttWindow:
	case s.limited && s.rtt > 0:
		c.trip.reset(s.rtt, now) // nothing of ours was in the way
	case !s.limited:
		c.phase, c.since = dipping, now
		c.trip.reset(0, now)
	}
}

// product is what the path holds without a queue, in bytes.
func (c *controller) product() float64 { return c.rate * c.trip.least.Seconds() }

// lump is how many bytes one lump of acknowledgements stands for.
func (c *controller) lump() float64 { return c.rate * ackLump.Seconds() }

// window is how many bytes may be under way.
func (c *controller) window() int {
	p := c.product()
	switch c.phase {
	case starting:
		return firstWindow + min(c.grown, int(startGain*p+c.lump()))
	case dipping:
		return max(leastWindow, int(p/2))
	case contesting:
		return c.rival.bytes()
	}
	return max(leastWindow, int(windowGain*p+c.lump()))
}

// pace is how many bytes per second leave.
func (c *controller) pace() float64 {
	if c.phase == starting {
		rtt := firstRTT
		if c.trip.least > 0 {
			rtt = max(c.trip.least, time.Millisecond)
		}
		return startPace * float64(c.window()) / rtt.Seconds()
	}
	if c.phase == contesting {
		return contestPace * float64(c.window()) / max(c.rival.smooth, time.Millisecond).Seconds()
	}
	pace := max(c.rate*c.gain(), leastPace)
	if c.phase == keeping && c.trip.queue == 0 {
		pace /= 1 - min(c.loss, lossMost)
	}
	return pace
}

// leastPace keeps a path going whose rate was measured as nothing: one packet
// per firstRTT.
const leastPace = maxPacket / 0.15

// gain is by how much the pace differs from the rate.
func (c *controller) gain() float64 {
	switch {
	case c.phase == draining:
		return 1 / startGrowth
	case c.phase == keeping && c.trip.queue > 0:
		return max(easeLeast, 1-c.trip.queue.Seconds()/c.trip.least.Seconds()/2)
	case c.phase == keeping:
		return 1 + c.step()*float64(int(1)<<c.calm)
	}
	return 1
}

// step is the share by which the path is pressed first.
func (c *controller) step() float64 {
	return min(max(pressLeast, pressStep*math.Sqrt(pressHeld/c.product())), pressMost)
}
