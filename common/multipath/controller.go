package multipath

import "time"

// The controller follows BBR (draft-cardwell-iccrg-bbr-congestion-control): a
// path's rate is the largest that was delivered lately, its round trip the least
// measured lately, and their product is what the path holds without a queue.
// What it changes, and why: random loss reduces nothing (users have 7 to 21 %),
// a round trip that grows ends the start at once, and growth that stays leads to
// a drain, because a volunteer's uplink has a deep queue and the user an
// interactive session.
const (
	// startGrowth is by how much what the path holds grows in a round trip of
	// the start. On a path of 170 ms each round trip that is needed costs a
	// fiftieth of a download of 40 MB; a third more than doubling still fits the
	// queues of home lines (0.2 s), because the first growth of the round trip
	// ends the start.
	startGrowth = 2.5

	// startGain is by how much the start may outpace the rate measured so far,
	// which is that of a round trip ago.
	startGain = 4.0

	// startPace spreads the start's window over two thirds of a round trip.
	startPace = 1.5

	// startLoss is the share of loss that ends the start: a line that drops what
	// is too much without queueing it.
	startLoss = 0.3

	// windowGain leaves room for acknowledgements that come in lumps.
	windowGain = 2.0

	probeGain = 1.25 // a quarter more finds out whether there is more
	drainGain = 0.75 // and takes back the queue that this has made
	cycleLen  = 8    // phases, one of each of those and six without change

	// rateRounds is for how many round trips a delivery rate counts.
	rateRounds = 10

	// rttWindow is for how long a least round trip counts, dipTime how long the
	// path is kept half empty to measure it anew.
	rttWindow = 10 * time.Second
	dipTime   = 200 * time.Millisecond

	// firstWindow is what a path may hold before anything is known of it.
	firstWindow = 96 << 10

	// leastWindow keeps acknowledgements coming.
	leastWindow = 4 * maxPacket

	// queueMin is a growth of the round trip that the other end's batching of
	// acknowledgements cannot explain.
	queueMin = 15 * time.Millisecond

	// stretchMin is how many round trips must be measured to tell a queue from
	// jitter.
	stretchMin = 4

	// ackLump is how much time's worth of data one lump of acknowledgements
	// stands for: an interval of a deployed peer's KCP (spec section 7.3).
	ackLump = 10 * time.Millisecond

	// lossMost is the share of loss for which pacing makes up. Beyond it loss
	// is taken for a path that is too full.
	lossMost = 0.15
)

type phase uint8

const (
	starting phase = iota // grow until the path is full
	draining              // empty the queue that the start has made
	cruising              // probe, drain, keep
	dipping               // look for the least round trip
)

// controller says how much one path may hold and how fast it is filled. It is
// pure: time comes in with each call.
type controller struct {
	phase phase
	rates maxFilter

	minRTT   time.Duration // 0 before the first sample
	minRTTAt time.Duration

	round     int64 // number of the present round trip
	roundEnds int64 // it ends when a segment arrives that left after this much was delivered
	roundGood int   // bytes acknowledged in it
	roundLost int

	rtts   int           // samples in the present stretch, a quarter of a round trip
	rtt    time.Duration // the least of them
	rttsAt time.Duration // when it began
	grown  int           // window of the start
	queued bool          // in the last stretch every segment met a queue
	loss   float64       // smoothed share of bytes lost

	fullRate   float64 // what the rate must beat for the start to go on
	fullRounds int

	step    int // of the cycle
	stepAt  time.Duration
	dipEnds time.Duration
}

// acked takes in what the acknowledgements of one packet tell.
func (c *controller) acked(s sample, now time.Duration) {
	newRound := s.bytes > 0 && s.prior >= c.roundEnds
	c.roundGood += s.bytes
	if c.phase == starting && s.flying+s.bytes > c.window()/2 { // it is the window that limits
		c.grown += int((startGrowth - 1) * float64(s.bytes))
	}
	c.roundLost += s.lost
	if s.rtt > 0 {
		c.heard(s.rtt, now)
	}
	if s.rate > 0 && (!s.limited || s.rate > c.rates.max()) {
		c.rates.add(c.round, s.rate)
	}
	if newRound {
		c.roundEnds = s.total
		c.nextRound(s)
	}
	c.move(s, now)
}

func (c *controller) heard(rtt, now time.Duration) {
	if c.minRTT == 0 || rtt <= c.minRTT {
		c.minRTT, c.minRTTAt = rtt, now
	}
	if c.rtts == 0 || rtt < c.rtt {
		c.rtt = rtt
	}
	c.rtts++
	if c.rtts >= stretchMin && now-c.rttsAt >= max(c.minRTT/4, ackLump) {
		c.queued = c.rtt > c.minRTT+max(queueMin, c.minRTT/8)
		c.rtts, c.rttsAt = 0, now
		if c.queued && c.phase == starting && c.rates.max() > 0 {
			c.phase = draining
		}
	}
}

