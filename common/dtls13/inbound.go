package dtls13

import "time"

// oldKeysFor is how long the keys of an epoch are kept once there is a later one:
// twice the lifetime of a segment (RFC 9147 section 4.2.1, RFC 9293 section
// 3.4.2), for what the peer sends again.
const oldKeysFor = 4 * time.Minute

// A readEpoch is the receiving side of an epoch.
type readEpoch struct {
	keys  *traffic
	seen  window
	until time.Time // zero while no later epoch has keys
}

// inbound opens records. It belongs to whoever reads.
type inbound struct {
	clock   func() time.Time
	scratch scratch
	// epochs are those of 1.3 that have keys, by the two bits of the header:
	// the current one and at most three before it.
	epochs  [4]*readEpoch
	current uint64
	old     *readOld // 1.2
}

// install adds the keys of the next epoch.
func (in *inbound) install(t *traffic) {
	if before := in.epochs[in.current&unifiedEpoch]; before != nil {
		before.until = in.clock().Add(oldKeysFor)
	}
	in.current = t.epoch
	in.epochs[t.epoch&unifiedEpoch] = &readEpoch{keys: t}
}

// An outcome says what became of the next record of a datagram.
type outcome int

const (
	recordNone  outcome = iota // nothing more can be made sense of
	recordLost                 // not genuine, seen before, or of an epoch long past
	recordEarly                // of an epoch that has no keys yet; body is the whole record
	recordOpen
)

// next takes a record off a datagram, which it changes. The body is within it.
func (in *inbound) next(b []byte) (r record, rest []byte, o outcome) {
	if len(b) == 0 {
		return r, nil, recordNone
	}
	if isUnified(b[0]) {
		return in.nextUnified(b)
	}
	h, body, rest, ok := cutPlain(b)
	if !ok {
		return r, nil, recordNone
	}
	if h.epoch == 0 {
		return record{recordNumber{0, h.seq}, h.typ, body}, rest, recordOpen
	}
	if in.old == nil {
		return record{body: b[:len(b)-len(rest)]}, rest, recordEarly
	}
	if r, ok = in.old.open(&in.scratch, h, body); !ok {
		return r, rest, recordLost
	}
	return r, rest, recordOpen
}

func (in *inbound) nextUnified(b []byte) (r record, rest []byte, o outcome) {
	u, rest, ok := cutUnified(b)
	if !ok {
		return r, nil, recordNone
	}
	e := in.epochs[u.epochBits]
	if e == nil {
		return record{body: u.raw}, rest, recordEarly
	}
	if !e.until.IsZero() && in.clock().After(e.until) {
		return r, rest, recordLost
	}
	if r, ok = e.keys.open(&in.scratch, u, &e.seen); !ok {
		return r, rest, recordLost
	}
	return r, rest, recordOpen
}

const (
	// earlyRecords and earlyBytes bound what is kept of epochs that have no
	// keys yet: a flight that overtook the ServerHello, and a few of data.
	earlyRecords = 12
	earlyBytes   = 1 << 14
)

// An early holds records until there are keys for them.
type early struct {
	records [][]byte
	bytes   int
}

func (e *early) add(raw []byte) {
	if len(e.records) < earlyRecords && e.bytes+len(raw) <= earlyBytes {
		e.records = append(e.records, append([]byte(nil), raw...))
		e.bytes += len(raw)
	}
}

func (e *early) take() [][]byte {
	records := e.records
	*e = early{}
	return records
}
