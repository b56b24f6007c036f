package dtls13

import (
	"bytes"
	"errors"
	"runtime"
	"slices"
	"testing"
	"time"
)

// inject has a machine take a datagram of a stranger's.
func (n *network) inject(m *machine, datagram []byte) { m.input(n.now, bytes.Clone(datagram)) }

// plainRecord is what a stranger can send: a record in clear.
func plainRecord(typ uint8, seq uint64, payload []byte) []byte {
	return append(appendPlainHeader(nil, plainHeader{typ: typ, version: recordVersion, seq: seq}, len(payload)), payload...)
}

// halfway goes on until the client has begun with its last flight.
func halfway(t *testing.T, client, server Config) *network {
	t.Helper()
	n := newNetwork(client, server)
	n.client.start(n.now)
	for !n.client.done {
		if !n.step() {
			t.Fatal("ends early")
		}
	}
	return n
}

func TestForgedACK(t *testing.T) {
	eachPair(t, func(t *testing.T, client, server Config) {
		n := newNetwork(client, server)
		n.client.start(n.now)
		all := make([]recordNumber, 0, 60)
		for i := range uint64(20) {
			all = append(all, recordNumber{0, i}, recordNumber{2, i}, recordNumber{3, i})
		}
		forged := plainRecord(typeACK, 9, marshalACK(all))
		for range 20 {
			n.inject(n.client, forged)
			n.inject(n.server, forged)
			before := n.client.flight
			if before != nil && n.client.deadline().IsZero() {
				t.Fatal("a forged ACK stopped the timer")
			}
			if !n.step() {
				break
			}
		}
		if !n.settle() {
			t.Fatal("does not end")
		}
		n.check(t)
	})
}

// A genuine peer's ACK of records that were never sent means nothing either.
func TestWrongACK(t *testing.T) {
	n := halfway(t, testConfig(t, Chromium()), testConfig(t, Chromium()))
	for _, body := range [][]byte{marshalACK([]recordNumber{{2, 77}, {3, 0}}), {0, 3, 1, 2, 3}, {0xff}, {}} {
		n.client.takeACK(record{recordNumber{3, 0}, typeACK, body})
		if n.client.flight == nil {
			t.Fatalf("ACK %x ended the flight", body)
		}
	}
	if !n.settle() {
		t.Fatal("does not end")
	}
	n.check(t)
}

// Once there are keys, nothing in clear changes anything.
func TestPlainAfterKeys(t *testing.T) {
	forged := [][]byte{
		plainRecord(typeAlert, 50, []byte{alertFatal, uint8(alertHandshakeFailure)}),
		plainRecord(typeAlert, 51, []byte{alertWarning, uint8(alertCloseNotify)}),
		plainRecord(typeData, 52, []byte("data")),
		plainRecord(typeChangeCipherSpec, 53, []byte{1}),
		plainRecord(typeHandshake, 54, appendFragment(nil, message{msgFinished, 3, make([]byte, 32)}, 0, 32)),
		plainRecord(typeHandshake, 55, appendFragment(nil, message{msgKeyUpdate, 4, []byte{1}}, 0, 1)),
		plainRecord(typeHandshake, 56, appendFragment(nil, message{msgCertificate, 1, make([]byte, 100)}, 0, 50)),
		plainRecord(99, 57, []byte("what")),
		{0x2e, 1, 2, 0, 30, 1, 2, 3},
		bytes.Repeat([]byte{0x2f}, 60),
		{},
	}
	eachPair(t, func(t *testing.T, client, server Config) {
		n := newNetwork(client, server)
		n.client.start(n.now)
		for range 1000 {
			if !n.step() {
				break
			}
			for _, m := range []*machine{n.client, n.server} {
				if m.version == 0 {
					continue
				}
				for _, d := range forged {
					n.inject(m, d)
				}
			}
		}
		n.check(t)
	})
}

