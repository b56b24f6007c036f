package rtc

import "time"

const (
	// windowStart carries 1 MB/s over 60 ms until more is known; a line of 1
	// Mbit/s has emptied it after half a second.
	windowStart = 64 << 10

	// windowSpare is what may be under way beside twice the product of rate and
	// round trip: late acknowledgements, and a line that is empty at first, want
	// some. Ordered channels on lines of 0.5 and 1 Mbit/s carried most with 32
	// KiB, of 16 to 64: less stops and goes with large messages, more is lost
	// again and again in a queue of 0.2 s (measured).
	windowSpare = 32 << 10

	// windowMost bounds memory. It carries 10 MB/s over 200 ms.
	windowMost = 4 << 20

	// shortestRound is the least time over which a rate is measured, so that
	// the steps in which acknowledgements come do not count.
	shortestRound = 40 * time.Millisecond

	// shortestTrip stands for shorter round trips: among neighbours the time
	// that programs take to wake up is longer.
	shortestTrip = 10 * time.Millisecond

	// startGain is taken in place of 2 after a round in which the window has held
	// Send back and yet brought more than startMore of what any had before. The
	// rate of a round is that of the window of the round before: with 2 the window
	// would double in two round trips, where the session's start (multipath) grows
	// more than twofold in one.
	startGain = 4.0
	startMore = 1.25

	// rateRounds is for how many rounds the best rate counts.
	rateRounds = 10

	// leastFor is how long, not counting pauses, the least round trip is
	// believed without having been seen again. Then a dip shows it: half of what
	// the line holds under way, until dipSamples round trips have gone by, so
	// that of a queue less than a tenth is left in SCTP's smoothed estimate.
	// That costs some 3 % of a long line that is full all the time.
	leastFor   = time.Minute
	dipSamples = 20
	dipSpare   = 16 << 10
)

// A window says how many bytes may be under way that the other end has not
// acknowledged: about twice what the line holds. More would only wait, before a
// thin line for seconds where nobody above bounds it, and less would hold back a
// long fat one. It is pure: time and measurements are passed in.
//
// A window bounds the very rate that it is made from. Growth does not suffer
// from that: while the window is too small for the line the round trip is at its
// least, and twice the product of both is twice the window. On a line that is
// full the round trip grows with the window, the rate does not, and the window
// comes down to twice what the line holds without its queue.
type window struct {
	size int

	began    time.Time // of the round
	acked    int64     // by then
	hindered bool      // Send has waited in the round
	rates    [rateRounds]float64
	next     int // in rates

	least time.Duration // round trip; 0 while unknown
	last  time.Duration // what SCTP said last
	stale time.Duration // since least was last seen, or nearly, without pauses
	dip   int           // samples to come in the dip; 0 outside one
	seen  time.Duration // least of the dip
}

func newWindow(now time.Time) window { return window{size: windowStart, began: now} }

// due reports whether a round is over, so that observe has something to learn.
func (w *window) due(now time.Time) bool {
	return now.Sub(w.began) >= max(w.least, shortestRound)
}

// observe ends a round. acked counts all bytes acknowledged so far, rtt is the
// smoothed round trip, 0 if unknown.
func (w *window) observe(now time.Time, acked int64, rtt time.Duration) {
	rate := float64(acked-w.acked) / now.Sub(w.began).Seconds()
	// A round in which there was less to send tells of the line only if it was
	// the best.
	before := w.best()
	if w.hindered || rate > before {
		w.rates[w.next] = rate
		w.next = (w.next + 1) % rateRounds
	}
	if rtt > 0 && rtt != w.last {
		w.learn(rtt, now.Sub(w.began))
	}
	hindered := w.hindered
	w.began, w.acked, w.hindered, w.last = now, acked, false, rtt
	if w.least == 0 {
		return
	}
	gain, spare := 2.0, windowSpare
	switch {
	case w.dip > 0:
		gain, spare = 0.5, dipSpare
	case hindered && rate > startMore*before:
		gain = startGain
	}
	size := min(int(gain*w.best()*max(w.least, shortestTrip).Seconds())+spare, windowMost)
	if w.dip == 0 {
		size = max(size, w.size-w.size/8) // what the start has made is not known to be too much at once
	}
	w.size = size
}

// learn keeps the least round trip, and begins and ends dips. passed is the
// length of the round.
func (w *window) learn(rtt, passed time.Duration) {
	switch {
	case w.least == 0 || rtt <= w.least+w.least/8:
		if w.least == 0 || rtt < w.least {
			w.least = rtt
		}
		w.stale, w.dip = 0, 0
	case w.dip > 0:
		w.seen = min(w.seen, rtt)
		if w.dip--; w.dip == 0 { // the line has become longer
			w.least, w.stale = w.seen, 0
		}
	default:
		// A long round had a pause in it.
		if w.stale += min(passed, 4*max(rtt, shortestRound)); w.stale >= leastFor {
			w.seen, w.dip = rtt, dipSamples
		}
	}
}

func (w *window) best() float64 {
	best := 0.0
	for _, r := range w.rates {
		best = max(best, r)
	}
	return best
}
