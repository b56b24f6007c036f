package system

import (
	"context"
	"fmt"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"flurry/test/stage"
)

// bigTransfer is the largest transfer. The race detector makes everything some ten times slower.
func bigTransfer() int64 {
	if stage.RaceEnabled {
		return 20_000_000
	}
	return 200_000_000
}

func TestSystemTransfersBothWays(t *testing.T) {
	s := newStage(t, stage.Options{Proxies: 2})
	ctx := testContext(t)
	leaks := watchLeaks(t, ctx, s)
	for i, size := range []int64{1, 1_000_000, bigTransfer()} {
		seed := uint64(i + 1)
		if err := stage.Get(ctx, dial(t, ctx, s.Client(), nil), seed, size, nil); err != nil {
			t.Error(err)
		}
		if err := stage.Put(ctx, dial(t, ctx, s.Client(), nil), seed, size); err != nil {
			t.Error(err)
		}
	}
	leaks.check(t, ctx)
}

func TestSystemSeveralVolunteersAtOnce(t *testing.T) {
	s := newStage(t, stage.Options{Max: 3})
	ctx := testContext(t)
	for range 3 { // With room for more, one volunteer could be all that the client has.
		if _, err := s.StartProxy(ctx, stage.ProxyOptions{Args: []string{"-capacity=1"}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.WaitAvailable(ctx, 3); err != nil {
		t.Fatal(err)
	}
	const size = 40_000_000
	used := func() (n int) {
		for _, p := range s.Proxies() {
			if u, err := p.Usage(); err != nil || u.Read > size/20 {
				n++ // Where usage is not known the transfers alone must do.
			}
		}
		return n
	}
	// The second and third volunteer join a moment after the first, so one transfer may be over before that.
	for seed := uint64(1); used() < 3; seed++ {
		if seed > 10 {
			t.Fatalf("%d of 3 volunteers carried anything in %d transfers", used(), seed-1)
		}
		get(t, ctx, s.Client(), seed, size)
	}
	if err := stage.Put(ctx, dial(t, ctx, s.Client(), nil), 99, size); err != nil {
		t.Error(err)
	}
}

func TestSystemFiftyStreamsAtOnce(t *testing.T) {
	s := newStage(t, stage.Options{Proxies: 2})
	ctx := testContext(t)
	leaks := watchLeaks(t, ctx, s)
	group, ctx2 := errgroup.WithContext(ctx)
	for i := range 50 {
		group.Go(func() error { return bothWays(ctx2, s.Client(), nil, uint64(i), 500_000) })
	}
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
	leaks.check(t, ctx)
}

// bothWays sends and fetches a file.
func bothWays(ctx context.Context, c *stage.Client, args stage.Args, seed uint64, size int64) error {
	conn, err := c.Dial(ctx, args)
	if err != nil {
		return err
	}
	if err := stage.Put(ctx, conn, seed, size); err != nil {
		return fmt.Errorf("stream %d: %w", seed, err)
	}
	if conn, err = c.Dial(ctx, args); err != nil {
		return err
	}
	if err := stage.Get(ctx, conn, seed, size, nil); err != nil {
		return fmt.Errorf("stream %d: %w", seed, err)
	}
	return nil
}

// Two hundred clients of their own: sessions with a configuration each, hence with a ClientID, a WebRTC connection and a
// KCP conversation each, in eight client programs, whose number of configurations is bounded at 32.
func TestSystemTwoHundredClientsAtOnce(t *testing.T) {
	t.Parallel() // It mostly waits: for volunteers' polls, then for the server to forget.
	const perClient = 25
	clients, volunteers := 8, 10
	if stage.RaceEnabled {
		clients = 2
	}
	s := newStage(t, stage.Options{Proxies: volunteers, Bridges: clients * perClient})
	ctx := testContext(t)
	leaks := watchLeaks(t, ctx, s)
	before := s.Web().Total()
	group, ctx2 := errgroup.WithContext(ctx)
	for i := range clients {
		group.Go(func() error {
			c, err := s.StartClient(ctx2)
			if err != nil {
				return err
			}
			inner, ctx3 := errgroup.WithContext(ctx2)
			for j := range perClient {
				n := i*perClient + j
				inner.Go(func() error {
					conn, err := c.Dial(ctx3, stage.Args{"fingerprint": stage.Fingerprint(n)})
					if err != nil {
						return err
					}
					if err := stage.Get(ctx3, conn, uint64(n), 100_000, nil); err != nil {
						return fmt.Errorf("client %d: %w", n, err)
					}
					return nil
				})
			}
			if err := inner.Wait(); err != nil {
				return err
			}
			return c.Stop()
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	if n := s.Web().Total() - before; n != clients*perClient {
		t.Errorf("the bridge connected %d times for %d clients", n, clients*perClient)
	}
	select {
	case <-time.After(sessionIdle): // Two hundred sessions that stayed would not pass for recent ones.
	case <-ctx.Done():
	}
	leaks.check(t, ctx)
}
