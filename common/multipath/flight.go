package multipath

import "time"

const (
	// firstRTT stands for a round trip that has not been measured: long for a
	// neighbour, short for the other side of the world.
	firstRTT = 150 * time.Millisecond

	// reorderMin is the least time by which a segment must be overtaken on its
	// own path before it is lost (RACK, RFC 8985 section 6.2, takes a quarter of
	// the least round trip; waiting for that costs the user as much). Lossy
	// carriers reorder by the jitter of one socket; a proxy's two goroutines add
	// to it, and segments that were only late add to the patience.
	reorderMin = 10 * time.Millisecond

	// streamHold is the same, at least, on a stream carrier. What a stream has
	// taken arrives; but a deployed server drops packets above its framing when
	// its queue is full (spec section 7.2).
	streamHold = time.Second
)

// snapshot is the state of a path's deliveries when a segment left: what the
// delivery rate is later measured against (draft-cheng-iccrg-delivery-rate-
// estimation).
type snapshot struct {
	delivered int64         // bytes delivered by then
	at        time.Duration // when the last of those was
	first     time.Duration // when the first segment of the round left
	limited   bool          // the application had nothing more to send
}

// sample is what the acknowledgements of one packet tell about one path.
type sample struct {
	rate    float64       // bytes per second delivered; 0 if not measured
	rtt     time.Duration // 0 if not measured
	prior   int64         // delivered when the newest of the segments left
	total   int64         // delivered now
	bytes   int           // newly acknowledged
	lost    int           // bytes newly found lost
	flying  int           // bytes under way now
	limited bool          // the rate is the application's, not the path's
}

// crossing is one transmission, in the order of a path's transmissions.
type crossing struct{ sn, tx uint32 }

// flight is what is under way on one path, and what is known by that.
type flight struct {
	order fifo[crossing] // some may have arrived or been sent elsewhere since
	bytes int            // under way

	delivered int64
	at        time.Duration // of the last delivery
	first     time.Duration // when the segment left whose delivery was the last
	limited   int64         // delivered up to here is the application's pace; 0: none

	newest time.Duration // when the latest segment that was delivered had left

	srtt, rttvar time.Duration // 0 before the first sample (RFC 6298)
	minRTT       time.Duration // ever
	reorder      time.Duration // extra patience, after segments that were not lost

	progress time.Duration // of the last delivery, or when the path began to hold something

	now sample      // of the packet being looked at
	top *outSegment // scratch of it: a copy of the newest segment acknowledged
	buf outSegment  // what top points to
	hit bool        // the packet tells something about this path
	rtt time.Duration
}

// send notes that a segment leaves.
func (f *flight) send(seg *outSegment, sn uint32, size int, now time.Duration) {
	if f.bytes == 0 {
		f.first, f.at, f.progress = now, now, now
	}
	seg.then = snapshot{delivered: f.delivered, at: f.at, first: f.first, limited: f.limited != 0}
	f.bytes += size
	f.order.push(crossing{sn, seg.tx})
}

// deliver notes that a segment that left on this path has arrived. rtt is 0
// when the acknowledgement does not tell.
func (f *flight) deliver(seg *outSegment, size int, rtt, now time.Duration) {
	f.cover(seg, size, now)
	f.newest = max(f.newest, seg.at)
	if rtt > 0 {
		f.rtt = rtt
		f.measure(rtt)
	}
}

// cover notes that a segment has arrived that may have been sent more than once,
// of which only una tells. It counts for the last time that it was sent, but
// others that were sent before that are not lost for it.
func (f *flight) cover(seg *outSegment, size int, now time.Duration) {
	f.hit = true
	f.delivered += int64(size)
	f.now.bytes += size
	f.at, f.progress = now, now
	if f.top == nil || seg.at >= f.buf.at {
		f.buf = *seg
		f.top = &f.buf
	}
}

// measure takes a round trip into the smoothed ones (RFC 6298 section 2).
func (f *flight) measure(rtt time.Duration) {
	if f.srtt == 0 {
		f.srtt, f.rttvar, f.minRTT = rtt, rtt/2, rtt
		return
	}
	f.rttvar += ((f.srtt - rtt).Abs() - f.rttvar) / 4
	f.srtt += (rtt - f.srtt) / 8
	f.minRTT = min(f.minRTT, rtt)
}

// finish makes the sample of the packet that has been looked at.
func (f *flight) finish() sample {
	s := f.now
	s.total, s.flying, s.rtt = f.delivered, f.bytes, f.rtt
	if f.top != nil {
		t := f.top
		s.prior, s.limited = t.then.delivered, t.then.limited
		f.first = t.at
		// Less than a round trip is no measurement (draft, section 3.3).
		if took := max(t.at-t.then.first, f.at-t.then.at); took > 0 && took >= f.minRTT {
			s.rate = float64(f.delivered-t.then.delivered) / took.Seconds()
		}
	}
	if f.limited != 0 && f.delivered > f.limited {
		f.limited = 0
	}
	f.now, f.top, f.hit, f.rtt = sample{}, nil, false, 0
	return s
}

// idle notes that the application has no more for this path.
func (f *flight) idle() {
	f.limited = max(1, f.delivered+int64(f.bytes))
}

// patience is by how much a segment must be overtaken to be lost.
func (f *flight) patience(lossy bool) time.Duration {
	if !lossy {
		return max(streamHold, 4*f.srtt)
	}
	return reorderMin + f.reorder
}

// late notes that a segment taken for lost was only late.
func (f *flight) late() {
	f.reorder = min(f.reorder+reorderMin, f.srtt)
}

// timeout is the time without any acknowledgement after which the path is in
// doubt: one and a half round trips and four times their variation, with room
// for an acknowledgement that the other end holds back. Acknowledgements come
// every few milliseconds while data flows, so that much silence is rare.
func (f *flight) timeout() time.Duration {
	if f.srtt == 0 {
		return 2*firstRTT + ackSlack
	}
	return max(f.srtt*3/2+4*f.rttvar+ackSlack, timeoutMin)
}

const (
	// ackSlack is how long the other end may hold an acknowledgement back: two
	// intervals of a deployed peer's KCP (spec section 7.3).
	ackSlack = 20 * time.Millisecond

	// timeoutMin keeps the jitter of a busy phone from looking like death.
	timeoutMin = 200 * time.Millisecond
)
