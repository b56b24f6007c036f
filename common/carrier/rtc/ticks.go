package rtc

import "time"

// ticks are the times at which what waits is done. Chromium wakes for the timers
// of all its connections together, 64 times a second, counted from the start of
// the system (base::TimeTicks; libwebrtc's Metronome). So what shows as the time
// between two datagrams is mostly a multiple of a tick.
type ticks struct {
	every  time.Duration // 0: any time will do
	origin time.Time     // of one of them
}

// newTicks returns those of a profile.
func newTicks(every time.Duration) ticks {
	if every == 0 {
		return ticks{}
	}
	return ticks{every, time.Now().Add(-sinceStart() % every)}
}

// next returns the first tick that is not before at.
func (t ticks) next(at time.Time) time.Time {
	if t.every == 0 {
		return at
	}
	late := at.Sub(t.origin) % t.every
	if late < 0 {
		late += t.every
	}
	if late == 0 {
		return at
	}
	return at.Add(t.every - late)
}
