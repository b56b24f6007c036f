package snowclient

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"flurry/common/multipath"
	"flurry/common/safelog"
)

var errNoProxy = errors.New("no proxy in this test")

// A fakePath is a path whose traffic the test makes up.
type fakePath struct {
	mu   sync.Mutex
	info multipath.PathInfo
	err  error
	done chan struct{}
}

func newFakePath() *fakePath {
	now := time.Now()
	return &fakePath{info: multipath.PathInfo{Added: now, LastHeard: now}, done: make(chan struct{})}
}

func (p *fakePath) Info() multipath.PathInfo {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.info
}

func (p *fakePath) Done() <-chan struct{} { return p.done }

func (p *fakePath) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

func (p *fakePath) Close() { p.end(errors.New("closed")) }

func (p *fakePath) end(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		p.err = err
		close(p.done)
	}
}

func (p *fakePath) ended() bool { return p.Err() != nil }

// hear makes n bytes arrive, send makes us send something.
func (p *fakePath) hear(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.info.BytesIn += n
	p.info.LastHeard = time.Now()
}

func (p *fakePath) send() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.info.LastSent = time.Now()
}

// A poolTest runs a pool whose dials the test answers. It lives in a synctest
// bubble, so time is exact.
type poolTest struct {
	t     *testing.T
	start time.Time
	pool  *pool
	stop  func()

	mu      sync.Mutex
	dials   []time.Duration // when each attempt began, since start
	paths   []*fakePath     // what the attempts got
	open    int             // attempts under way
	most    int             // most carriers there ever were, those under way included
	lost    []error
	counted int // paths there are, as the pool counts them
	gaveUp  []error
	attempt func(ctx context.Context, n int) error // nil: every attempt succeeds at once
}

func newPoolTest(t *testing.T, max int) *poolTest {
	pt := &poolTest{t: t, start: time.Now()}
	pt.pool = newPool(poolConfig{
		max:  max,
		dial: pt.dial,
		tick: func() {},
		lost: func(err error) {
			pt.mu.Lock()
			defer pt.mu.Unlock()
			pt.lost = append(pt.lost, err)
		},
		count: func(delta float64) {
			pt.mu.Lock()
			defer pt.mu.Unlock()
			pt.counted += int(delta)
		},
		giveUp: func(err error) {
			pt.mu.Lock()
			defer pt.mu.Unlock()
			pt.gaveUp = append(pt.gaveUp, err)
		},
		jitter: func() float64 { return 0.5 },
		log:    safelog.Discard(),
	})
	return pt
}

// run sets the pool going.
func (pt *poolTest) run() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		pt.pool.Run(ctx)
	}()
	pt.stop = func() {
		cancel()
		<-done
		if pt.counted != 0 {
			pt.t.Errorf("%d paths left, as the pool counts them", pt.counted)
		}
		for i, p := range pt.paths {
			if !p.ended() {
				pt.t.Errorf("path %d is open after Run", i)
			}
		}
	}
	pt.pool.setWanted(true)
	synctest.Wait()
}

func (pt *poolTest) dial(ctx context.Context) (poolPath, error) {
	pt.mu.Lock()
	n := len(pt.dials)
	pt.dials = append(pt.dials, time.Since(pt.start))
	pt.open++
	pt.countLocked()
	attempt := pt.attempt
	pt.mu.Unlock()
	var err error
	if attempt != nil {
		err = attempt(ctx, n)
	}
	pt.mu.Lock()
	defer pt.mu.Unlock()
	pt.open--
	if err != nil {
		return nil, err
	}
	p := newFakePath()
	pt.paths = append(pt.paths, p)
	return p, nil
}

func (pt *poolTest) countLocked() {
	n := pt.open
	for _, p := range pt.paths {
		if !p.ended() {
			n++
		}
	}
	pt.most = max(pt.most, n)
}

// pass lets time go by, in steps within which each is called.
func (pt *poolTest) pass(d time.Duration, each ...func()) {
	const step = 100 * time.Millisecond
	for ; d > 0; d -= step {
		for _, f := range each {
			f()
		}
		time.Sleep(min(d, step))
		synctest.Wait()
	}
}

// told gives what the pool has told so far: of lost paths, and of giving up.
func (pt *poolTest) told() (lost, gaveUp []error) {
	pt.mu.Lock()
	defer pt.mu.Unlock()
	return slices.Clone(pt.lost), slices.Clone(pt.gaveUp)
}

// begun gives when each attempt began.
func (pt *poolTest) begun() []time.Duration {
	pt.mu.Lock()
	defer pt.mu.Unlock()
	return slices.Clone(pt.dials)
}

func (pt *poolTest) wantDials(n int) {
	pt.t.Helper()
	if begun := pt.begun(); len(begun) != n {
		pt.t.Fatalf("%d attempts, want %d; begun at %v", len(begun), n, begun)
	}
}

func (pt *poolTest) path(i int) *fakePath {
	pt.t.Helper()
	pt.mu.Lock()
	defer pt.mu.Unlock()
	if i >= len(pt.paths) {
		pt.t.Fatalf("only %d paths so far, want path %d", len(pt.paths), i)
	}
	return pt.paths[i]
}

func bubble(t *testing.T, max int, f func(t *testing.T, pt *poolTest)) {
	synctest.Test(t, func(t *testing.T) {
		pt := newPoolTest(t, max)
		defer func() {
			if pt.stop != nil {
				pt.stop()
			}
			if pt.most > max+1 {
				t.Errorf("%d carriers at once, want at most %d", pt.most, max+1)
			}
		}()
		f(t, pt)
	})
}