// Fragments that claim much, and far ahead, cost little.
func TestGiantFragments(t *testing.T) {
	n := newNetwork(testConfig(t, Chromium()), testConfig(t, Chromium()))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for i := range 100_000 {
		b := []byte{msgClientHello}
		b = appendUint24(b, []int{1<<24 - 1, maxMessage, 1 << 13, 100}[i%4])
		b = append(b, byte(i>>4), byte(i))
		b = appendUint24(b, i%100)
		b = append(appendUint24(b, 1), byte(i))
		n.inject(n.server, plainRecord(typeHandshake, uint64(i), b))
		if n.server.asm.bytes > aheadBytes {
			t.Fatalf("holds %d bytes", n.server.asm.bytes)
		}
		if n.server.err != nil {
			n.server = newMachine(n.server.cfg, false, n.now)
		}
		if len(n.server.out) > 1 {
			t.Fatalf("sends %d datagrams", len(n.server.out))
		}
		n.server.out = nil
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 1<<20 {
		t.Errorf("the heap has grown by %d bytes", grown)
	}
}

// A server answers one hello. Any number of others, and of copies, get next to
// nothing out of it.
func TestHelloFlood(t *testing.T) {
	for _, p := range profiles() {
		t.Run(p.name, func(t *testing.T) {
			n := newNetwork(testConfig(t, p), testConfig(t, p))
			n.client.start(n.now)
			first := slices.Clone(n.client.out)
			out := 0
			for i := range 3000 {
				if i%100 == 0 {
					other := newMachine(n.client.cfg, true, n.now)
					other.start(n.now)
					for _, d := range other.out {
						n.inject(n.server, d)
					}
				}
				for _, d := range first {
					n.inject(n.server, d)
				}
				n.now = n.now.Add(time.Millisecond)
				n.server.timeout(n.now)
				for _, d := range n.server.out {
					out += len(d)
				}
				n.server.out = nil
			}
			if n.server.err != nil {
				t.Fatal(n.server.err)
			}
			in := 3000 * (len(first[0]) + len(first[1]))
			if out > in/10 {
				t.Errorf("%d bytes answered %d", out, in)
			}
		})
	}
}

func TestHellosThatAreNone(t *testing.T) {
	build := func(change func(*Profile, *hello)) []byte {
		p := Chromium()
		h, err := p.newHello(testConfig(t, p).Rand)
		if err != nil {
			t.Fatal(err)
		}
		change(&p, h)
		return p.clientHello(h)
	}
	for name, c := range map[string]struct {
		body []byte
		want alert
	}{
		"only DTLS 1.0":      {build(func(p *Profile, _ *hello) { p.versions = []uint16{0xfeff} }), alertProtocolVersion},
		"only TLS 1.3":       {build(func(p *Profile, _ *hello) { p.versions = []uint16{0x0304} }), alertProtocolVersion},
		"no suite":           {build(func(p *Profile, _ *hello) { p.suites = []uint16{0x1304, 0xc009} }), alertHandshakeFailure},
		"no group":           {build(func(p *Profile, h *hello) { p.groups, h.shares = []uint16{0x0100}, nil }), alertHandshakeFailure},
		"no extension":       {build(func(_ *Profile, h *hello) { h.order = []uint16{extVersions} }), alertMissingExtension},
		"a cookie of 1.2":    {build(func(_ *Profile, h *hello) { h.cookie = []byte{1} }), alertIllegalParameter},
		"bad share":          {build(func(_ *Profile, h *hello) { h.shares[0].data = h.shares[0].data[:1215] }), alertIllegalParameter},
		"share of zero":      {build(func(_ *Profile, h *hello) { clear(h.shares[1].data); h.shares = h.shares[1:] }), alertIllegalParameter},
		"no ECDSA":           {build(func(p *Profile, _ *hello) { p.sigAlgs = []uint16{0x0804} }), alertHandshakeFailure},
		"cut":                {build(func(*Profile, *hello) {})[:700], alertDecodeError},
		"twice an extension": {build(func(_ *Profile, h *hello) { h.order = append(h.order, extEMS) }), alertDecodeError},
		"empty":              {nil, alertDecodeError},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(testConfig(t, Chromium()), false, epochStart)
			m.input(epochStart, plainRecord(typeHandshake, 0, appendFragment(nil, message{msgClientHello, 0, c.body}, 0, len(c.body))))
			var e protocolError
			if !errors.As(m.err, &e) || e.alert != c.want {
				t.Fatalf("%v, want alert %d", m.err, c.want)
			}
			if len(m.out) != 1 || !bytes.Equal(m.out[0], plainRecord(typeAlert, 0, []byte{alertFatal, uint8(c.want)})) {
				t.Errorf("sends %x", m.out)
			}
		})
	}
}

// A record counts once, and an old key only for a while.
func TestReplayAndOldKeys(t *testing.T) {
	n := newNetwork(testConfig(t, Chromium()), testConfig(t, Chromium()))
	if !n.run() {
		t.Fatal("does not end")
	}
	n.client.sendRecord(typeData, []byte("once"))
	d := n.client.out[0]
	n.client.sendRecord(typeData, []byte("late"))
	late := n.client.out[1]
	n.client.out = nil
	for range 3 {
		n.inject(n.server, d)
	}
	if len(n.server.data) != 1 {
		t.Errorf("a record counted %d times", len(n.server.data))
	}
	n.server.data = nil
	n.client.requestUpdate(false)
	if !n.settle() || n.client.keys.current().epoch != 4 || n.server.in.current != 4 {
		t.Fatal("keys have not changed")
	}
	n.talk(t, n.client, n.server)
	n.server.data = nil
	n.inject(n.server, late)
	if len(n.server.data) != 1 {
		t.Error("a record of the epoch before is lost")
	}
	n.now = n.now.Add(oldKeysFor + time.Second)
	n.server.data = nil
	n.client.keys.epochs[0].seq = 0 // Anything of the old epoch.
	n.inject(n.server, d)
	if len(n.server.data) != 0 {
		t.Error("a record of an epoch long past was taken")
	}
}

