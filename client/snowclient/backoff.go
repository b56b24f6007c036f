package snowclient

import (
	"math"
	"time"
)

// The retry schedule. The first retry comes soon, because the commonest
// failure is "no snowflake proxies currently available" and proxies come back
// to the broker every few seconds; later ones come ever more rarely, and all at
// random times, so that an outage does not make every client ask in step (spec
// section 13, weakness 4).
const (
	retryFirst  = time.Second // mean delay, start of the attempt to start of the next, after the first failure
	retryGrowth = 1.5         // by which each further failure lengthens it
	retryLast   = 20 * time.Second
	retryFloor  = 100 * time.Millisecond // least pause after the end of an attempt...
	retrySpread = 500 * time.Millisecond // ...to which up to this much is added at random

	// A path that has lived for provenAfter and been heard, or has brought
	// provenBytes, is a success whatever becomes of it; one that ends before
	// counts as a failed attempt.
	provenAfter = 10 * time.Second
	provenBytes = 16 << 10
)

// A backoff says when the next attempt may start. Its owner is the pool's
// goroutine.
type backoff struct {
	failures int       // since the last path that proved itself
	retryAt  time.Time // no attempt before
	probing  bool      // attempts are failing: make one at a time
}

// failed counts an attempt that began at started and failed at now. Attempts
// made side by side that fail within one pause count as one.
func (b *backoff) failed(now, started time.Time, jitter func() float64) {
	if now.Before(b.retryAt) {
		return
	}
	b.failures++
	b.probing = true
	mean := float64(retryFirst) * math.Pow(retryGrowth, float64(b.failures-1))
	mean = min(mean, float64(retryLast))
	b.retryAt = started.Add(time.Duration(mean * (0.5 + jitter())))
	if floor := now.Add(retryFloor + time.Duration(jitter()*float64(retrySpread))); b.retryAt.Before(floor) {
		b.retryAt = floor
	}
}

// heard notes that a path carries something: attempts work again.
func (b *backoff) heard() { b.probing = false }

// proved notes that a path is a success: earlier failures are forgotten.
func (b *backoff) proved() { b.failures = 0 }

// wait is how long the next attempt must still wait; 0 if it may start.
func (b *backoff) wait(now time.Time) time.Duration {
	return max(0, b.retryAt.Sub(now))
}
