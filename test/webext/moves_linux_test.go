package webext

import (
	"context"
	"testing"

	"flurry/test/browsers"
	"flurry/test/stage"
)

// movedFile is fetched while volunteers come and go, in bytes; movedStep after how many of them the one who carries it is killed.
const (
	movedFile = 12_000_000
	movedStep = 4_000_000
)

// A gate is a writer that stops a transfer after every step bytes, until the test lets it go on.
type gate struct {
	reached, open chan struct{}
	step, got     int64
}

func newGate(step int64) *gate {
	return &gate{reached: make(chan struct{}), open: make(chan struct{}), step: step}
}

func (g *gate) Write(p []byte) (int, error) {
	before := g.got / g.step
	g.got += int64(len(p))
	if g.got/g.step > before {
		g.reached <- struct{}{}
		<-g.open
	}
	return len(p), nil
}

// TestSessionMoves kills the browser that carries a session, twice, once of each kind. The session, and a transfer in it, go on
// through the other one.
func TestSessionMoves(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), testLimit)
	defer cancel()
	w := newWorld(ctx, t)
	var all []*volunteer
	for _, kind := range []browsers.Kind{browsers.Chromium(), browsers.Firefox()} {
		find(t, kind)
		v := newVolunteer(ctx, t, kind, w.config())
		v.switchOn()
		all = append(all, v)
	}
	if err := w.WaitAvailable(ctx, len(all)); err != nil {
		t.Fatal(err)
	}
	k := beginTalk(ctx, t, w.Client())
	conn, err := w.Dial(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	g, done := newGate(movedStep), make(chan error, 1)
	go func() { done <- stage.Get(ctx, conn, 1, movedFile-1, g) }()
	for i := range 2 {
		select {
		case <-g.reached:
		case err := <-done:
			t.Fatalf("the transfer ended early: %v", err)
		}
		carrier, other := whoCarries(ctx, t, all)
		t.Logf("%s is killed", carrier.kind.Name)
		carrier.kill()
		g.open <- struct{}{}
		k.say(t, "through the other") // The rest of the file may be here already.
		other.await("of the person who was with the other", func(n shown) bool { return n.Now == 1 })
		if i == 0 {
			carrier.start()
			carrier.await("on as before", func(n shown) bool { return n.On == "true" && n.Phase == "polling" })
		}
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// whoCarries tells the two volunteers apart, of whom one has somebody to help.
func whoCarries(ctx context.Context, t testing.TB, all []*volunteer) (carrier, other *volunteer) {
	t.Helper()
	err := until(ctx, func() (bool, string) {
		for i, v := range all {
			if s, err := look(ctx, v.page); err == nil && s.Now == 1 {
				carrier, other = v, all[1-i]
				return true, ""
			}
		}
		return false, "no volunteer carries the transfer"
	})
	if err != nil {
		t.Fatal(err)
	}
	return carrier, other
}
