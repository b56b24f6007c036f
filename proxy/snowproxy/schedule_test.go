package snowproxy

import (
	"context"
	"errors"
	"math"
	"net/netip"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"flurry/common/carrier"
	"flurry/common/messages"
)

func TestSchedule(t *testing.T) {
	s := newSchedule(5 * time.Second)
	for i, c := range []struct{ next, want time.Duration }{
		{0, 5 * time.Second},
		{-time.Second, 5 * time.Second},
		{20 * time.Second, 20 * time.Second},
		{time.Millisecond, minPause},
		{time.Hour, time.Hour},
		{math.MaxInt64, maxPause},
		{0, 5 * time.Second}, // the wish holds for one poll
	} {
		if got := s.answered(c.next); got != c.want {
			t.Errorf("%d: asked for %v: %v, want %v", i, c.next, got, c.want)
		}
	}
	s.answered(2 * time.Second)
	for i, want := range []time.Duration{2, 4, 8, 16, 30, 30, 30} {
		if got := s.failed(); got != want*time.Second {
			t.Errorf("failure %d: %v, want %v s", i+1, got, want)
		}
	}
	s.answered(time.Hour)
	for range 3 {
		if got := s.failed(); got != time.Hour {
			t.Errorf("failures make polls more frequent: %v", got)
		}
	}
}

func TestJitterOnlyAdds(t *testing.T) {
	seen := make(map[time.Duration]bool)
	for range 1000 {
		d := spread(10 * time.Second)
		if d < 10*time.Second || d > 11*time.Second {
			t.Fatalf("10 s became %v", d)
		}
		seen[d] = true
		if d := spread(maxPause); d < maxPause || d > maxPause+maxJitter {
			t.Fatalf("%v became %v", maxPause, d)
		}
	}
	if len(seen) < 100 {
		t.Errorf("only %d different pauses", len(seen))
	}
	if spread(0) != 0 {
		t.Error("nothing became something")
	}
}

// pauses runs a proxy against broker for d of the bubble's time and returns the
// pauses between the beginnings of its polls.
func pauses(t *testing.T, broker *fakeBroker, d time.Duration, change func(*Config)) []time.Duration {
	t.Helper()
	p := newProxy(t, broker, change)
	stop := start(t, p)
	time.Sleep(d)
	stop()
	seen := broker.seen()
	var got []time.Duration
	for i := 1; i < len(seen); i++ {
		got = append(got, seen[i].at.Sub(seen[i-1].at))
	}
	return got
}

func within(d, want time.Duration) bool { return d >= want && d <= want+want/jitterPart }

func TestPollsObeyTheBroker(t *testing.T) {
	const hold = 10 * time.Second // spec section 3.1
	script := []struct {
		reply any
		err   error
		pause time.Duration
	}{
		{messages.ProxyPollResponse{Status: "no match"}, nil, 5 * time.Second},
		{messages.ProxyPollResponse{Status: "no match", NextPoll: 20 * time.Second}, nil, 20 * time.Second},
		{match(3 * time.Second), nil, 3 * time.Second},
		{nil, errors.New("connection refused"), 3 * time.Second},
		{nil, errors.New("connection refused"), 6 * time.Second},
		{"{not JSON", nil, 12 * time.Second},
		{messages.ProxyPollResponse{Status: messages.StatusIncorrectRelayPattern, NextPoll: time.Hour}, nil, time.Hour},
		{messages.ProxyPollResponse{Status: "go away", NextPoll: time.Minute}, nil, time.Minute},
		{`{"Status":"no match","NextPoll":9223372036854775807}`, nil, 24 * time.Hour},
		{`{"Status":"no match","NextPoll":1}`, nil, time.Second},
		{`{"Status":"no match","NextPoll":-9223372036854775808}`, nil, 5 * time.Second},
	}
	synctest.Test(t, func(t *testing.T) {
		n := 0
		broker := &fakeBroker{poll: func(ctx context.Context, _ messages.ProxyPollRequest) (any, error) {
			if !sleep(ctx, hold) {
				return nil, ctx.Err()
			}
			if n == len(script) {
				return messages.ProxyPollResponse{Status: "no match", NextPoll: 24 * time.Hour}, nil
			}
			n++
			return script[n-1].reply, script[n-1].err
		}}
		got := pauses(t, broker, 28*time.Hour, nil)
		if len(got) < len(script) {
			t.Fatalf("%d polls in 28 h, want %d", len(got)+1, len(script)+1)
		}
		for i, s := range script {
			if pause := got[i] - hold; !within(pause, s.pause) {
				t.Errorf("after poll %d: a pause of %v, want %v", i, pause, s.pause)
			}
		}
	})
}

