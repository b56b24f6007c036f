package browser

import (
	"encoding/binary"
	"fmt"
	"strings"
	"time"
)

// A datagram is what a packet of a call says to somebody without keys.
type datagram struct {
	at      time.Duration // since the call's first
	up      bool
	size    int
	stun    *stunMessage
	records []record // of DTLS; nil if it is none
}

// A stunMessage is one of RFC 8489.
type stunMessage struct {
	class    string // "request", "response", "error" or "indication"
	id       [12]byte
	attrs    []attr
	username string
}

type attr struct {
	typ   uint16
	value []byte
}

// The attributes that calls have (RFC 8489 section 18.3, RFC 8445 section 16.1; c057 is libwebrtc's).
const (
	attrUsername    = 0x0006
	attrPriority    = 0x0024
	attrControlled  = 0x8029
	attrControlling = 0x802a
)

var attrNames = map[uint16]string{attrUsername: "USERNAME", 0x0008: "M-I", 0x0020: "XOR-MAPPED", attrPriority: "PRIORITY",
	0x0025: "USE-CANDIDATE", 0x8028: "FP", attrControlled: "CONTROLLED", attrControlling: "CONTROLLING", 0x8022: "SOFTWARE"}

func (m *stunMessage) get(typ uint16) []byte {
	for _, a := range m.attrs {
		if a.typ == typ {
			return a.value
		}
	}
	return nil
}

// shape is the list of attributes.
func (m *stunMessage) shape() string {
	var names []string
	for _, a := range m.attrs {
		name, ok := attrNames[a.typ]
		if !ok {
			name = fmt.Sprintf("%04x", a.typ)
		}
		names = append(names, name)
	}
	return strings.Join(names, " ")
}

// A record is one of DTLS: with the header of 1.2 and before, or the unified one of 1.3 (RFC 9147 section 4).
type record struct {
	first    byte // of the header
	plain    bool
	version  uint16
	epoch    uint16
	seq      uint64
	size     int // of the body
	fragment *fragment
}

// A fragment is of a handshake message in clear (RFC 9147 section 5.2).
type fragment struct {
	typ       byte
	length    int // of the message
	seq       uint16
	at, bytes int
	body      []byte
}

// dissect reads a packet.
func dissect(p packet) datagram {
	b := p.payload()
	d := datagram{up: p.up, size: len(b)}
	switch {
	case len(b) == 0:
	case b[0] < 4:
		d.stun = readSTUN(b)
	case b[0] >= 20 && b[0] < 64: // RFC 7983 section 7
		d.records = readRecords(b)
	}
	return d
}

func readSTUN(b []byte) *stunMessage {
	const header = 20
	if len(b) < header || binary.BigEndian.Uint32(b[4:]) != 0x2112a442 || len(b) != header+int(binary.BigEndian.Uint16(b[2:])) {
		return nil
	}
	class, ok := map[uint16]string{0x0001: "request", 0x0101: "response", 0x0111: "error", 0x0011: "indication"}[binary.BigEndian.Uint16(b)]
	if !ok {
		return nil
	}
	m := &stunMessage{class: class, id: [12]byte(b[8:header])}
	for rest := b[header:]; len(rest) >= 4; {
		n := int(binary.BigEndian.Uint16(rest[2:]))
		padded := 4 + (n+3)/4*4
		if padded > len(rest) {
			return nil
		}
		m.attrs = append(m.attrs, attr{binary.BigEndian.Uint16(rest), rest[4 : 4+n]})
		rest = rest[padded:]
	}
	m.username = string(m.get(attrUsername))
	return m
}

func readRecords(b []byte) (all []record) {
	for len(b) > 0 {
		r := record{first: b[0]}
		head := 0
		switch {
		case b[0]&0xe0 == 0x20: // 001CSLEE
			head = 2
			if b[0]&8 != 0 {
				head++
			}
			r.size = len(b) - head
			if b[0]&4 != 0 && len(b) >= head+2 {
				r.size = int(binary.BigEndian.Uint16(b[head:]))
				head += 2
			}
			r.epoch = uint16(b[0] & 3)
		case len(b) >= 13:
			head = 13
			r.plain = true
			r.version, r.epoch = binary.BigEndian.Uint16(b[1:]), binary.BigEndian.Uint16(b[3:])
			r.seq = binary.BigEndian.Uint64(b[3:]) & (1<<48 - 1)
			r.size = int(binary.BigEndian.Uint16(b[11:]))
		}
		if head == 0 || r.size < 0 || head+r.size > len(b) {
			return append(all, record{first: b[0], plain: true, version: 0xffff}) // It shows as something odd.
		}
		if body := b[head : head+r.size]; r.plain && r.first == 22 && r.epoch == 0 && len(body) >= 12 {
			u24 := func(b []byte) int { return int(b[0])<<16 | int(b[1])<<8 | int(b[2]) }
			r.fragment = &fragment{typ: body[0], length: u24(body[1:]), seq: binary.BigEndian.Uint16(body[4:]),
				at: u24(body[6:]), bytes: u24(body[9:]), body: body[12:]}
		}
		all, b = append(all, r), b[head+r.size:]
	}
	return all
}

