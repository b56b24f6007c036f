package rtc

import "time"

// ticks are the times at which what waits is done. Chromium wakes for the timers
// of all its connections together, 64 times a second, counted from the start of
// the system (base::TimeTicks; libwebrtc's Metronome). So what shows as the time
// between two datagrams is mostly a multiple of a tick.
//
// Firefox has a timer for each, which ends after the millisecond that it is set to.
type ticks struct {
	every  time.Duration // 0: any time will do
	origin time.Time     // of one of them
	late   time.Duration // is added where any time will do
}

// newTicks returns those of a look.
func newTicks(every, late time.Duration) ticks {
	if every == 0 {
		return ticks{late: late}
	}
	return ticks{every: every, origin: time.Now().Add(-sinceStart() % every)}
}

// next returns the first tick that is not before at.
func (t ticks) next(at time.Time) time.Time {
	if t.every == 0 {
		return at.Add(t.late)
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
