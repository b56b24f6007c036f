package rtc

import (
	"context"
	"sync"
	"time"

	"github.com/pion/webrtc/v4"
)

// maxGrace bounds how much longer other STUN servers are waited for once one
// has answered. Those on other continents are some 200 ms away; what a further
// one adds is a second mapping of the same address, or the other family's.
const maxGrace = 200 * time.Millisecond

// A gathering watches one connection's candidates come in. The description is
// ready when all are there, or when the first server-reflexive one has been for
// as long as it took itself, at most maxGrace: a STUN server that is slow or
// dead must not hold up a start for which another has given what is needed.
// Candidates that come later are not in the description, but still used.
type gathering struct {
	began   time.Time
	stocked bool // candidates show only when the description is applied

	once    sync.Once
	first   chan struct{} // closed when the first server-reflexive one is there
	firstAt time.Time     // set before first is closed
}

func newGathering(stocked bool) *gathering {
	return &gathering{began: time.Now(), stocked: stocked, first: make(chan struct{})}
}

// candidate notes a candidate; nil ends them.
func (g *gathering) candidate(c *webrtc.ICECandidate) {
	if c == nil || c.Typ != webrtc.ICECandidateTypeSrflx {
		return
	}
	g.once.Do(func() {
		g.firstAt = time.Now()
		if g.stocked {
			// When it came is not known. Past twice the grace nothing is.
			g.firstAt = earlier(g.firstAt, g.began.Add(maxGrace))
		}
		close(g.first)
	})
}

// wait returns when the description is ready, at the latest limit after the
// gathering began, or with the error of ctx.
func (g *gathering) wait(ctx context.Context, complete <-chan struct{}, limit time.Duration) error {
	end := time.NewTimer(time.Until(g.began.Add(limit)))
	defer end.Stop()
	select {
	case <-complete:
		return nil
	case <-end.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-g.first:
	}
	ready := g.firstAt.Add(min(g.firstAt.Sub(g.began), maxGrace))
	end.Reset(time.Until(earlier(ready, g.began.Add(limit))))
	select {
	case <-complete:
	case <-end.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
