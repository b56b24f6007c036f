package snowclient

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"flurry/common/carrier"
	"flurry/common/carrier/carriertest"
	"flurry/common/messages"
	"flurry/common/sdp"
)

// A plan is how long each stage of one attempt takes and how it ends.
type plan struct {
	exchange, opening time.Duration
	err               error
}

const hangs = time.Hour

// planKey is where a context has its attempt's plan.
type planKey struct{}

// planned is a rendezvous and a dialer whose attempts go by plan.
type planned struct {
	plans []plan

	mu      sync.Mutex
	offers  []time.Time // guarded by mu
	started time.Time
	open    map[carrier.Conn]int // by attempt; guarded by mu
}

func (p *planned) Exchange(context.Context, []byte) ([]byte, error) {
	return []byte(`{"answer":"a"}`), nil
}

func (p *planned) DialCarrier(ctx context.Context, signal SignalFunc) (carrier.Conn, error) {
	p.mu.Lock()
	n := len(p.offers)
	p.offers = append(p.offers, time.Now())
	p.mu.Unlock()
	plan := p.plans[n]
	wait := func(d time.Duration) error {
		select {
		case <-time.After(d):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if _, err := signal(context.WithValue(ctx, planKey{}, plan), sdp.Description{Type: "offer"}.String()); err != nil {
		return nil, err
	}
	if err := wait(plan.opening); err != nil || plan.err != nil {
		return nil, errors.Join(err, plan.err)
	}
	c, _ := carriertest.Pair(carriertest.Options{})
	p.mu.Lock()
	p.open[c] = n
	p.mu.Unlock()
	return c, nil
}

// A second offer is made when the first is slow, and only then; the first
// carrier to open is the one, and nothing is left of the other.
func TestHedge(t *testing.T) {
	sec := func(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
	boom := errors.New("boom")
	for name, c := range map[string]struct {
		plans  []plan
		offers []time.Duration
		took   time.Duration
		winner int // -1: an error
	}{
		"quick":                {[]plan{{sec(.5), sec(.5), nil}}, []time.Duration{0}, sec(1), 0},
		"fails quickly":        {[]plan{{sec(.5), sec(.5), boom}}, []time.Duration{0}, sec(1), -1},
		"broker hangs":         {[]plan{{hangs, 0, nil}, {sec(.5), sec(.5), nil}}, []time.Duration{0, slowExchange}, sec(4), 1},
		"channel hangs":        {[]plan{{sec(.5), hangs, nil}, {sec(.5), sec(.5), nil}}, []time.Duration{0, sec(.5) + slowOpening}, sec(3.5), 1},
		"first still wins":     {[]plan{{sec(.5), sec(2.5), nil}, {sec(.5), sec(.7), nil}}, []time.Duration{0, sec(2.5)}, sec(3), 0},
		"far away is not slow": {[]plan{{sec(2), sec(5.5), nil}}, []time.Duration{0}, sec(7.5), 0},
		"second fails":         {[]plan{{sec(.5), sec(4), nil}, {sec(.1), 0, boom}}, []time.Duration{0, sec(2.5)}, sec(4.5), 0},
		"both fail":            {[]plan{{sec(.5), sec(4), boom}, {sec(.1), 0, boom}}, []time.Duration{0, sec(2.5)}, sec(4.5), -1},
		"both hang":            {[]plan{{sec(.5), hangs, nil}, {sec(.5), hangs, nil}}, []time.Duration{0, sec(2.5)}, attemptTimeout + sec(2.5), -1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &planned{plans: c.plans, started: time.Now(), open: map[carrier.Conn]int{}}
				tr := newTestTransport(t, Config{Rendezvous: slowly{p}, Dialer: p})
				got, err := tr.connect(t.Context())
				if took := time.Since(p.started); took != c.took {
					t.Errorf("took %v, want %v", took, c.took)
				}
				if winner, ok := p.open[got]; (err == nil) != (c.winner >= 0) || ok && winner != c.winner {
					t.Errorf("attempt %d won, error %v, want %d", winner, err, c.winner)
				}
				var offers []time.Duration
				for _, at := range p.offers {
					offers = append(offers, at.Sub(p.started))
				}
				if !slices.Equal(offers, c.offers) {
					t.Errorf("offers at %v, want %v", offers, c.offers)
				}
				tr.tasks.Wait() // the one that lost ends at once
				if time.Since(p.started) != c.took {
					t.Errorf("the last attempt ended after %v", time.Since(p.started))
				}
				for conn, n := range p.open {
					select {
					case <-conn.Done():
						if conn == got {
							t.Error("the winner is closed")
						}
					default:
						if conn != got {
							t.Errorf("attempt %d left its carrier open", n)
						}
					}
				}
				if got != nil {
					got.Close()
				}
			})
		})
	}
}

// slowly waits as long as the plan of the attempt says.
type slowly struct{ *planned }

func (s slowly) Exchange(ctx context.Context, request []byte) ([]byte, error) {
	select {
	case <-time.After(ctx.Value(planKey{}).(plan).exchange):
		return s.planned.Exchange(ctx, request)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// What has once been normal is not slow.
func TestPaceLearns(t *testing.T) {
	var p pace
	if got := p.limit(stageOpening, 2*time.Second); got != slowFactor*2*time.Second {
		t.Errorf("without experience: %v", got)
	}
	p.took(stageOpening, 4*time.Second)
	p.took(stageExchange, 2*time.Second)
	if o, e := p.limit(stageOpening, 0), p.limit(stageExchange, 0); o != slowFactor*4*time.Second || e != slowFactor*2*time.Second {
		t.Errorf("after a slow one: %v and %v", o, e)
	}
	for range 100 {
		p.took(stageOpening, 100*time.Millisecond)
	}
	if got := p.limit(stageOpening, time.Minute); got != slowOpening {
		t.Errorf("after many quick ones: %v", got)
	}
}

// When the first channel is slow to open, the second offer no longer makes the
// claim that may be to blame.
func TestHedgeIsHonest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sent []messages.NATType
		p := &planned{plans: []plan{{0, hangs, nil}, {0, 0, nil}}, open: map[carrier.Conn]int{}}
		tr := newTestTransport(t, Config{Dialer: p, Rendezvous: replier(func(request string) (string, error) {
			r, err := messages.DecodeClientPollRequest([]byte(request))
			sent = append(sent, r.NAT)
			return `{"answer":"a"}`, err
		})})
		c, err := tr.connect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if want := []messages.NATType{messages.NATUnrestricted, messages.NATUnknown}; !slices.Equal(sent, want) {
			t.Errorf("sent %q, want %q", sent, want)
		}
	})
}
