package rtc

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/ice/v4"
)

// A description is ready when all candidates are there, or a bounded time after
// the first that STUN gave.
func TestGatheringEnds(t *testing.T) {
	const never, limit = time.Hour, 2 * time.Second
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	for name, c := range map[string]struct {
		first, complete time.Duration // since the gathering began
		asked           time.Duration // when the description is wanted
		ready           time.Duration
	}{
		"all there":                        {first: ms(40), complete: ms(60), ready: ms(60)},
		"no server":                        {first: never, complete: ms(1), ready: ms(1)},
		"all servers dead":                 {first: never, complete: 5 * time.Second, ready: limit},
		"one near, one dead":               {first: ms(40), complete: 5 * time.Second, ready: ms(80)},
		"one far, one dead":                {first: ms(600), complete: 5 * time.Second, ready: ms(800)},
		"late, one dead":                   {first: ms(1900), complete: 5 * time.Second, ready: limit},
		"stocked, complete":                {first: ms(40), complete: ms(60), asked: 3 * time.Second, ready: 3 * time.Second},
		"stocked, one dead":                {first: ms(40), complete: 5 * time.Second, asked: time.Second, ready: time.Second},
		"stocked, one dead, wanted early":  {first: ms(80), complete: 5 * time.Second, asked: ms(100), ready: ms(160)},
		"stocked, all dead, wanted late":   {first: never, complete: 5 * time.Second, asked: 3 * time.Second, ready: 3 * time.Second},
		"stocked, all dead, wanted at 1 s": {first: never, complete: 5 * time.Second, asked: time.Second, ready: limit},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				g := newGathering()
				end := time.AfterFunc(c.complete, func() { g.candidate(nil) })
				defer end.Stop()
				first := time.AfterFunc(c.first, func() {
					g.saw(ice.CandidateTypeHost)
					g.saw(ice.CandidateTypeServerReflexive)
				})
				defer first.Stop()
				time.Sleep(c.asked)
				if err := g.wait(t.Context(), limit); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(start); took != c.ready {
					t.Errorf("ready after %v, want %v", took, c.ready)
				}
			})
		})
	}
}

func TestGatheringHeedsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := newGathering().wait(ctx, time.Hour); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
