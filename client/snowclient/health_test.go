package snowclient

import (
	"context"
	"testing"
	"time"
)

func TestPoolSeeksAReplacementForASuspect(t *testing.T) {
	bubble(t, 1, func(t *testing.T, pt *poolTest) {
		pt.run()
		old := pt.path(0)
		pt.pass(time.Minute, func() { old.hear(100); old.send() })
		pt.wantDials(1)
		pt.pass(suspectAfter+2*time.Second, old.send) // unanswered
		pt.wantDials(2)
		fresh := pt.path(1)
		if old.ended() {
			t.Fatal("the suspect was retired before its replacement had proved itself")
		}
		fresh.hear(100)
		pt.pass(checkInterval)
		if !old.ended() || fresh.ended() {
			t.Fatalf("old ended: %v, fresh ended: %v", old.ended(), fresh.ended())
		}
		if lost, _ := pt.told(); len(lost) != 1 || lost[0] != ErrStale {
			t.Errorf("told of %v, want %v", lost, ErrStale)
		}
		pt.wantDials(2)
	})
}

func TestPoolSuspectsWhatMultipathSuspects(t *testing.T) {
	bubble(t, 1, func(t *testing.T, pt *poolTest) {
		pt.run()
		p := pt.path(0)
		p.hear(1)
		p.mu.Lock()
		p.info.Suspect = true
		p.mu.Unlock()
		pt.pass(2 * checkInterval)
		pt.wantDials(2)
	})
}

func TestPoolKeepsAPathThatRecovers(t *testing.T) {
	bubble(t, 1, func(t *testing.T, pt *poolTest) {
		pt.attempt = func(ctx context.Context, n int) error {
			if n == 0 {
				return nil
			}
			<-ctx.Done()
			return ctx.Err()
		}
		pt.run()
		p := pt.path(0)
		pt.pass(time.Minute, func() { p.hear(100); p.send() })
		pt.pass(suspectAfter+2*time.Second, p.send)
		pt.wantDials(2)
		pt.pass(time.Minute, func() { p.hear(100); p.send() })
		pt.wantDials(2)
		if p.ended() {
			t.Error("a path that was heard again was retired")
		}
	})
}

// An idle session is silent between keepalives, and acknowledges what it hears.
func TestPoolLeavesQuietPathsAlone(t *testing.T) {
	bubble(t, 1, func(t *testing.T, pt *poolTest) {
		pt.run()
		p := pt.path(0)
		for range 30 {
			p.hear(32)
			p.send()
			pt.pass(10 * time.Second)
		}
		pt.wantDials(1)
	})
}

func TestPoolGivesUpASilentPath(t *testing.T) {
	bubble(t, 1, func(t *testing.T, pt *poolTest) {
		pt.run()
		p := pt.path(0)
		pt.pass(time.Minute, func() { p.hear(100) })
		pt.pass(staleAfter - time.Second)
		pt.wantDials(1)
		pt.pass(2 * time.Second)
		pt.wantDials(2)
		if !p.ended() {
			t.Error("a path silent for staleAfter is still open")
		}
	})
}

func TestPoolJudgesAPathByItsSiblings(t *testing.T) {
	for _, c := range []struct {
		name string
		rate int64 // bytes the sibling hears each 100 ms
		gone bool
	}{{"little", 10, false}, {"much", 10000, true}} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, 2, func(t *testing.T, pt *poolTest) {
				pt.run()
				quiet, busy := pt.path(0), pt.path(1)
				quiet.hear(1)
				pt.pass(time.Second)
				pt.pass(staleAfter+5*time.Second, func() { busy.hear(c.rate); busy.send() })
				if quiet.ended() != c.gone {
					t.Errorf("the quiet path ended: %v, want %v", quiet.ended(), c.gone)
				}
			})
		})
	}
}

// A burst after a quiet time reaches some paths before others.
func TestPoolForgetsTheSilenceOfQuietTimes(t *testing.T) {
	bubble(t, 2, func(t *testing.T, pt *poolTest) {
		pt.run()
		quiet, busy := pt.path(0), pt.path(1)
		quiet.hear(1)
		pt.pass(time.Second)
		pt.pass(staleAfter+10*time.Second, func() { busy.hear(10); busy.send(); quiet.send() })
		pt.pass(suspectAfter-time.Second, func() { busy.hear(100_000); quiet.send() })
		pt.wantDials(2)
		if quiet.ended() {
			t.Error("a path was retired for having been quiet when all were")
		}
	})
}

func TestPoolGivesUpABridgeThatNoProxyReaches(t *testing.T) {
	bubble(t, 1, func(t *testing.T, pt *poolTest) {
		pt.run()
		pt.path(0).hear(100) // it worked once
		useless := func() {
			pt.mu.Lock()
			defer pt.mu.Unlock()
			for _, p := range pt.paths {
				p.end(errNoProxy)
			}
		}
		pt.pass(uselessTime-time.Second, useless)
		if _, gaveUp := pt.told(); len(gaveUp) > 0 {
			t.Error("gave up too early")
		}
		pt.pass(2*time.Second, useless)
		if _, gaveUp := pt.told(); len(gaveUp) == 0 || gaveUp[0] != errUnreachable {
			t.Errorf("gave up for %v, want %v", gaveUp, errUnreachable)
		}
	})
}

// Without proxies nothing can be said about the bridge, until it must have
// given us up.
func TestPoolGivesUpABridgeThatHasForgottenUs(t *testing.T) {
	for _, everUp := range []bool{false, true} {
		bubble(t, 1, func(t *testing.T, pt *poolTest) {
			pt.attempt = func(_ context.Context, n int) error {
				if n == 0 && everUp {
					return nil
				}
				return errNoProxy
			}
			pt.run()
			if everUp {
				pt.path(0).hear(100)
				pt.pass(time.Second)
				pt.path(0).end(errNoProxy)
			}
			pt.pass(goneAfter - 2*time.Second)
			if _, gaveUp := pt.told(); len(gaveUp) > 0 {
				t.Error("gave up too early")
			}
			pt.pass(3 * time.Second)
			_, gaveUp := pt.told()
			if everUp != (len(gaveUp) > 0) || everUp && gaveUp[0] != errSilent {
				t.Errorf("path once: %v; gave up for %v", everUp, gaveUp)
			}
		})
	}
}
