package multipath

import "time"

const (
	// queueMin is a growth of the round trip that the batching of
	// acknowledgements cannot explain.
	queueMin = 15 * time.Millisecond

	// stretchMin is how many round trips must be measured to tell a queue from
	// jitter, stretchTime the least time that takes: one lump of
	// acknowledgements tells no more than one.
	stretchMin  = 4
	stretchTime = ackLump

	// lapTime is the least length of a round: two lumps of acknowledgements.
	lapTime = 2 * ackLump
)

// trips is what is known of a path's round trips.
type trips struct {
	least   time.Duration // of late; 0 before the first
	leastAt time.Duration // when it, or nearly it, was last seen
	smooth  time.Duration // of the last stretches
	queue   time.Duration // that every segment of the last stretch has met; 0 if it was none to speak of

	count int           // in the present stretch, a quarter of a round trip
	best  time.Duration // of those
	began time.Duration
}

// heard takes in one round trip, and reports whether it closes a stretch.
func (t *trips) heard(rtt, now time.Duration) bool {
	if t.least == 0 || rtt <= t.least {
		t.least, t.leastAt = rtt, now
	}
	if t.count == 0 || rtt < t.best {
		t.best = rtt
	}
	t.count++
	if t.count < stretchMin || now-t.began < max(t.least/4, stretchTime) {
		return false
	}
	if t.queue = t.best - t.least; t.queue <= max(queueMin, t.least/8) {
		t.queue, t.leastAt = 0, now
	}
	t.smooth += (t.best - t.smooth) / 4
	t.count, t.began = 0, now
	return true
}

// reset forgets the least round trip, for rtt or, if that is 0, for the next.
func (t *trips) reset(rtt, now time.Duration) {
	t.least, t.leastAt, t.queue, t.count = rtt, now, 0, 0
}

// lap is one round trip of a path's data: it ends when a segment arrives that
// left after the lap began.
type lap struct {
	from mark
	good int  // bytes acknowledged in it
	lost int  // bytes found lost
	slow bool // the application had too little to send

	queued bool // there was a queue at some time
}

// acked takes in a sample, and reports whether it closes the lap.
func (l *lap) acked(s sample, now time.Duration) bool {
	l.good += s.bytes
	l.lost += s.lost
	l.slow = l.slow || s.limited
	return s.bytes > 0 && s.prior >= l.from.total && now-l.from.at >= lapTime
}

// next begins another lap and returns this one.
func (l *lap) next(s sample, now time.Duration) lap {
	old := *l
	*l = lap{from: mark{now, s.total}}
	return old
}
