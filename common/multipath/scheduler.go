package multipath

import "time"

// PathInfo is what is known of a path. Facts come only from what any proxy
// lets us see.
type PathInfo struct {
	Kind  string // of the carrier
	Lossy bool   // the carrier loses messages

	RTT      time.Duration // smoothed round trip to the other end and back, 0 if unknown
	Rate     float64       // bytes per second that it can deliver, 0 if unknown
	Window   int           // bytes that it may hold
	InFlight int           // bytes that it holds: sent and not acknowledged
	Wait     time.Duration // until its pace lets the next segment go
	Waiting  int           // bytes given to the path that its carrier has not taken

	Added     time.Time
	LastHeard time.Time // of the last packet; at first, when the path was added
	LastSent  time.Time // zero before the first packet
	BytesIn   int64
	BytesOut  int64

	// Doubt says that something that should have been answered was not. What
	// the path held is sent again, on others if there are any, and it is used
	// only when all are in doubt.
	Doubt bool

	// Suspect says that the doubt has lasted for so long that the path needs
	// replacing.
	Suspect bool
}

// A Scheduler chooses the path for one segment of the given size, or -1 to let
// it wait until something changes. It is pure: the same arguments give the same
// answer.
type Scheduler interface {
	Pick(size int, paths []PathInfo) int
}

const (
	// pathQueue is how much may wait in a path's own queue: enough for its
	// writer to fill its largest message twice, little enough that segments
	// wait where they can still be moved.
	pathQueue = 32 << 10

	// slack is by how much later than on the best path a segment may arrive
	// before it is better to let it wait for the best one: the receiver has to
	// hold all that overtakes it.
	slack = 50 * time.Millisecond
)

// Earliest is the default Scheduler. It sends on the path that will deliver the
// segment first, given what the path holds and how fast it drains. When that
// path is full, it takes the next best that is not much later, so that a slow
// path does not hold the rest back (the idea of BLEST and ECF).
type Earliest struct{}

// Pick implements Scheduler.
func (Earliest) Pick(size int, paths []PathInfo) int {
	trusted, known := false, time.Duration(0)
	for i := range paths {
		trusted = trusted || !paths[i].Doubt
		known = max(known, paths[i].RTT)
	}
	best, open := -1, -1
	var bestAt, openAt time.Duration
	for i := range paths {
		p := &paths[i]
		if trusted && p.Doubt {
			continue
		}
		wait := p.delay(size)
		at := wait + p.RTT/2
		if p.RTT == 0 {
			at = wait + known/2 + time.Millisecond // the devil we know comes first
		}
		if best < 0 || at < bestAt {
			best, bestAt = i, at
		}
		if wait == 0 && (open < 0 || at < openAt) {
			open, openAt = i, at
		}
	}
	if open >= 0 && openAt-bestAt > max(slack, paths[best].RTT) {
		return -1
	}
	return open
}

// delay is how long a segment has to wait before the path takes it.
func (p *PathInfo) delay(size int) time.Duration {
	wait := p.Wait
	over := p.InFlight + size - p.Window
	if p.Waiting >= pathQueue {
		over = max(over, p.Waiting+size-pathQueue)
	}
	if over > 0 {
		full := p.RTT / 4
		if p.Rate > 0 {
			full = time.Duration(float64(over) / p.Rate * float64(time.Second))
		}
		wait = max(wait, full, time.Millisecond)
	}
	return wait
}
