package multipath

import (
	"math"
	"time"
)

const (
	// cubicC and cubicBeta are the constants of RFC 9438, section 4.
	cubicC    = 0.4
	cubicBeta = 0.8

	// cubicSegment is the unit of its windows: what neighbours' TCP sends.
	cubicSegment = 1448

	// contestFor is for how long we hold our own before we look whether the
	// neighbour has gone.
	contestFor = 8 * time.Second

	// fullQueue is the share of the longest queue seen above which a loss is
	// the queue's. Below it, it is the air's.
	fullQueue = 0.7

	// rushGrowth is by how much the window grows at once in a rush, rushRounds in
	// how many round trips that shows, rushShare the part of the others with which
	// the rush goes on.
	rushGrowth = 1.25
	rushRounds = 2
	rushShare  = 0.4

	// contestPace spreads the window over most of a round trip.
	contestPace = 1.25
)

// contest is a window as the neighbours' TCP has it: CUBIC (RFC 9438), except
// that losses count only where the queue is full. Beside it a controller that
// keeps queues short would be left with nothing.
type contest struct {
	window float64       // segments
	top    float64       // window before the last cut
	cut    time.Duration // of the last cut
	high   time.Duration // longest queue
	smooth time.Duration // round trip

	rush   bool    // most of the line seems to be the neighbour's
	rounds int     // of the rush, since the window last grew
	was    float64 // window before it last grew; 0 if not known
	gave   float64 // the rate with that
}

// newContest begins where growth does: at the window that was there before the
// neighbour was noticed.
func newContest(bytes int, now time.Duration) contest {
	w := max(float64(bytes)/cubicSegment, 4)
	c := contest{window: w, top: w, rush: true}
	c.cut = now - time.Duration(c.flat()*float64(time.Second))
	return c
}

// flat is when, in seconds after a cut, the window is again what it was before.
func (c *contest) flat() float64 { return math.Cbrt(c.top * (1 - cubicBeta) / cubicC) }

// acked lets the window grow, or cuts it.
func (c *contest) acked(s sample, queue time.Duration, now time.Duration) {
	c.high = max(c.high, queue)
	if s.rtt > 0 {
		if c.smooth == 0 {
			c.smooth = s.rtt
		}
		c.smooth += (s.rtt - c.smooth) / 8
	}
	if s.lost > 0 && float64(queue) >= fullQueue*float64(c.high) && now-c.cut > c.smooth {
		c.top, c.cut = c.window, now
		c.window = max(c.window*cubicBeta, 4)
		c.was, c.rounds = 0, 0
		return
	}
	if s.limited || c.rush {
		return
	}
	t := (now - c.cut + c.smooth).Seconds()
	target := cubicC*math.Pow(t-c.flat(), 3) + c.top
	if c.smooth > 0 { // no slower than Reno (section 4.3)
		reno := c.top*cubicBeta + 3*(1-cubicBeta)/(1+cubicBeta)*t/c.smooth.Seconds()
		target = max(target, reno)
	}
	if target = min(target, 1.5*c.window); target > c.window {
		c.window += (target - c.window) / c.window * float64(s.bytes) / cubicSegment
	}
}

// round looks at what a round trip has brought. In a full queue everybody has
// the part of the line that is their part of what is under way. So a window that
// grows by a little brings that little times the part of the others, and while
// that is more than half the window grows faster than CUBIC's, which takes half a
// minute and more to share evenly with one that was there before.
func (c *contest) round(rate float64, now time.Duration) {
	if c.rounds++; !c.rush || c.rounds < rushRounds {
		return
	}
	if c.was > 0 && math.Log(rate/c.gave) < rushShare*math.Log(c.window/c.was) {
		c.rush, c.top = false, c.window
		c.cut = now - time.Duration(c.flat()*float64(time.Second))
		return
	}
	c.was, c.gave, c.rounds = c.window, rate, 0
	c.window *= rushGrowth
}

// bytes is the window in bytes.
func (c *contest) bytes() int { return int(c.window * cubicSegment) }
