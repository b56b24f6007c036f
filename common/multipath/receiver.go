package multipath

// inSegment is the data of one segment that Read has not taken.
type inSegment struct {
	pkt  *packet
	data []byte // within pkt
}

// ack is one acknowledgement owed to the other end.
type ack struct{ sn, ts uint32 }

// receiver puts segments in order and notes what to acknowledge.
type receiver struct {
	next  uint32      // the first that has not come
	ring  []inSegment // index sn % len: those after next that have; a power of two long
	early int         // how many those are
	ready fifo[inSegment]
	bytes int // buffers held, by what they can hold

	limit  int // bound on bytes
	acks   []ack
	told   []ack // those of early segments that were sent last
	repeat int   // how many more times those are sent again
}

// repeats is for how many turns after a duplicate acknowledgements go twice.
// The other end resends what it does not hear of; one in 64 turns without a
// duplicate is little to pay for the next of them.
const repeats = 64

// window is how many segments from next on there is room for. Those that came
// early have their place in it.
func (r *receiver) window() uint16 {
	return uint16(min(max(0, r.limit/maxPacket-r.ready.count), 1<<16-1))
}

// reach is how far ahead of next a segment may be.
const reach = 1 << 14

// take takes in one data segment; pkt holds data and becomes the receiver's if
// it is kept. fresh says that the segment was new, kept that pkt was.
// A segment for which there is no room is not acknowledged. Early ones leave
// room for the one that they wait for.
func (r *receiver) take(h header, pkt *packet, data []byte) (fresh, kept bool) {
	ahead := h.sn - r.next
	if int32(ahead) < 0 {
		r.acks = append(r.acks, ack{h.sn, h.ts}) // has come before
		r.repeat = repeats
		return false, false
	}
	need := maxPacket
	if ahead > 0 {
		need = 2 * maxPacket
	}
	if ahead >= reach || r.bytes+need > r.limit {
		return true, false
	}
	r.acks = append(r.acks, ack{h.sn, h.ts})
	if ahead > 0 {
		return r.keep(h.sn, inSegment{pkt, data})
	}
	r.bytes += maxPacket
	r.ready.push(inSegment{pkt, data})
	r.next++
	for r.early > 0 {
		slot := r.slot(r.next)
		if slot.pkt == nil {
			break
		}
		r.ready.push(*slot)
		*slot = inSegment{}
		r.early--
		r.next++
	}
	if r.early == 0 && len(r.ring) > keepRing {
		r.ring = nil
	}
	return true, true
}

func (r *receiver) slot(sn uint32) *inSegment { return &r.ring[sn&uint32(len(r.ring)-1)] }

// keep holds a segment that came before its turn.
func (r *receiver) keep(sn uint32, seg inSegment) (fresh, kept bool) {
	if ahead := int(sn - r.next); ahead >= len(r.ring) {
		r.grow(ahead)
	}
	slot := r.slot(sn)
	if slot.pkt != nil {
		r.repeat = repeats
		return false, false
	}
	*slot = seg
	r.early++
	r.bytes += maxPacket
	return true, true
}

func (r *receiver) grow(ahead int) {
	size := max(16, len(r.ring))
	for size <= ahead {
		size *= 2
	}
	ring := make([]inSegment, size)
	for i := range uint32(len(r.ring)) {
		sn := r.next + i
		ring[sn&uint32(size-1)] = *r.slot(sn)
	}
	r.ring = ring
}

// read copies data that is in order.
func (r *receiver) read(b []byte) (n int) {
	for n < len(b) && r.ready.count > 0 {
		seg := r.ready.front()
		k := copy(b[n:], seg.data)
		n += k
		seg.data = seg.data[k:]
		if len(seg.data) == 0 {
			r.ready.pop().pkt.free()
			r.bytes -= maxPacket
		}
	}
	return n
}

// owed returns the acknowledgements to be sent. Those before next say nothing
// that una does not; the latest one goes out all the same, because the other end
// measures the round trip by it. Where acknowledgements get lost, those that una
// does not stand for go twice.
func (r *receiver) owed() []ack {
	early := r.acks[:0]
	last := r.acks[len(r.acks)-1]
	for _, a := range r.acks {
		if !after(r.next, a.sn) {
			early = append(early, a)
		}
	}
	fresh := len(early)
	if r.repeat > 0 {
		r.repeat--
		for _, a := range r.told {
			if !after(r.next, a.sn) {
				early = append(early, a)
			}
		}
		r.told = append(r.told[:0], early[:fresh]...)
	} else {
		r.told = r.told[:0]
	}
	if fresh == 0 || early[fresh-1] != last {
		early = append(early, last)
	}
	r.acks = early
	return early
}
