package rtc

import (
	"testing"
	"testing/synctest"
	"time"

	"flurry/common/simnet"
	"flurry/common/simnet/line"

	"github.com/pion/stun/v4"
)

// gaps runs one pair's checks in steps of a millisecond, with the agent's wishes
// every 50 ms until works and every 2 s then, and returns the times between
// those that leave. An answer takes trip.
func gaps(s pace, t ticks, works, trip, length time.Duration) []time.Duration {
	start := time.Unix(1e9, 0)
	p := pairPace{ticks: t}
	var sent []time.Time
	var answers []time.Time
	leave := func(now time.Time) {
		p.leave(now, s)
		sent = append(sent, now)
		if now.Sub(start) >= works {
			answers = append(answers, now.Add(trip))
		}
	}
	next := start
	for now := start; now.Sub(start) < length; now = now.Add(500 * time.Microsecond) {
		for len(answers) > 0 && !now.Before(answers[0]) {
			answers = answers[1:]
			p.hear(true, s)
		}
		if !now.Before(next) {
			if p.offer(now, transactionID{}) {
				leave(now)
			}
			next = now.Add(50 * time.Millisecond)
			if p.answered > 0 {
				next = now.Add(2 * time.Second)
			}
		}
		if p.sent > 0 && !now.Before(p.due) && !p.idle(now) {
			leave(now)
		}
	}
	var all []time.Duration
	for i, at := range sent[1:] {
		all = append(all, at.Sub(sent[i]))
	}
	return all
}

func near(a, b, tolerance time.Duration) bool { return (a - b).Abs() <= tolerance }

func TestChromiumPace(t *testing.T) {
	ms := func(n float64) time.Duration { return time.Duration(n * float64(time.Millisecond)) }
	for name, c := range map[string]struct {
		works, trip time.Duration
		want        []float64 // ms
	}{
		"at once":        {0, ms(5), []float64{62.5, 62.5, 1062.5, 1062.5, 2656, 2656, 2656}},
		"100 ms":         {0, ms(100), []float64{62.5, 62.5, 1062.5, 1062.5, 2656, 2656}},
		"works late":     {ms(300), ms(20), []float64{62.5, 62.5, 62.5, 62.5, 62.5, 1062.5, 1062.5, 1062.5, 1062.5, 2656, 2656}},
		"a long way off": {0, ms(400), []float64{62.5, 62.5, 62.5, 62.5, 62.5, 62.5, 2656, 2656}},
	} {
		got := gaps(chromiumPace, ticks{every: chromiumTicks, origin: time.Unix(1e9, 0)}, c.works, c.trip, 20*time.Second)
		for i, want := range c.want {
			if i >= len(got) || !near(got[i], ms(want), ms(2)) {
				t.Errorf("%s: %v, want %v", name, got, c.want)
				break
			}
		}
	}
}

func TestFirefoxPace(t *testing.T) {
	got := gaps(firefoxPace, ticks{}, 2*time.Second, 20*time.Millisecond, time.Minute)
	for i, want := range []time.Duration{100, 200, 400, 800, 1600} {
		if i >= len(got) || !near(got[i], want*time.Millisecond, 2*time.Millisecond) {
			t.Fatalf("unanswered: %v", got)
		}
	}
	different := false
	for _, g := range got[5:] {
		if g < firefoxConsent || g > firefoxConsents+2*time.Millisecond {
			t.Errorf("consent: %v", got)
		}
		different = different || g != got[5]
	}
	if !different {
		t.Error("no jitter")
	}
}

// A pair that the agent has dropped is not checked any more.
func TestDroppedPair(t *testing.T) {
	var p pairPace
	now := time.Unix(1e9, 0)
	p.offer(now, transactionID{})
	if p.idle(now.Add(agentSilence)) || !p.idle(now.Add(agentSilence+1)) {
		t.Error("idle")
	}
}

// What two ends' sockets send for 20 s of a call without data: shapes, sizes and
// times of a browser's.
func TestWhatLeavesASocket(t *testing.T) {
	for _, profile := range []Profile{Chromium, Firefox} {
		synctest.Test(t, func(t *testing.T) {
			w := simnet.New()
			shape := line.Shape{Delay: 10 * time.Millisecond}
			host := func() *tapNet { return &tapNet{Net: w.Host(simnet.Access{Up: shape, Down: shape})} }
			caller, volunteer := host(), host()
			a, b := pairOf(t, Config{Net: caller, Profile: profile}, Config{Net: volunteer, Profile: profile}, func(string) Kind { return Reliable })
			time.Sleep(20 * time.Second)
			for role, tap := range map[string]*tapNet{"controlling": caller, "controlled": volunteer} {
				checkLeft(t, profile, role, tap.packets())
			}
			a.Close()
			b.Close()
		})
	}
}

func checkLeft(t *testing.T, profile Profile, role string, all []tapped) {
	t.Helper()
	var requests []tapped
	for _, p := range all {
		if classify(p.data) != stunPacket {
			continue
		}
		m := &stun.Message{Raw: p.data}
		if err := m.Decode(); err != nil {
			t.Fatal(err)
		}
		switch m.Type {
		case stun.BindingRequest:
			requests = append(requests, p)
		case stun.BindingSuccess:
			if len(p.data) != 64 {
				t.Errorf("%s, %s: a response of %d bytes", profile, role, len(p.data))
			}
		}
	}
	size := 96
	if role == "controlling" {
		size = 100
	}
	if len(requests) < 5 {
		t.Fatalf("%s, %s: %d requests", profile, role, len(requests))
	}
	for i, p := range requests {
		m := &stun.Message{Raw: p.data}
		m.Decode()
		if len(p.data) != size || m.Contains(stun.AttrUseCandidate) != (role == "controlling") {
			t.Errorf("%s, %s: %d bytes, %s", profile, role, len(p.data), list(m))
		}
		if i == 0 {
			continue
		}
		gap := p.at.Sub(requests[i-1].at)
		stable := i > 8 // for certain
		switch {
		case profile == Chromium && stable && !near(gap, 2656250*time.Microsecond, time.Millisecond),
			profile == Firefox && stable && (gap < firefoxConsent || gap > firefoxConsents),
			profile == Chromium && gap < 35*time.Millisecond,
			profile == Firefox && gap < firefoxTick:
			t.Errorf("%s, %s: request %d after %v", profile, role, i, gap)
		}
	}
}
