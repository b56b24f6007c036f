package multipath

import "time"

// The life of a segment at the sending end.
const (
	waiting = iota // cut, never sent
	flying         // under way on a path
	lost           // has been sent and is to be sent again
	arrived        // acknowledged; others before it are not
)

// outSegment is one segment from Write until it and all before it are
// acknowledged.
type outSegment struct {
	pkt   *packet // its data; nil once it has arrived
	state uint8
	sends uint16

	// The last transmission.
	path *Path
	tx   uint32        // its number in this Conn
	ts   uint32        // the time stamp that it bears, which an acknowledgement echoes
	at   time.Duration // when

	then snapshot // the path's deliveries when it left
}

// sender holds what has been written and not been acknowledged.
type sender struct {
	una uint32 // the first that the other end has not got
	nxt uint32 // the first that has never been sent
	end uint32 // where the next will be cut

	ring   []outSegment // index sn % len, for una <= sn < end; a power of two long
	again  snHeap       // lost segments; some may have arrived since
	unsent int          // bytes of data from nxt on
	held   int          // bytes of data from una on that have not arrived

	peerWindow uint32 // segments from una on that the other end can hold
}

func (s *sender) at(sn uint32) *outSegment { return &s.ring[sn&uint32(len(s.ring)-1)] }

// holds reports whether sn has been sent and all before it may not have arrived.
func (s *sender) holds(sn uint32) bool { return !after(s.una, sn) && after(s.nxt, sn) }

// empty reports whether everything written has arrived.
func (s *sender) empty() bool { return s.una == s.end }

// write cuts b into segments of at most size bytes of data. The last one is
// filled up by the next write if it has not left by then (KCP's stream mode).
func (s *sender) write(b []byte, size int) {
	s.unsent += len(b)
	s.held += len(b)
	if s.end != s.nxt {
		if p := s.at(s.end - 1).pkt; p.n < size {
			n := copy(p.data[p.n:size], b)
			p.n += n
			b = b[n:]
		}
	}
	for len(b) > 0 {
		p := newPacket()
		p.n = copy(p.data[:size], b)
		b = b[p.n:]
		s.push(p)
	}
}

func (s *sender) push(p *packet) {
	if int(s.end-s.una) == len(s.ring) {
		s.grow()
	}
	*s.at(s.end) = outSegment{pkt: p}
	s.end++
}

func (s *sender) grow() {
	old := s.ring
	s.ring = make([]outSegment, max(16, 2*len(old)))
	for sn := s.una; sn != s.end; sn++ {
		*s.at(sn) = old[sn&uint32(len(old)-1)]
	}
}

// next returns the segment to be sent next: a lost one, or the first of those
// that were never sent, if the other end has room for it. ok is false if there
// is none.
func (s *sender) next() (sn uint32, ok bool) {
	for len(s.again) > 0 {
		if sn = s.again[0]; s.holds(sn) && s.at(sn).state == lost {
			return sn, true
		}
		s.again.pop()
	}
	return s.nxt, s.nxt != s.end && s.nxt-s.una < s.peerWindow
}

// sent notes that a segment leaves: next's, or a lost one out of turn.
func (s *sender) sent(sn uint32) *outSegment {
	seg := s.at(sn)
	if sn == s.nxt {
		s.nxt++
		s.unsent -= seg.pkt.n
	} // else next forgets it
	seg.state = flying
	seg.sends++
	return seg
}

// lose marks a segment that is under way as lost.
func (s *sender) lose(sn uint32) {
	s.at(sn).state = lost
	s.again.push(sn)
}

// arrive frees a segment's data.
func (s *sender) arrive(seg *outSegment) {
	s.held -= seg.pkt.n
	seg.pkt.free()
	seg.pkt, seg.state, seg.path = nil, arrived, nil
}

// shrink gives the ring back when there is nothing in it.
func (s *sender) shrink() {
	if s.empty() && len(s.ring) > keepRing {
		s.ring, s.again = nil, nil
	}
}

// snHeap is a binary heap of sequence numbers, the first one on top.
type snHeap []uint32

func (h *snHeap) push(sn uint32) {
	*h = append(*h, sn)
	a := *h
	for i := len(a) - 1; i > 0; {
		up := (i - 1) / 2
		if !after(a[up], a[i]) {
			return
		}
		a[up], a[i] = a[i], a[up]
		i = up
	}
}

func (h *snHeap) pop() {
	a := *h
	last := len(a) - 1
	a[0] = a[last]
	a = a[:last]
	*h = a
	for i := 0; ; {
		first := i
		for _, child := range [2]int{2*i + 1, 2*i + 2} {
			if child < last && after(a[first], a[child]) {
				first = child
			}
		}
		if first == i {
			return
		}
		a[i], a[first] = a[first], a[i]
		i = first
	}
}
