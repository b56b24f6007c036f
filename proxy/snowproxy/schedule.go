package snowproxy

import (
	"context"
	"math/rand/v2"
	"time"
)

const (
	// minPause and maxPause bound what a broker can make of our polling. The
	// floor is the deployed proxy's (spec section 3.3); the ceiling is ours: a
	// broker that asks for more is broken or hostile.
	minPause = time.Second
	maxPause = 24 * time.Hour

	// errorPause is where the doubling of the pause after failed polls ends. An
	// outage of the broker must not end in a storm of polls, nor outlast itself
	// for long.
	errorPause = 30 * time.Second

	// jitterPart and maxJitter spread the polls of proxies that were started,
	// or cut off, together. Jitter only ever adds: a pause that the broker asked
	// for is kept.
	jitterPart = 10
	maxJitter  = 10 * time.Second
)

// schedule says when to poll next. It belongs to the poll loop.
type schedule struct {
	own      time.Duration // used when the broker states no pause
	last     time.Duration // pause after the last poll that had an answer
	failures int           // polls without an answer since then
}

func newSchedule(own time.Duration) *schedule { return &schedule{own: own, last: own} }

// answered returns the pause after a poll that the broker answered, whatever it
// said, asking for nextPoll; 0 or less means that it did not ask.
func (s *schedule) answered(nextPoll time.Duration) time.Duration {
	s.failures = 0
	s.last = s.own
	if nextPoll > 0 {
		s.last = min(max(nextPoll, minPause), maxPause)
	}
	return s.last
}

// failed returns the pause after a poll without an answer: the last one,
// doubled with each further failure up to errorPause.
func (s *schedule) failed() time.Duration {
	d := s.last
	for range s.failures {
		if d >= errorPause {
			break
		}
		d = min(2*d, errorPause)
	}
	s.failures++
	return d
}

// spread lengthens d a little, at random.
func spread(d time.Duration) time.Duration {
	return d + rand.N(min(d/jitterPart, maxJitter)+1)
}

// sleep waits for d and reports whether ctx is still alive.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
