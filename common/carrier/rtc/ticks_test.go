package rtc

import (
	"testing"
	"time"
)

func TestTicks(t *testing.T) {
	origin := time.Unix(1e9, 0)
	every := ticks{every: 10 * time.Millisecond, origin: origin}
	for at, want := range map[time.Duration]time.Duration{
		0: 0, 1: 10 * time.Millisecond, 9 * time.Millisecond: 10 * time.Millisecond, 10 * time.Millisecond: 10 * time.Millisecond,
		-time.Millisecond: 0, -11 * time.Millisecond: -10 * time.Millisecond,
	} {
		if got := every.next(origin.Add(at)).Sub(origin); got != want {
			t.Errorf("after %v at %v, want %v", at, got, want)
		}
		if got := newTicks(0, 3).next(origin.Add(at)).Sub(origin); got != at+3 {
			t.Errorf("without ticks: after %v at %v", at, got)
		}
	}
	now := time.Now()
	if next := newTicks(chromiumTicks, 0).next(now); next.Before(now) || next.Sub(now) >= chromiumTicks {
		t.Errorf("%v until the next tick", next.Sub(now))
	}
}
