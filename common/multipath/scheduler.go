package multipath

import "time"

// PathInfo is what is known of a path. Facts come only from what any proxy
// lets us see.
type PathInfo struct {
	Kind      string        // of the carrier
	Waiting   int           // bytes given to the path that its carrier has not taken
	Queued    int           // bytes that the carrier has taken and not put on the network, as far as it can tell
	DrainRate float64       // bytes per second that it has lately managed while busy, 0 if unknown
	FirstHop  time.Duration // round trip to the proxy, 0 if unknown

	Added     time.Time
	LastHeard time.Time // of the last packet; at first, when the path was added
	LastSent  time.Time // zero before the first packet
	BytesIn   int64
	BytesOut  int64

	// Stalled is for how long the path has had something to send and has
	// neither got rid of any nor been heard.
	Stalled time.Duration

	// Suspect says that it has been stalled for so long that it needs
	// replacing.
	Suspect bool
}

// A Scheduler chooses the path for one packet of the given size, or -1 to let
// it wait. It is pure: the same arguments give the same answer.
type Scheduler interface {
	Pick(size int, paths []PathInfo, now time.Time) int
}

const (
	// pathQueue is how much may wait in a path's own queue: enough for its
	// writer to fill its largest message twice, little enough that packets
	// wait where they can still be moved.
	pathQueue = 32 << 10

	// assumedRate stands for a rate that is not known yet: that of a thin home
	// uplink, 8 Mbit/s.
	assumedRate = 1e6

	// slack is how much later than on the best path a packet may arrive
	// before it is better to let it wait for the best one.
	slack = 50 * time.Millisecond

	// alike is a difference in arrival that does not matter. An idle session's
	// keepalives then use all its paths in turn, which a deployed proxy needs:
	// it closes a path that brings the client nothing for 30 s (spec section
	// 8.2).
	alike = time.Millisecond
)

// Earliest is the default Scheduler. It sends on the path that will deliver the
// packet first, given what is queued there and how fast it drains. When that
// path is full, it takes the next best that is not much later, so that a slow
// path does not hold the rest back. Stalled paths are used when there is no
// other.
type Earliest struct{}

// Pick implements Scheduler.
func (Earliest) Pick(size int, paths []PathInfo, _ time.Time) int {
	best, open := -1, -1
	var bestAt, openAt time.Duration
	trusted := false
	for i := range paths {
		trusted = trusted || paths[i].Stalled <= doubtAfter
	}
	for i := range paths {
		p := &paths[i]
		if trusted && p.Stalled > doubtAfter {
			continue
		}
		at := arrival(p, size)
		if best < 0 || at < bestAt {
			best, bestAt = i, at
		}
		if p.Waiting < pathQueue && (open < 0 || sooner(p, at, &paths[open], openAt)) {
			open, openAt = i, at
		}
	}
	if open >= 0 && openAt > 2*bestAt+slack {
		return -1
	}
	return open
}

// sooner reports whether a packet should go on p rather than q, given when it
// would arrive. Where that is all the same, the paths take turns.
func sooner(p *PathInfo, at time.Duration, q *PathInfo, other time.Duration) bool {
	if d := at - other; d < -alike || d > alike {
		return d < 0
	}
	return p.LastSent.Before(q.LastSent)
}

// arrival estimates how long a packet sent now takes to the proxy.
func arrival(p *PathInfo, size int) time.Duration {
	rate := p.DrainRate
	if rate <= 0 {
		rate = assumedRate
	}
	ahead := float64(p.Waiting + p.Queued + size)
	return time.Duration(ahead/rate*float64(time.Second)) + p.FirstHop/2
}
