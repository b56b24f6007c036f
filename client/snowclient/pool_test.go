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

func TestPoolDialsAtOnceAndSideBySide(t *testing.T) {
	for _, max := range []int{1, 4} {
		bubble(t, max, func(t *testing.T, pt *poolTest) {
			release := make(chan struct{})
			pt.attempt = func(context.Context, int) error { <-release; return nil }
			pt.run()
			pt.wantDials(max)
			close(release)
			synctest.Wait()
			pt.wantDials(max)
			for i := range max {
				if pt.path(i).ended() {
					t.Errorf("path %d of %d was closed", i, max)
				}
			}
		})
	}
}

func TestPoolReplacesAnEndedPathAtOnce(t *testing.T) {
	bubble(t, 1, func(t *testing.T, pt *poolTest) {
		pt.run()
		pt.pass(15*time.Second, func() { pt.path(0).hear(100) })
		gone := errors.New("gone")
		before := time.Since(pt.start)
		pt.path(0).end(gone)
		synctest.Wait()
		pt.wantDials(2)
		if at := pt.begun()[1]; at != before {
			t.Errorf("the next attempt began at %v, want %v", at, before)
		}
		if lost, _ := pt.told(); len(lost) != 1 || lost[0] != gone {
			t.Errorf("told of %v, want %v", lost, gone)
		}
	})
}

func TestPoolCountsAPathThatCarriedMuchAsASuccess(t *testing.T) {
	bubble(t, 1, func(t *testing.T, pt *poolTest) {
		pt.run()
		for i := range 5 {
			pt.path(i).hear(provenBytes)
			pt.path(i).end(errNoProxy)
			synctest.Wait()
		}
		pt.wantDials(6)
	})
}

func TestPoolBacksOff(t *testing.T) {
	bubble(t, 1, func(t *testing.T, pt *poolTest) {
		pt.attempt = func(context.Context, int) error { return errNoProxy }
		pt.run()
		pt.pass(5 * time.Minute)
		begun := pt.begun()
		gaps := make([]time.Duration, len(begun)-1)
		for i := range gaps {
			gaps[i] = begun[i+1] - begun[i]
		}
		if gaps[0] != retryFirst {
			t.Errorf("first retry after %v, want %v", gaps[0], retryFirst)
		}
		for i := 1; i < len(gaps); i++ {
			if gaps[i] < gaps[i-1] || gaps[i] > retryLast {
				t.Fatalf("pauses %v: want them to grow to %v", gaps, retryLast)
			}
		}
		if last := gaps[len(gaps)-1]; last != retryLast {
			t.Errorf("last pause %v, want %v", last, retryLast)
		}
	})
}

func TestPoolJitterSpreadsRetries(t *testing.T) {
	for _, c := range []struct {
		jitter float64
		want   time.Duration
	}{{0, retryFirst / 2}, {0.5, retryFirst}, {0.999, retryFirst * 1499 / 1000}} {
		bubble(t, 1, func(t *testing.T, pt *poolTest) {
			pt.pool.jitter = func() float64 { return c.jitter }
			pt.attempt = func(context.Context, int) error { return errNoProxy }
			pt.run()
			pt.pass(retryFirst * 2)
			if got := pt.begun()[1]; got != c.want {
				t.Errorf("jitter %v: first retry after %v, want %v", c.jitter, got, c.want)
			}
		})
	}
}

func TestPoolRetriesSoonAfterALongAttempt(t *testing.T) {
	bubble(t, 1, func(t *testing.T, pt *poolTest) {
		const long = 10 * time.Second // as for a channel that does not open
		pt.attempt = func(context.Context, int) error { time.Sleep(long); return errNoProxy }
		pt.run()
		pt.pass(long + time.Second)
		pt.wantDials(2)
		if pause := pt.begun()[1] - long; pause < retryFloor || pause > retryFloor+retrySpread {
			t.Errorf("retried %v after the end of the attempt", pause)
		}
	})
}

func TestPoolProbesOneAtATimeWhileFailing(t *testing.T) {
	bubble(t, 4, func(t *testing.T, pt *poolTest) {
		const takes = 300 * time.Millisecond
		pt.attempt = func(_ context.Context, n int) error {
			if n < 5 {
				return errNoProxy
			}
			time.Sleep(takes)
			return nil
		}
		pt.run()
		pt.wantDials(4)
		pt.pass(1100 * time.Millisecond)
		pt.wantDials(5) // one, and it failed
		pt.pass(1500 * time.Millisecond)
		pt.wantDials(6) // one, still under way
		pt.pass(takes)
		pt.wantDials(7) // it succeeded, so the next
		pt.path(0).hear(100)
		pt.pass(checkInterval)
		pt.wantDials(9) // proxies work again: the rest at once
	})
}

func TestPoolDoesNotSpinOnUselessProxies(t *testing.T) {
	bubble(t, 1, func(t *testing.T, pt *poolTest) {
		pt.run()
		useless := func() {
			pt.mu.Lock()
			defer pt.mu.Unlock()
			for _, p := range pt.paths {
				p.end(errNoProxy) // opened, and dead before a byte came
			}
		}
		pt.pass(time.Minute, useless)
		if n := len(pt.begun()); n < 4 || n > 12 {
			t.Errorf("%d attempts in a minute at proxies that do not work", n)
		}
	})
}

func TestPoolDialsNothingWhileUnwanted(t *testing.T) {
	bubble(t, 1, func(t *testing.T, pt *poolTest) {
		gaveUp := false
		pt.attempt = func(ctx context.Context, n int) error {
			if n > 0 {
				return nil
			}
			<-ctx.Done()
			gaveUp = true
			return ctx.Err()
		}
		pt.run()
		pt.wantDials(1)
		pt.pool.setWanted(false)
		pt.pass(time.Minute)
		pt.wantDials(1)
		if !gaveUp {
			t.Error("the attempt under way went on")
		}
		pt.pool.setWanted(true)
		synctest.Wait()
		pt.wantDials(2) // at once: giving up is no failure
		pt.pool.setWanted(false)
		pt.pass(5 * time.Minute)
		if pt.path(0).ended() {
			t.Error("a path was retired while nobody wanted it to carry anything")
		}
		pt.path(0).end(errNoProxy)
		pt.pass(time.Minute)
		pt.wantDials(2)
	})
}

func TestPoolComesBackWhileADialIsBeingGivenUp(t *testing.T) {
	bubble(t, 1, func(t *testing.T, pt *poolTest) {
		pt.attempt = func(ctx context.Context, n int) error {
			if n > 0 {
				return nil
			}
			<-ctx.Done()
			time.Sleep(time.Second) // it takes a while to let go
			return ctx.Err()
		}
		pt.run()
		pt.pool.setWanted(false)
		synctest.Wait()
		pt.pool.setWanted(true)
		pt.pass(900 * time.Millisecond)
		pt.wantDials(1)
		pt.pass(100 * time.Millisecond)
		pt.wantDials(2) // at once: giving up is no failure
	})
}

func TestPoolClosesAPathThatComesTooLate(t *testing.T) {
	bubble(t, 1, func(t *testing.T, pt *poolTest) {
		pt.attempt = func(ctx context.Context, _ int) error { <-ctx.Done(); return nil }
		pt.run()
		// stop, deferred, checks that the path which comes after is closed
	})
}
