package rendezvous

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A method answers after a delay, with an error if its text is empty.
type method struct {
	delay time.Duration
	text  string
	calls atomic.Int32
	ended atomic.Int32
}

func (m *method) Exchange(ctx context.Context, request []byte) ([]byte, error) {
	m.calls.Add(1)
	defer m.ended.Add(1)
	select {
	case <-time.After(m.delay):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if m.text == "" {
		return nil, errors.New("no luck")
	}
	return append([]byte(m.text+" "), request...), nil
}

func TestRace(t *testing.T) {
	const stagger = 3 * time.Second
	for what, c := range map[string]struct {
		methods []*method
		want    string
		took    time.Duration
		calls   []int32
	}{
		"first in time":      {[]*method{{delay: time.Second, text: "a"}, {text: "b"}}, "a offer", time.Second, []int32{1, 0}},
		"second overtakes":   {[]*method{{delay: time.Minute, text: "a"}, {delay: time.Second, text: "b"}}, "b offer", 4 * time.Second, []int32{1, 1}},
		"first fails":        {[]*method{{delay: time.Second}, {delay: time.Second, text: "b"}}, "b offer", 2 * time.Second, []int32{1, 1}},
		"slow first wins":    {[]*method{{delay: 4 * time.Second, text: "a"}, {delay: time.Minute, text: "b"}}, "a offer", 4 * time.Second, []int32{1, 1}},
		"all fail":           {[]*method{{}, {delay: time.Second}}, "", time.Second, []int32{1, 1}},
		"slow and all fail":  {[]*method{{delay: 10 * time.Second}, {delay: time.Second}}, "", 10 * time.Second, []int32{1, 1}},
		"none":               {nil, "", 0, nil},
		"third after second": {[]*method{{delay: time.Minute, text: "a"}, {delay: time.Second}, {text: "c"}}, "c offer", 4 * time.Second, []int32{1, 1, 1}},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var list []Exchanger
				for _, m := range c.methods {
					list = append(list, m)
				}
				start := time.Now()
				reply, err := Race(stagger, list...).Exchange(t.Context(), []byte("offer"))
				if string(reply) != c.want || (err == nil) != (c.want != "") {
					t.Errorf("%q, %v", reply, err)
				}
				if took := time.Since(start); took != c.took {
					t.Errorf("took %v", took)
				}
				for i, m := range c.methods {
					if m.calls.Load() != c.calls[i] || m.ended.Load() != c.calls[i] {
						t.Errorf("method %d: %d calls, %d ended", i, m.calls.Load(), m.ended.Load())
					}
				}
			})
		})
	}
}

func TestRaceCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		m := &method{delay: time.Minute, text: "a"}
		if _, err := Race(time.Hour, m).Exchange(ctx, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if m.ended.Load() != 1 {
			t.Error("the method is still running")
		}
	})
}

func TestInTurn(t *testing.T) {
	bad, good, last := &method{}, &method{text: "b"}, &method{text: "c"}
	turn := InTurn(bad, good, last)
	for range 3 {
		reply, err := turn.Exchange(t.Context(), []byte("offer"))
		if string(reply) != "b offer" || err != nil {
			t.Errorf("%q, %v", reply, err)
		}
	}
	if bad.calls.Load() != 1 || good.calls.Load() != 3 || last.calls.Load() != 0 {
		t.Errorf("calls %d %d %d", bad.calls.Load(), good.calls.Load(), last.calls.Load())
	}
	good.text, last.text = "", ""
	if _, err := turn.Exchange(t.Context(), nil); err == nil || strings.Count(err.Error(), "no luck") != 3 {
		t.Errorf("%v", err)
	}
	if _, err := InTurn().Exchange(t.Context(), nil); !errors.Is(err, ErrNoMethod) {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	calls := bad.calls.Load()
	if _, err := InTurn(&method{delay: time.Hour}, bad).Exchange(ctx, nil); !errors.Is(err, context.Canceled) || bad.calls.Load() != calls {
		t.Errorf("%v", err)
	}
}

// preparing counts Prepare.
type preparing struct {
	method
	prepared int
}

func (p *preparing) Prepare() { p.prepared++ }

// A combination makes ready the method that it will use first.
func TestCombinationsPrepare(t *testing.T) {
	bad, good := &preparing{}, &preparing{method: method{text: "good"}}
	r := Race(time.Second, bad, good)
	r.(interface{ Prepare() }).Prepare()
	if bad.prepared != 1 || good.prepared != 0 {
		t.Errorf("Race: %d and %d times", bad.prepared, good.prepared)
	}
	turn := InTurn(bad, good)
	turn.(interface{ Prepare() }).Prepare()
	if _, err := turn.Exchange(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	turn.(interface{ Prepare() }).Prepare()
	if bad.prepared != 2 || good.prepared != 1 {
		t.Errorf("InTurn: %d and %d times", bad.prepared, good.prepared)
	}
	for _, empty := range []Exchanger{Race(0), InTurn(), InTurn(&method{})} {
		empty.(interface{ Prepare() }).Prepare()
	}
}
