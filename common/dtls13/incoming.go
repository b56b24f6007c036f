package dtls13

import (
	"cmp"
	"slices"
	"time"
)

// takeHandshake takes a record with fragments of handshake messages.
func (m *machine) takeHandshake(r record) error {
	kept, old := false, false
	for rest := r.body; len(rest) > 0; {
		f, after, ok := cutFragment(rest)
		if !ok {
			break
		}
		rest = after
		if r.epoch < m.floor && int16(f.seq-m.asm.next) >= 0 {
			continue
		}
		switch m.asm.add(f, r.epoch) {
		case fragmentKept:
			kept = true
		case fragmentOld:
			old = true
		}
	}
	if kept {
		m.received(r.recordNumber)
		if m.version == Version13 && !m.done {
			m.flight = nil // Any part of an answer stands for its ACK (RFC 9147 section 7.1).
		}
	}
	for m.err == nil {
		msg, epoch, ok := m.asm.take()
		if !ok {
			break
		}
		if epoch < m.floor {
			return fault(alertUnexpectedMessage, "message of an epoch that is over")
		}
		if err := m.next(msg); err != nil {
			return err
		}
	}
	switch {
	case m.version == Version13 && kept:
		m.acknowledge(r.epoch)
	case old && !kept:
		m.takeOld(r)
	}
	return nil
}

// raise says that from now on messages come in this epoch. What has come in
// others and was not its turn yet is dropped: in clear it could be anybody's.
func (m *machine) raise(epoch uint64) {
	m.floor = epoch
	m.asm.forget(epoch)
}

// takeOld takes a record that holds only what has been taken before: the peer
// has not got our answer. BoringSSL lists it in the next ACK, NSS sends its
// flight again, or acknowledges the peer's last.
func (m *machine) takeOld(r record) {
	switch {
	case m.version == Version12 && m.done:
		m.repeat12(r)
	case m.version == Version12 || m.version == 0:
		if m.p.resends {
			m.sendAgain()
		}
	case r.epoch == 0 && !m.p.resends && !m.client && !m.done:
		// A hello that has been answered. Anybody could have sent it, but it costs
		// one ACK in a quarter of the timer at most.
		m.received(r.recordNumber)
		m.scheduleACK()
	case r.epoch == 0: // Anybody could have sent it.
	case r.epoch == 2 && m.done && m.client && m.p.resends: // NSS's timer runs on.
	case !m.p.resends:
		m.received(r.recordNumber)
		m.scheduleACK()
	case m.done && (r.epoch > 2 || r.epoch == 2 && !m.client):
		if len(m.acks) > 0 {
			m.acks = m.acks[1:] // NSS's list does not grow.
		}
		m.received(r.recordNumber)
		m.sendACK()
	default:
		m.sendAgain()
	}
}

// maxReceived bounds the records that one ACK lists.
const maxReceived = 32

// received notes a record for the next ACK. Browsers go on with the list of the
// peer's last flight for what comes after the handshake.
func (m *machine) received(n recordNumber) {
	if len(m.acks) == maxReceived {
		m.acks = append(m.acks[:0], m.acks[1:]...)
	}
	m.acks = append(m.acks, n)
}

// acknowledge sees to an ACK for what has come of the peer's flight. After the
// handshake each message is a flight, as is a client's last one; else the answer
// stands for the ACK, and one is sent only if the flight is still incomplete
// after a while. epoch is that of the last record.
func (m *machine) acknowledge(epoch uint64) {
	switch {
	case !m.done:
		m.scheduleACK()
	case m.client && epoch <= 2: // Our answer has just been sent.
	default:
		m.sendACK()
	}
}

// scheduleACK has one sent after a quarter of the timer (RFC 9147 section 7.1).
func (m *machine) scheduleACK() {
	if m.ackAt.IsZero() && len(m.acks) > 0 {
		m.ackAt = m.after(m.wait / 4)
	}
}

// sendACK acknowledges what has been noted.
func (m *machine) sendACK() {
	m.ackAt = time.Time{}
	slices.SortFunc(m.acks, func(a, b recordNumber) int { // RFC 9147 section 7 asks for it.
		return cmp.Or(cmp.Compare(a.epoch, b.epoch), cmp.Compare(a.seq, b.seq))
	})
	const numberSize = 16
	fit := (m.limit(0) - m.keys.current().overhead() - 2) / numberSize
	m.sendRecord(typeACK, marshalACK(m.acks[max(0, len(m.acks)-max(fit, 1)):]))
}

// takeACK takes an ACK (RFC 9147 section 7.2). One in clear could be anybody's.
func (m *machine) takeACK(r record) {
	f := m.flight
	if r.epoch < 2 || f == nil {
		return
	}
	numbers, ok := parseACK(r.body)
	if !ok {
		return
	}
	news, all := f.ack(numbers)
	switch {
	case all:
		m.flight = nil
		if f.acked != nil {
			f.acked()
		}
		m.updateKeys()
	case news:
		m.sendAgain()
	}
}
