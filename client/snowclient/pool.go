package snowclient

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"flurry/common/multipath"
)

// A poolPath is what the pool needs of a *multipath.Path.
type poolPath interface {
	Info() multipath.PathInfo
	Done() <-chan struct{}
	Err() error
	Close()
}

// errReplaced ends a path that is in order and one too many.
var errReplaced = errors.New("replaced by another path")

// A poolConfig is what a pool is given for life.
type poolConfig struct {
	max    int
	dial   func(ctx context.Context) (poolPath, error) // one attempt, start to attached path
	lost   func(err error)                             // a path that was wanted has ended
	count  func(delta float64)                         // one path more or less
	giveUp func(err error)                             // the bridge is out of reach; may be called again
	tick   func()                                      // called with each check
	jitter func() float64                              // uniform in [0, 1)
	log    *slog.Logger
}

// A pool keeps a session's paths alive: it dials while fewer than max are
// healthy, asks for a replacement as soon as a path looks bad, and retires it
// when the replacement has proved itself or the silence has lasted too long.
// There are never more than max paths that are in order, counting those being
// dialled, and when a new one comes at most one that is not stays beside them.
//
// One goroutine, in Run, owns all state. What makes a path look bad is in
// health.go, when to try again in backoff.go.
type pool struct {
	poolConfig

	// Atomic. Written by setWanted, which then pokes.
	wanted atomic.Bool
	poke   chan struct{}

	// Owned by Run.
	everUp  bool // there has been a path
	members []*member
	dialing int
	totalIn int64     // bytes heard over all paths so far
	heardAt time.Time // when any path was last heard, or paths were last not wanted
	useless int       // paths since then that ended without having been heard
	backoff backoff
	results chan dialResult
	ended   chan *member
	stop    context.CancelFunc // ends the dials in flight
	dialCtx context.Context    // of the dials in flight; nil when none may run
	tasks   sync.WaitGroup
}

// A dialResult is how one attempt went.
type dialResult struct {
	path    poolPath // nil on failure
	err     error
	gaveUp  bool // we ended it ourselves
	started time.Time
}

func newPool(c poolConfig) *pool {
	return &pool{
		poolConfig: c,
		poke:       make(chan struct{}, 1),
		results:    make(chan dialResult, c.max+1), // so a dial never waits to report
		ended:      make(chan *member),
	}
}

// setWanted says whether somebody needs paths now. While nobody does, the pool
// dials nothing, gives up the dials in flight, and keeps the paths it has.
func (p *pool) setWanted(w bool) {
	p.wanted.Store(w)
	select {
	case p.poke <- struct{}{}:
	default:
	}
}

// Run works until ctx ends. It then closes every path and returns when all of
// the pool's goroutines have ended.
func (p *pool) Run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer p.shut(cancel)
	check := time.NewTicker(checkInterval)
	defer check.Stop()
	retry := time.NewTimer(0)
	defer retry.Stop()
	for {
		p.gate(ctx)
		if wait := p.fill(ctx); wait > 0 {
			retry.Reset(wait)
		}
		select {
		case <-ctx.Done():
			return
		case <-p.poke:
		case <-retry.C:
		case r := <-p.results:
			p.dialed(ctx, r)
		case m := <-p.ended:
			p.drop(m, m.path.Err())
		case now := <-check.C:
			p.check(now)
			p.tick()
		}
	}
}

// shut frees everything that Run holds.
func (p *pool) shut(cancel context.CancelFunc) {
	cancel()
	for _, m := range p.members {
		p.tasks.Go(m.path.Close)
	}
	p.tasks.Wait()
	for p.dialing > 0 {
		if r := <-p.results; r.path != nil {
			r.path.Close()
		}
		p.dialing--
	}
	p.members = nil
}

// gate opens and shuts the context under which dials run.
func (p *pool) gate(ctx context.Context) {
	switch wanted := p.wanted.Load(); {
	case wanted && p.dialCtx == nil:
		p.heardAt, p.useless = time.Now(), 0
		p.dialCtx, p.stop = context.WithCancel(ctx)
	case !wanted && p.dialCtx != nil:
		p.stop()
		p.dialCtx = nil
	}
}

// fill starts the dials that are due, and returns how long to wait for the
// next that will be: 0 if none is missing.
func (p *pool) fill(ctx context.Context) time.Duration {
	if p.dialCtx == nil {
		return 0
	}
	healthy := 0
	for _, m := range p.members {
		if !m.suspect {
			healthy++
		}
	}
	n := p.max - healthy - p.dialing
	if n <= 0 {
		return 0
	}
	now := time.Now()
	if wait := p.backoff.wait(now); wait > 0 {
		return wait
	}
	if p.backoff.probing {
		// While attempts fail, one at a time finds out when they stop failing.
		n = min(n, 1-p.dialing)
	}
	for range n {
		p.dialing++
		dialCtx := p.dialCtx
		p.tasks.Go(func() {
			path, err := p.dial(dialCtx)
			p.results <- dialResult{path, err, dialCtx.Err() != nil, now}
		})
	}
	return 0
}

// dialed takes in the result of one attempt.
func (p *pool) dialed(ctx context.Context, r dialResult) {
	p.dialing--
	switch {
	case r.err == nil:
		p.everUp = true
		m := newMember(r.path, time.Now(), p.totalIn)
		p.crowd()
		p.members = append(p.members, m)
		p.count(1)
		p.tasks.Go(func() {
			<-m.path.Done()
			p.count(-1)
			select {
			case p.ended <- m:
			case <-ctx.Done():
			}
		})
	case r.gaveUp:
		// That says nothing about proxies.
	default:
		p.backoff.failed(time.Now(), r.started, p.jitter)
	}
}

// crowd makes room for a path: of those that look bad only the one heard last
// may come back.
func (p *pool) crowd() {
	for len(p.members) > p.max {
		var worst *member
		for _, m := range p.members {
			if m.suspect && (worst == nil || m.lastHeard.Before(worst.lastHeard)) {
				worst = m
			}
		}
		if worst == nil {
			return
		}
		p.drop(worst, ErrStale)
	}
}

// drop takes out a path that has ended or is to end, and says why.
func (p *pool) drop(m *member, err error) {
	for i, x := range p.members {
		if x != m {
			continue
		}
		p.members = append(p.members[:i], p.members[i+1:]...)
		now := time.Now()
		p.listen(m, now)
		if !m.heard {
			p.useless++
		}
		if !m.proved(now) {
			// A proxy that cannot reach the bridge must not make us spin.
			p.backoff.failed(now, m.added, p.jitter)
		}
		p.log.Debug("path ended", "heard", m.heard, "err", err)
		if p.dialCtx != nil && err != errReplaced {
			p.lost(err)
		}
		p.tasks.Go(m.path.Close) // may take a moment: what was sent is let out
		return
	}
}
