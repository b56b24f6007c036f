package dtls13

import "time"

// maxTries is how often a flight is sent: BoringSSL gives up after 12 timers.
const maxTries = 13

// maxSent bounds the records of a flight that are remembered for its ACKs.
const maxSent = 256

// An outMessage is a message of the flight under way.
type outMessage struct {
	message
	epoch uint64
	acked spans
	ccs   bool // not a message, but 1.2's change_cipher_spec
}

func (m *outMessage) done() bool { return m.acked.covers(len(m.body)) }

// A part is the bytes of a message that a record holds.
type part struct {
	message int
	span
}

type sentRecord struct {
	recordNumber
	parts []part
}

// A flight is what is sent again until the peer has it (RFC 9147 section 5.8).
type flight struct {
	messages []*outMessage
	sent     []sentRecord
	tries    int
	again    int       // how often it was sent before its time
	last     time.Time // when it was sent last
	deadline time.Time // when it is sent again; zero: never by time
	// acked is called once the peer has acknowledged all of it.
	acked func()
}

// ack marks what the records hold as arrived. It returns whether that is news,
// and whether nothing is missing any more.
func (f *flight) ack(numbers []recordNumber) (news, all bool) {
	for _, n := range numbers {
		for _, r := range f.sent {
			if r.recordNumber != n {
				continue
			}
			for _, p := range r.parts {
				m := f.messages[p.message]
				before := m.done()
				m.acked.add(p.span)
				news = news || !before
			}
		}
	}
	for _, m := range f.messages {
		if !m.done() {
			return news, false
		}
	}
	return news, true
}

// A packer cuts messages into records and datagrams as a profile does.
type packer struct {
	m     *machine
	cut   cut
	limit int

	out     []byte      // the datagram so far
	epoch   *writeEpoch // of the record that is open, nil if none is
	payload []byte      // of that record
	parts   []part
}

// pack sends all of the flight that has not been acknowledged.
func (m *machine) pack(f *flight) {
	p := packer{m: m, cut: m.p.flights, limit: m.limit(f.tries)}
	for i, out := range f.messages {
		if out.ccs {
			p.changeCipherSpec(m.keys.find(out.epoch))
			continue
		}
		at := 0
		for _, s := range append(out.acked[:len(out.acked):len(out.acked)], span{len(out.body), len(out.body)}) {
			if at < s.begin || len(out.body) == 0 && !out.done() {
				p.add(i, out, span{at, s.begin})
			}
			at = s.end
		}
	}
	p.closeDatagram()
}

// limit bounds datagrams of a flight that has been sent so often before.
func (m *machine) limit(tries int) int {
	c := m.p.flights
	limit := c.limit[0]
	if tries >= c.patience {
		limit = c.limit[1]
	}
	mtu := m.cfg.MTU
	if mtu <= 0 {
		return limit
	}
	if c.loose {
		mtu -= looseSize
	}
	return min(limit, mtu)
}

// looseSize is the most that a loose limit leaves out.
const looseSize = plainHeaderSize + tagSize + 16

// room is how many bytes of a fragment fit in a record of w in the datagram that
// is open, after those of the record that is open.
func (p *packer) room(w *writeEpoch) int {
	used := len(p.out) + msgHeaderSize
	if !p.cut.loose {
		used += w.overhead()
	}
	if w == p.epoch {
		used += len(p.payload)
	}
	return p.limit - used
}

// add puts the bytes of a message into records.
func (p *packer) add(i int, out *outMessage, s span) {
	w := p.m.keys.find(out.epoch)
	if w == nil {
		return
	}
	if w != p.epoch || !p.cut.join || w.epoch == 0 {
		p.closeRecord()
	}
	for {
		room := p.room(w)
		if room < 1 && (len(p.out) > 0 || len(p.payload) > 0) {
			p.closeDatagram()
			continue
		}
		n := min(s.end-s.begin, max(room, 1))
		p.epoch = w
		p.payload = appendFragment(p.payload, out.message, s.begin, n)
		p.parts = append(p.parts, part{i, span{s.begin, s.begin + n}})
		s.begin += n
		if s.begin >= s.end {
			return
		}
		p.closeDatagram()
	}
}

func (p *packer) changeCipherSpec(w *writeEpoch) {
	p.closeRecord()
	if w == nil {
		return
	}
	if len(p.out)+plainHeaderSize+1 > p.limit {
		p.closeDatagram()
	}
	seq, err := w.number()
	if err != nil {
		return
	}
	p.out = w.seal(p.out, &p.m.scratch, typeChangeCipherSpec, seq, []byte{1})
}

// closeRecord seals the record that is open.
func (p *packer) closeRecord() {
	if p.epoch == nil {
		return
	}
	w, f := p.epoch, p.m.flight
	if seq, err := w.number(); err == nil {
		p.out = w.seal(p.out, &p.m.scratch, typeHandshake, seq, p.payload)
		if len(f.sent) < maxSent {
			f.sent = append(f.sent, sentRecord{recordNumber{w.epoch, seq}, p.parts})
		}
	}
	p.epoch, p.payload, p.parts = nil, p.payload[:0], nil
}

func (p *packer) closeDatagram() {
	p.closeRecord()
	if len(p.out) > 0 {
		p.m.out = append(p.m.out, p.out)
		p.out = nil
	}
}