func TestPollSaysWhatItShould(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := &fakeBroker{}
		pauses(t, broker, time.Minute, func(c *Config) { c.RelayPattern = ".example.com$" })
		ids := make(map[string]bool)
		for _, s := range broker.seen() {
			r := s.req
			if len(r.SessionID) != 22 || ids[r.SessionID] {
				t.Errorf("session id %q", r.SessionID)
			}
			ids[r.SessionID] = true
			if r.Version != "1.3" || r.Type != messages.ProxyStandalone || r.NAT != messages.NATUnrestricted ||
				r.RelayPattern == nil || *r.RelayPattern != ".example.com$" {
				t.Errorf("poll %+v", r)
			}
		}
		if len(ids) < 10 {
			t.Errorf("%d polls in a minute", len(ids))
		}
	})
}

func TestRelayMustBeReachable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		var tries []time.Duration
		down := func() bool { d := time.Since(begin); return d < 12*time.Minute || d > 30*time.Hour }
		events := newEventLog()
		broker := &fakeBroker{}
		pauses(t, broker, 60*time.Hour, func(c *Config) {
			c.PollInterval = time.Minute
			c.OnEvent = events.hear
			c.Upstream = fakeUpstream(func(ctx context.Context, u *url.URL, a netip.Addr) (carrier.Conn, error) {
				tries = append(tries, time.Since(begin))
				if u.String() != DefaultRelayURL || a.IsValid() {
					t.Errorf("tried %v for %v", u, a)
				}
				if down() {
					return nil, errors.New("no route")
				}
				return anyUpstream(ctx, u, a)
			})
		})
		first := broker.seen()[0].at.Sub(begin)
		if first < 21*time.Minute || first > 24*time.Minute {
			t.Errorf("first poll after %v, want the sum of 10 s doubled seven times", first)
		}
		last := broker.seen()[len(broker.seen())-1].at.Sub(begin)
		if last > 48*time.Hour+30*time.Minute || last < 23*time.Hour {
			t.Errorf("last poll after %v", last)
		}
		if n := events.count(EventRelayUnreachable); n < 2 {
			t.Errorf("%d notices of the outage", n)
		}
		if d := tries[8] - tries[7]; d < relayRecheck || d > relayRecheck+5*time.Minute {
			t.Errorf("checked again after %v", d)
		}
	})
}

func TestNATIsProbedAgain(t *testing.T) {
	type step struct {
		nat messages.NATType
		err error
	}
	steps := []step{
		{"", errors.New("no service")}, // at the start: unknown
		{messages.NATRestricted, nil},
		{"", errors.New("no service")}, // keeps the old value
		{messages.NATRestricted, nil},
		{messages.NATUnrestricted, nil},
	}
	synctest.Test(t, func(t *testing.T) {
		broker, events, n := &fakeBroker{}, newEventLog(), 0
		p := newProxy(t, broker, func(c *Config) {
			c.ForceUnrestricted, c.NATRetestInterval, c.OnEvent = false, time.Hour, events.hear
		})
		p.probe = func(ctx context.Context) (messages.NATType, error) {
			if len(broker.seen()) == 0 && n > 0 {
				t.Error("no poll between two probes")
			}
			s := steps[min(n, len(steps)-1)]
			n++
			return s.nat, s.err
		}
		stop := start(t, p)
		time.Sleep(4*time.Hour + 30*time.Minute)
		stop()
		if n != len(steps) {
			t.Errorf("%d probes in 4.5 h", n)
		}
		var told []messages.NATType
		for _, e := range events.list {
			if e.Kind == EventNATType {
				told = append(told, e.NAT)
			}
		}
		want := []messages.NATType{messages.NATUnknown, messages.NATRestricted, messages.NATUnrestricted}
		if len(told) != 3 || told[0] != want[0] || told[1] != want[1] || told[2] != want[2] {
			t.Errorf("told %q, want %q", told, want)
		}
		seen := broker.seen()
		if seen[0].req.NAT != messages.NATUnknown || seen[len(seen)-1].req.NAT != messages.NATUnrestricted {
			t.Error("polls do not state the NAT type")
		}
	})
}

func TestNATIsProbedOnceWithoutInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		p := newProxy(t, &fakeBroker{}, func(c *Config) { c.ForceUnrestricted, c.PollInterval = false, time.Hour })
		p.probe = func(context.Context) (messages.NATType, error) { n++; return messages.NATRestricted, nil }
		stop := start(t, p)
		time.Sleep(100 * time.Hour)
		stop()
		if n != 1 {
			t.Errorf("%d probes", n)
		}
	})
}
