package dtls13

import (
	"errors"
	"time"
)

// A machine is one end of a connection without its socket: datagrams, the time
// and calls go in; datagrams (out), application data (data) and the time of the
// next call (deadline) come out. It is not safe for concurrent use, but that in
// belongs to whoever reads, once the handshake is complete.
type machine struct {
	cfg     Config
	p       Profile
	client  bool
	now     time.Time // of the call under way
	scratch scratch

	out  [][]byte // datagrams to send
	data [][]byte // of the peer's application, while nobody reads

	in    inbound
	early early
	keys  outbound
	retry bool // keys have been installed: look at early again

	asm   reassembly
	floor uint64 // messages of earlier epochs are not taken any more
	seq   uint16 // message_seq of our next message
	tr    transcript

	flight    *flight
	wait      time.Duration  // of the timer set last
	roundTrip time.Duration  // as it was when the first flight left; 0 if not known
	acks      []recordNumber // of the peer's flight under way
	ackAt     time.Time      // when to acknowledge what has come; zero: never

	next    func(message) error // takes the next handshake message
	version uint16              // once agreed on
	done    bool                // the handshake is complete
	closed  bool                // the peer has said close_notify
	err     error               // why it failed

	hello *hello // client
	hs    handshake13
	hs12  handshake12
	post  postHandshake

	state State
}

// maxData bounds the records of application data that wait while nobody reads.
const maxData = 32

var errTimers = errors.New("dtls13: the peer does not answer")

func newMachine(cfg Config, client bool, now time.Time) *machine {
	m := &machine{cfg: cfg, p: cfg.Profile, client: client, now: now, wait: cfg.Profile.timers[0]}
	m.in.clock = func() time.Time { return m.now }
	version := recordVersion
	if client {
		version = recordVersion10
	}
	m.keys.install(plain{version}, 0)
	m.next = m.onClientHello
	if client {
		m.next = m.onServerHello
	}
	return m
}

// start sends a client's first flight.
func (m *machine) start(now time.Time) {
	m.now = now
	if m.client {
		m.check(m.sendHello())
	}
}

// input takes a datagram, which it changes.
func (m *machine) input(now time.Time, datagram []byte) {
	m.now = now
	for rest := datagram; len(rest) > 0 && m.err == nil; {
		var r record
		var o outcome
		r, rest, o = m.in.next(rest)
		switch o {
		case recordEarly:
			if !m.done {
				m.early.add(r.body)
			}
		case recordOpen:
			m.take(r)
		}
	}
}

// take takes a record that has been opened.
func (m *machine) take(r record) {
	switch r.typ {
	case typeHandshake:
		m.check(m.takeHandshake(r))
	case typeACK:
		m.takeACK(r)
	case typeAlert:
		m.takeAlert(r)
	case typeData:
		// Epoch 1 is 1.2's.
		if (r.epoch >= 3 || r.epoch == 1) && m.done && len(m.data) < maxData {
			m.data = append(m.data, append([]byte(nil), r.body...))
		}
	}
	for m.retry && m.err == nil {
		m.retry = false
		for _, raw := range m.early.take() {
			m.input(m.now, raw)
		}
	}
}

// timeout is to be called at the deadline, or after.
func (m *machine) timeout(now time.Time) {
	m.now = now
	if m.err != nil {
		return
	}
	if !m.ackAt.IsZero() && !now.Before(m.ackAt) {
		m.sendACK()
	}
	f := m.flight
	if f == nil || f.deadline.IsZero() || now.Before(f.deadline) {
		return
	}
	if f.tries >= maxTries {
		m.fail(errTimers)
		return
	}
	m.sendFlight()
}

// deadline is when timeout is to be called; zero is never.
func (m *machine) deadline() time.Time {
	if m.err != nil {
		return time.Time{}
	}
	d := m.ackAt
	if f := m.flight; f != nil && !f.deadline.IsZero() && (d.IsZero() || f.deadline.Before(d)) {
		d = f.deadline
	}
	return d
}

// begin makes messages the flight under way. What the peer sent before is
// acknowledged by it.
func (m *machine) begin(messages []*outMessage, acked func()) {
	m.ackAt = time.Time{}
	if !m.client || !m.p.keepACKs {
		m.acks = nil
	}
	if m.flight == nil && m.cfg.RoundTrip != nil {
		m.roundTrip = m.cfg.RoundTrip()
	}
	m.flight = &flight{messages: messages, acked: acked}
	m.sendFlight()
}

// sendFlight sends what is missing of the flight, and sets the timer.
func (m *machine) sendFlight() {
	f := m.flight
	m.pack(f)
	m.wait = m.p.timer(f.tries, m.roundTrip)
	f.last, f.deadline = m.now, m.after(m.wait)
	f.tries++
}

// after returns when a timer of that length ends.
func (m *machine) after(d time.Duration) time.Time {
	if m.cfg.Wake == nil {
		return m.now.Add(d)
	}
	if d < m.p.slack {
		d = 0
	}
	return m.cfg.Wake(m.now.Add(d))
}

// sendAgain sends the flight before its time, because the peer has shown that
// something is missing. It leaves the timer's step as it is.
func (m *machine) sendAgain() {
	f := m.flight
	if f == nil || m.now.Sub(f.last) < m.wait/4 || f.again >= maxTries {
		return
	}
	f.again++
	f.tries--
	m.sendFlight()
}

// message numbers a message of ours and adds it to the transcript.
func (m *machine) message(typ uint8, epoch uint64, body []byte) *outMessage {
	out := m.untracked(typ, epoch, body)
	m.tr.add(out.message)
	return out
}

func (m *machine) untracked(typ uint8, epoch uint64, body []byte) *outMessage {
	out := &outMessage{message: message{typ, m.seq, body}, epoch: epoch}
	m.seq++
	return out
}

// sendRecord sends a record of its own in the current epoch.
func (m *machine) sendRecord(typ uint8, payload []byte) {
	w := m.keys.current()
	seq, err := w.number()
	if err != nil {
		return
	}
	m.out = append(m.out, w.seal(nil, &m.scratch, typ, seq, payload))
}

// check fails the connection if err is not nil.
func (m *machine) check(err error) {
	if err != nil {
		m.fail(err)
	}
}

// fail ends the connection, and tells the peer if it is at fault.
func (m *machine) fail(err error) {
	if m.err != nil {
		return
	}
	m.err = err
	if _, silent := err.(PeerError); !silent && err != errTimers {
		m.sendRecord(typeAlert, []byte{alertFatal, uint8(alertOf(err))})
	}
}

// close says close_notify.
func (m *machine) close() {
	if m.err == nil {
		m.sendRecord(typeAlert, []byte{alertWarning, uint8(alertCloseNotify)})
	}
}

func (m *machine) takeAlert(r record) {
	if len(r.body) != 2 || r.epoch == 0 && (m.floor > 0 || m.done) {
		return // Anybody could send it in clear.
	}
	switch a := alert(r.body[1]); {
	case a == alertCloseNotify:
		m.closed = true
	case a == alertUserCanceled, m.version == Version12 && r.body[0] == alertWarning:
	default:
		m.fail(PeerError{r.body[1]})
	}
}
