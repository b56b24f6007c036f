package rtc

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/pion/ice/v4"
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
	began time.Time

	mu         sync.Mutex
	candidates []ice.Candidate // guarded by mu

	first    chan struct{} // closed when the first server-reflexive one is there
	firstAt  time.Time     // set before first is closed
	complete chan struct{} // closed when all are there
}

func newGathering() *gathering {
	return &gathering{began: time.Now(), first: make(chan struct{}), complete: make(chan struct{})}
}

// candidate notes a candidate; nil ends them. The ICE agent calls it from one
// goroutine.
func (g *gathering) candidate(c ice.Candidate) {
	if c == nil {
		close(g.complete)
		return
	}
	g.mu.Lock()
	g.candidates = append(g.candidates, c)
	g.mu.Unlock()
	g.saw(c.Type())
}

func (g *gathering) saw(t ice.CandidateType) {
	if t == ice.CandidateTypeServerReflexive && g.firstAt.IsZero() {
		g.firstAt = time.Now()
		close(g.first)
	}
}

// found returns what has come in.
func (g *gathering) found() []ice.Candidate {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.candidates)
}

// wait returns when the description is ready, at the latest limit after the
// gathering began, or with the error of ctx.
func (g *gathering) wait(ctx context.Context, limit time.Duration) error {
	end := time.NewTimer(time.Until(g.began.Add(limit)))
	defer end.Stop()
	select {
	case <-g.complete:
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
	case <-g.complete:
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
