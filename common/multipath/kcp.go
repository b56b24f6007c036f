package multipath

import (
	"encoding/binary"
	"time"
)

// The KCP segment header, little-endian (spec section 7.3):
//
//	0      4   5   6    8     12    16    20    24
//	| conv |cmd|frg|wnd | ts  | sn  | una | len | data...
const (
	kcpHeader = 24
	cmdPush   = 81 // the first command
	cmdAck    = 82
	cmdTell   = 84 // the last
)

// segment is the part of a header that this package looks at.
type segment struct {
	conv, ts, sn, una uint32
	cmd               byte
}

// nextSegment splits the first segment off a packet. ok is false at its end,
// and where what is left is no segment.
func nextSegment(p []byte) (s segment, rest []byte, ok bool) {
	if len(p) < kcpHeader {
		return s, nil, false
	}
	n := binary.LittleEndian.Uint32(p[20:])
	if uint64(n) > uint64(len(p)-kcpHeader) {
		return s, nil, false
	}
	s = segment{
		conv: binary.LittleEndian.Uint32(p),
		cmd:  p[4],
		ts:   binary.LittleEndian.Uint32(p[8:]),
		sn:   binary.LittleEndian.Uint32(p[12:]),
		una:  binary.LittleEndian.Uint32(p[16:]),
	}
	return s, p[kcpHeader+int(n):], true
}

// restamp moves the timestamps of a packet's data segments on by the time it
// has waited. Acknowledgements echo the other end's clock and stay as they are.
func restamp(p []byte, waited time.Duration) {
	ms := uint32(waited / time.Millisecond)
	if ms == 0 {
		return
	}
	for {
		s, rest, ok := nextSegment(p)
		if !ok {
			return
		}
		if s.cmd == cmdPush {
			binary.LittleEndian.PutUint32(p[8:], s.ts+ms)
		}
		p = rest
	}
}

const (
	// maxTracked bounds how many unacknowledged segments are followed. A peer
	// may announce a window of 65535; our own send window is far below.
	maxTracked = 1 << 14

	// holdMin and holdMax bound how long a retransmission is held back while
	// the segment's last copy is on a reliable path that lives; in between,
	// it is four times the smoothed round trip. Such a path delivers what it
	// took, but the other end may have dropped the packet above its framing,
	// so holding back ends.
	holdMin = 500 * time.Millisecond
	holdMax = 5 * time.Second
)

// sent is what is known of one unacknowledged data segment.
type sent struct {
	path   *Path // that took it last; nil while it waits in a queue
	at     time.Time
	queued bool // a copy waits in a queue of ours
}

// tracker follows one KCP conversation through the packets that pass. It is
// guarded by its peer's lock.
type tracker struct {
	better func(now time.Time) bool // whether there is a path that is not in doubt

	known bool
	conv  uint32
	una   uint32 // first segment that the other end has not got
	next  uint32 // first segment that has not been sent
	ring  []sent // index sn % len, for una <= sn < next; a power of two long

	srtt time.Duration // 0 before the first sample
}

// after reports whether sequence number a comes after b, in modular arithmetic.
func after(a, b uint32) bool { return int32(a-b) > 0 }

func (t *tracker) slot(sn uint32) *sent {
	if !t.tracks(sn) {
		return nil
	}
	return &t.ring[sn&uint32(len(t.ring)-1)]
}

func (t *tracker) tracks(sn uint32) bool { return !after(t.una, sn) && after(t.next, sn) }

// inFlight counts segments sent and not acknowledged.
func (t *tracker) inFlight() int { return int(t.next - t.una) }

// outgoing looks at a packet before it is queued. It reports false if there is
// no use in sending it.
func (t *tracker) outgoing(p []byte, now time.Time) bool {
	useful, push := false, false
	for rest := p; ; {
		s, r, ok := nextSegment(rest)
		if !ok {
			break
		}
		rest = r
		if s.cmd != cmdPush {
			useful = true
			continue
		}
		push = true
		if t.wanted(s, now) {
			useful = true
		}
	}
	return useful || !push
}

// wanted reports whether a data segment is new or its retransmission is due.
func (t *tracker) wanted(s segment, now time.Time) bool {
	if !t.known || t.conv != s.conv {
		*t = tracker{better: t.better, known: true, conv: s.conv, una: s.sn, next: s.sn, ring: t.ring}
	}
	if !after(t.next, s.sn) {
		t.extend(s.sn)
		return true
	}
	e := t.slot(s.sn)
	switch {
	case e == nil:
		return true
	case e.queued:
		return false
	case e.path == nil || !e.path.reliable():
		return true
	}
	if stalled := e.path.Stalled(now); stalled > suspectAfter || stalled > doubtAfter && t.better(now) {
		return true
	}
	return now.Sub(e.at) > t.hold()
}

func (t *tracker) hold() time.Duration { return min(max(4*t.srtt, holdMin), holdMax) }

// extend moves next past sn.
func (t *tracker) extend(sn uint32) {
	if sn-t.una >= maxTracked { // not a window of ours: follow the newest only
		t.una, t.next = sn, sn
	}
	if need := int(sn - t.una + 1); need > len(t.ring) {
		size := max(64, len(t.ring))
		for size < need {
			size *= 2
		}
		ring := make([]sent, size)
		for i := t.una; i != t.next; i++ {
			ring[i&uint32(size-1)] = t.ring[i&uint32(len(t.ring)-1)]
		}
		t.ring = ring
	}
	for ; !after(t.next, sn); t.next++ {
		t.ring[t.next&uint32(len(t.ring)-1)] = sent{}
	}
}

// mark notes where the data segments of a packet are: waiting in a queue, or
// taken by a path.
func (t *tracker) mark(p []byte, path *Path, at time.Time) {
	for {
		s, rest, ok := nextSegment(p)
		if !ok {
			return
		}
		if s.cmd == cmdPush && s.conv == t.conv {
			if e := t.slot(s.sn); e != nil {
				*e = sent{path: path, at: at, queued: path == nil}
			}
		}
		p = rest
	}
}

// incoming looks at a received packet. It reports whether everything sent is
// now acknowledged.
func (t *tracker) incoming(p []byte, now time.Time) (drained bool) {
	for {
		s, rest, ok := nextSegment(p)
		if !ok {
			break
		}
		p = rest
		if !t.known || s.conv != t.conv || s.cmd < cmdPush || s.cmd > cmdTell {
			continue
		}
		if s.cmd == cmdAck {
			if e := t.slot(s.sn); e != nil && e.path != nil {
				t.sample(now.Sub(e.at))
				e.path = nil
			}
		}
		if after(s.una, t.una) && !after(s.una, t.next) {
			for ; t.una != s.una; t.una++ {
				t.ring[t.una&uint32(len(t.ring)-1)] = sent{}
			}
		}
	}
	return t.una == t.next
}

// sample takes a round trip into the smoothed one (RFC 6298 section 2).
func (t *tracker) sample(rtt time.Duration) {
	if t.srtt == 0 {
		t.srtt = rtt
	} else {
		t.srtt += (rtt - t.srtt) / 8
	}
}