// nextRound closes a round trip.
func (c *controller) nextRound(s sample) {
	c.round++
	if total := c.roundGood + c.roundLost; total > 0 {
		c.loss += (float64(c.roundLost)/float64(total) - c.loss) / 4
	}
	if c.phase == starting && !s.limited {
		c.checkFull()
	}
	c.roundGood, c.roundLost = 0, 0
}

// checkFull ends the start when the rate grows no more.
func (c *controller) checkFull() {
	if rate := c.rates.max(); rate >= c.fullRate*1.25 {
		c.fullRate, c.fullRounds = rate, 0
	} else {
		c.fullRounds++
	}
	total := c.roundGood + c.roundLost
	if c.fullRounds >= 3 || total > firstWindow && float64(c.roundLost) > startLoss*float64(total) {
		c.phase = draining
	}
}

// move goes from phase to phase.
func (c *controller) move(s sample, now time.Duration) {
	switch c.phase {
	case draining:
		if s.flying <= int(c.product()) {
			c.cruise(now, 2)
		}
	case cruising:
		c.turn(s, now)
		if now-c.minRTTAt > rttWindow && !s.limited {
			c.phase, c.dipEnds = dipping, now+max(dipTime, c.minRTT)
			c.minRTT, c.rtts = 0, 0
		}
	case dipping:
		if now >= c.dipEnds {
			c.minRTTAt = now
			c.cruise(now, 1)
		}
	}
	if c.phase != dipping && now-c.minRTTAt > rttWindow && s.rtt > 0 && s.limited {
		c.minRTT, c.minRTTAt = s.rtt, now // nothing of ours was in the way
	}
}

func (c *controller) cruise(now time.Duration, step int) {
	c.phase, c.step, c.stepAt = cruising, step, now
}

// turn advances the cycle.
func (c *controller) turn(s sample, now time.Duration) {
	long := now-c.stepAt > c.minRTT
	switch c.step {
	case 0: // probing: until it shows in the queue, or the path holds that much
		long = long && (s.lost > 0 || s.flying >= int(probeGain*c.product()) || now-c.stepAt > 2*c.minRTT)
	case 1: // draining
		long = now-c.stepAt > c.minRTT || s.flying <= int(c.product())
	}
	if long {
		c.step, c.stepAt = (c.step+1)%cycleLen, now
	}
}

// product is what the path holds without a queue, in bytes.
func (c *controller) product() float64 { return c.rates.max() * c.minRTT.Seconds() }

// gain is by how much the pace differs from the rate.
func (c *controller) gain() float64 {
	switch {
	case c.phase == draining:
		return 1 / startGrowth
	case c.phase == cruising && c.step == 0:
		return probeGain
	case c.phase == cruising && c.step == 1:
		return drainGain
	}
	return 1
}

// window is how many bytes may be under way.
func (c *controller) window() int {
	p := c.product()
	lump := c.rates.max() * ackLump.Seconds()
	switch c.phase {
	case starting:
		return firstWindow + min(c.grown, int(startGain*p+lump))
	case dipping:
		return max(leastWindow, int(p/2))
	}
	return max(leastWindow, int(windowGain*p+lump))
}

// pace is how many bytes per second leave.
func (c *controller) pace() float64 {
	if c.phase == starting {
		rtt := firstRTT
		if c.minRTT > 0 {
			rtt = max(c.minRTT, time.Millisecond)
		}
		return startPace * float64(c.window()) / rtt.Seconds()
	}
	pace := c.rates.max() * c.gain()
	if c.phase == cruising && !c.queued {
		pace /= 1 - min(c.loss, lossMost)
	}
	return pace
}

// maxFilter keeps the largest rate of the last rateRounds rounds, in the manner
// of Kathleen Nichols: the best, and the best two of what came later.
type maxFilter struct{ best [3]entry }

type entry struct {
	round int64
	rate  float64
}

func (m *maxFilter) max() float64 { return m.best[0].rate }

func (m *maxFilter) add(round int64, rate float64) {
	e := entry{round, rate}
	b := &m.best
	if rate >= b[0].rate || round-b[2].round > rateRounds {
		*b = [3]entry{e, e, e}
		return
	}
	if rate >= b[1].rate {
		b[1], b[2] = e, e
	} else if rate >= b[2].rate {
		b[2] = e
	}
	switch age := round - b[0].round; {
	case age > rateRounds:
		b[0], b[1], b[2] = b[1], b[2], e
		if round-b[0].round > rateRounds {
			b[0], b[1] = b[1], b[2]
		}
	case b[1].round == b[0].round && age > rateRounds/4:
		b[1], b[2] = e, e
	case b[2].round == b[1].round && age > rateRounds/2:
		b[2] = e
	}
}
