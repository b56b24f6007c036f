package dtls13

import "slices"

const (
	// aheadMessages is how many messages may be held that come before their
	// turn, the one whose turn it is among them. A flight has five at most.
	aheadMessages = 8

	// aheadBytes bounds the memory of all of them.
	aheadBytes = 1 << 15

	// maxSpans bounds the holes in one message.
	maxSpans = 32
)

// A span is bytes from begin up to end.
type span struct{ begin, end int }

// spans are sorted, and neither overlap nor touch.
type spans []span

// add joins s in. It does nothing, and returns false, if there would be too many.
func (p *spans) add(s span) bool {
	i := 0
	for i < len(*p) && (*p)[i].end < s.begin {
		i++
	}
	j := i
	for j < len(*p) && (*p)[j].begin <= s.end {
		s.begin, s.end = min(s.begin, (*p)[j].begin), max(s.end, (*p)[j].end)
		j++
	}
	if i == j && len(*p) >= maxSpans {
		return false
	}
	*p = slices.Replace(*p, i, j, s)
	return true
}

// covers says whether nothing is missing of n bytes.
func (p spans) covers(n int) bool {
	return len(p) == 1 && p[0].begin == 0 && p[0].end >= n
}

// A partial is a message of which fragments have come.
type partial struct {
	typ   uint8
	epoch uint64
	body  []byte
	have  spans
}

func (p *partial) complete() bool { return p != nil && p.have.covers(len(p.body)) }

// A reassembly makes messages out of fragments, and puts them in order (RFC 9147
// sections 5.2 and 5.5).
type reassembly struct {
	next  uint16 // message_seq whose turn it is
	ahead [aheadMessages]*partial
	bytes int
}

// A verdict says what became of a fragment.
type verdict int

const (
	fragmentDropped verdict = iota // makes no sense, or there is no room
	fragmentOld                    // of a message that has been taken out
	fragmentKept
)

// add takes a fragment that came in a record of this epoch. It keeps a copy.
func (r *reassembly) add(f fragment, epoch uint64) verdict {
	if int16(f.seq-r.next) < 0 {
		return fragmentOld
	}
	i := int(f.seq - r.next)
	if i >= aheadMessages {
		return fragmentDropped
	}
	p := r.ahead[i]
	if p != nil && (p.typ != f.typ || p.epoch != epoch || len(p.body) != f.length) {
		// One of the two is not the peer's, who will send its own again.
		if p.epoch > 0 || epoch > 0 {
			return fragmentDropped
		}
		r.drop(i)
		p = nil
	}
	if p == nil {
		if r.bytes+f.length > aheadBytes {
			return fragmentDropped
		}
		p = &partial{typ: f.typ, epoch: epoch, body: make([]byte, f.length)}
		r.ahead[i] = p
		r.bytes += f.length
	}
	// What has come once is not overwritten by what comes later.
	if !p.missing(f.offset, f.offset+len(f.data), f.data) {
		return fragmentDropped
	}
	return fragmentKept
}

// missing copies the bytes from begin to end, which is data, to where the message
// has none yet.
func (p *partial) missing(begin, end int, data []byte) bool {
	before := slices.Clone(p.have)
	if !p.have.add(span{begin, end}) {
		return false
	}
	at := begin
	for _, s := range before {
		if s.end <= at {
			continue
		}
		if s.begin >= end {
			break
		}
		if s.begin > at {
			copy(p.body[at:s.begin], data[at-begin:])
		}
		at = s.end
	}
	if at < end {
		copy(p.body[at:end], data[at-begin:])
	}
	return true
}

// take removes the message whose turn it is, if it is complete, and returns the
// epoch that it came in.
func (r *reassembly) take() (m message, epoch uint64, ok bool) {
	p := r.ahead[0]
	if !p.complete() {
		return m, 0, false
	}
	m = message{typ: p.typ, seq: r.next, body: p.body}
	r.next++
	r.bytes -= len(p.body)
	copy(r.ahead[:], r.ahead[1:])
	r.ahead[aheadMessages-1] = nil
	return m, p.epoch, true
}

// forget drops what came in epochs before this one: once there are keys, what
// came in clear could be anybody's.
func (r *reassembly) forget(before uint64) {
	for i, p := range r.ahead {
		if p != nil && p.epoch < before {
			r.drop(i)
		}
	}
}

func (r *reassembly) drop(i int) {
	r.bytes -= len(r.ahead[i].body)
	r.ahead[i] = nil
}