// Keys change while the network loses, doubles and delays.
func TestUpdateKeysLoss(t *testing.T) {
	for seed := range uint64(30) {
		n := newNetwork(testConfig(t, Chromium()), testConfig(t, Firefox()))
		n.fate = lossy(seed, 0.3)
		if !n.run() {
			t.Fatal("does not end")
		}
		for i := range 6 {
			n.client.requestUpdate(i%2 == 0)
			n.server.requestUpdate(i%3 == 0)
			if !n.settle() {
				t.Fatal("does not end")
			}
			n.talk(t, n.client, n.server)
			n.talk(t, n.server, n.client)
		}
		c, s := n.client, n.server
		if c.keys.current().epoch < 9 || c.keys.current().epoch != s.in.current || s.keys.current().epoch != c.in.current {
			t.Errorf("epochs %d, read as %d; %d, read as %d", c.keys.current().epoch, s.in.current, s.keys.current().epoch, c.in.current)
		}
	}
}

// Tickets are acknowledged and forgotten; other messages are refused.
func TestPostHandshake(t *testing.T) {
	n := newNetwork(testConfig(t, Chromium()), testConfig(t, Chromium()))
	if !n.run() {
		t.Fatal("does not end")
	}
	send := func(typ uint8) {
		n.server.begin([]*outMessage{n.server.untracked(typ, 3, make([]byte, 50))}, nil)
		if !n.settle() {
			t.Fatal("does not end")
		}
	}
	send(msgNewSessionTicket)
	if n.server.flight != nil || n.client.err != nil {
		t.Errorf("ticket: %v", n.client.err)
	}
	send(msgCertificateRequest)
	var e protocolError
	if !errors.As(n.client.err, &e) || e.alert != alertUnexpectedMessage {
		t.Errorf("certificate request: %v", n.client.err)
	}
}

func TestFullSeq(t *testing.T) {
	for _, c := range []struct {
		low  uint64
		size int
		next uint64
		want uint64
	}{
		{0, 2, 0, 0}, {5, 2, 3, 5}, {65535, 2, 0, 65535}, {1, 2, 65530, 65537}, {65535, 2, 65537, 65535}, {0xff, 1, 0x100, 0xff},
		{0, 1, 0xff, 0x100}, {0x80, 1, 0x1ff, 0x180}, {0x10, 1, 0x1ff, 0x210}, {0, 2, 1 << 40, 1 << 40},
	} {
		if got := fullSeq(c.low, c.size, c.next); got != c.want {
			t.Errorf("%#x of %d bytes after %#x is %#x, want %#x", c.low, c.size, c.next, got, c.want)
		}
	}
}

// The forms of the header that we do not send are read, too: 8 bits of sequence
// number, and no length.
func TestOtherHeaders(t *testing.T) {
	keys := testTraffic(t, suiteAES128, 3)
	for _, header := range []byte{0x23, 0x27, 0x2b, 0x2f} {
		var s scratch
		raw := []byte{header, 9}
		if header&unifiedSeq16 != 0 {
			raw = []byte{header, 0, 9}
		}
		at := len(raw)
		payload := []byte("hello\x17\x00\x00")
		if header&unifiedLength != 0 {
			raw = append(raw, 0, byte(len(payload)+tagSize))
		}
		start := len(raw)
		raw = keys.aead.Seal(raw, keys.nonce(&s, 9), payload, raw)
		keys.sn.mask(s.mask[:], raw[start:])
		for i := 1; i < at; i++ {
			raw[i] ^= s.mask[i-1]
		}
		in := inbound{clock: time.Now}
		in.install(keys)
		r, _, o := in.next(raw)
		if o != recordOpen || string(r.body) != "hello" || r.seq != 9 || r.typ != typeData {
			t.Errorf("header %x: %v %+v", header, o, r)
		}
	}
}

// What comes again after the handshake has Firefox's server repeat its ACK, and its client wait for its timer, of which the first is doubled.
func TestFirefoxRepeats(t *testing.T) {
	const ack = 72 // three records
	n := newNetwork(testConfig(t, Firefox()), testConfig(t, Firefox()))
	start := n.now
	n.fate = func(_ int, p parcel) fate {
		switch lost := p.at.Sub(start) < 500*time.Millisecond; {
		case p.toClient && len(p.data) == ack && lost:
			return nil
		case p.toClient:
			return fate{oneWay, oneWay + 30*time.Millisecond}
		}
		return fate{oneWay}
	}
	if !n.run() {
		t.Fatal("does not end")
	}
	acks, last := 0, start
	for _, p := range n.log {
		switch {
		case p.toClient && len(p.data) < 200:
			if acks++; len(p.data) != ack {
				t.Errorf("an ACK of %d bytes", len(p.data))
			}
		case !p.toClient && p.data[0]&0xe0 == 0x20: // not in clear
			if last != start && p.at.Sub(last) < 2*Firefox().timers[0] {
				t.Errorf("the last flight again after %v", p.at.Sub(last))
			}
			last = p.at
		}
	}
	if acks < 4 {
		t.Errorf("%d ACKs", acks)
	}
}
