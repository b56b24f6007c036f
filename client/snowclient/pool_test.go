package snowclient

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

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