// String tells what shows of a record's header.
func (r record) String() string {
	switch f := r.fragment; {
	case !r.plain:
		return fmt.Sprintf("%02x", r.first)
	case f == nil:
		return fmt.Sprintf("type %d %04x epoch %d", r.first, r.version, r.epoch)
	default:
		return fmt.Sprintf("%d %04x %d.%d hs%d.%d %d+%d/%d", r.first, r.version, r.epoch, r.seq, f.typ, f.seq, f.at, f.bytes, f.length)
	}
}

// A trace is all datagrams of a call.
type trace struct {
	*call
	all              []datagram
	bulkAt, closedAt time.Duration // when much was said at once, and when the offerer closed; 0 if not
}

// traceOf reads what a call has left.
func traceOf(c *call) *trace {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := &trace{call: c}
	for _, p := range c.packets {
		d := dissect(p)
		d.at = p.at.Sub(c.packets[0].at)
		t.all = append(t.all, d)
	}
	t.findPhases()
	return t
}

// ending is how long closing a call takes at most. An acknowledgement that waits longest leaves 200 ms after the last message, in the
// silence before.
const ending = 60 * time.Millisecond

// findPhases finds where the last phases begin.
func (t *trace) findPhases() {
	said := t.filter(true, isEpoch(3))
	if len(said) > 0 && t.Hold > 0 {
		t.closedAt = said[len(said)-1].at - ending
	}
	for i := 0; i+3 < len(said) && t.bulkAt == 0; i++ {
		if said[i].size == said[i+2].size && said[i].size > 1200 && said[i+1].size > 900 && said[i+3].size > 900 && said[i+3].at-said[i].at < time.Millisecond {
			t.bulkAt = said[i].at
		}
	}
}

// filter returns the datagrams of one end that f takes.
func (t *trace) filter(up bool, f func(datagram) bool) (some []datagram) {
	for _, d := range t.all {
		if d.up == up && f(d) {
			some = append(some, d)
		}
	}
	return some
}

func isRequest(d datagram) bool  { return d.stun != nil && d.stun.class == "request" }
func isResponse(d datagram) bool { return d.stun != nil && d.stun.class == "response" }
func isDTLS(d datagram) bool     { return d.records != nil }

// isHello says whether a datagram begins with a record in clear.
func isHello(d datagram) bool { return isDTLS(d) && d.records[0].plain }

// isEpoch returns a test for datagrams that begin with a 1.3 record of an epoch.
func isEpoch(e uint16) func(datagram) bool {
	return func(d datagram) bool { return isDTLS(d) && !d.records[0].plain && d.records[0].epoch == e }
}

// isSCTP says whether a datagram is one record of data: SCTP's packets have whole words, and DTLS adds 22 bytes. What else is
// encrypted, acknowledgements of DTLS and alerts, has other lengths.
func isSCTP(d datagram) bool { return isEpoch(3)(d) && d.size%4 == 22%4 }

// hello puts together the message of a type that one end has sent in clear; nil if it has not.
func (t *trace) hello(up bool, typ byte) []byte {
	var body []byte
	have := 0
	for _, d := range t.filter(up, isHello) {
		for _, r := range d.records {
			f := r.fragment
			if f == nil || f.typ != typ || f.seq > 1 || f.at+f.bytes > f.length || len(f.body) < f.bytes {
				continue
			}
			if body == nil {
				body = make([]byte, f.length)
			}
			if f.at != have || f.length != len(body) { // Again, or out of order.
				continue
			}
			copy(body[f.at:], f.body[:f.bytes])
			have += f.bytes
			if have == f.length {
				return body
			}
		}
	}
	return nil
}
