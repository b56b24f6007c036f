package dtls13

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"slices"
	"testing"
	"testing/cryptotest"
	"time"
)

// The targets are beside the code because what they feed is not exported. What
// holds for all: no panic, and memory in proportion to the input. See fuzz/doc.go.

// seedBodies adds the captured messages of one kind.
func seedBodies(f *testing.F, add func([]byte), keys ...string) {
	f.Helper()
	for _, name := range []string{"chromium-156.json", "firefox-esr-153.json"} {
		b, err := os.ReadFile("testdata/" + name)
		if err != nil {
			f.Fatal(err)
		}
		var all map[string]any
		if err := json.Unmarshal(b, &all); err != nil {
			f.Fatal(err)
		}
		for _, k := range keys {
			text, _ := all[k].(string)
			body, err := hex.DecodeString(text)
			if err != nil || len(body) == 0 {
				f.Fatalf("%s has no %s", name, k)
			}
			add(body)
		}
	}
}

// testTraffic are keys of an epoch.
func testTraffic(t testing.TB, id uint16, epoch uint64) *traffic {
	t.Helper()
	s, ok := suite13(id)
	if !ok {
		t.Fatal("no such suite")
	}
	k, err := newTraffic(s, epoch, bytes.Repeat([]byte{7}, s.hash().Size()))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// Whatever a datagram holds, opening it ends, and nothing is taken that was not
// sealed.
func FuzzDatagram(f *testing.F) {
	keys := testTraffic(f, suiteAES128, 3)
	var s scratch
	f.Add(keys.seal(nil, &s, typeData, 5, []byte("hello")), false)
	f.Add(appendPlainHeader(nil, plainHeader{typ: typeHandshake, version: recordVersion}, 0), true)
	f.Add([]byte{0x2e, 0, 1}, true)
	f.Add([]byte{0x3c, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18}, false)
	f.Fuzz(func(t *testing.T, datagram []byte, old bool) {
		in := inbound{clock: func() time.Time { return epochStart }}
		in.install(testTraffic(t, suiteAES128, 2))
		in.install(testTraffic(t, suiteChaCha, 3))
		if old {
			suite, _ := suiteOf12(suite12ECDSAAES128)
			p, err := newProtection12(suite, make([]byte, 16), make([]byte, 4))
			if err != nil {
				t.Fatal(err)
			}
			in.old = &readOld{protection12: p}
		}
		total := len(datagram)
		for rest := datagram; len(rest) > 0; {
			r, after, o := in.next(rest)
			if o == recordNone {
				break
			}
			if len(after) >= len(rest) || len(r.body) > total {
				t.Fatalf("%d bytes became %d and %d", len(rest), len(r.body), len(after))
			}
			rest = after
		}
	})
}

// Opening inverts sealing, with every suite, whatever came before.
func FuzzRecord(f *testing.F) {
	f.Add([]byte("hello"), uint64(0), uint64(0), byte(typeData), 0)
	f.Add([]byte{}, uint64(70000), uint64(66000), byte(typeACK), 2)
	f.Add(make([]byte, 1200), uint64(maxSeq), uint64(maxSeq-300), byte(typeHandshake), 1)
	f.Fuzz(func(t *testing.T, payload []byte, seq, next uint64, typ byte, which int) {
		ids := []uint16{suiteAES128, suiteAES256, suiteChaCha}
		seq, next = seq&maxSeq, next&maxSeq
		if typ == 0 || len(payload) > maxPayload {
			return
		}
		k := testTraffic(t, ids[uint(which)%3], 3)
		var s scratch
		sealed := k.seal(nil, &s, typ, seq, payload)
		if len(sealed) != len(payload)+k.overhead() {
			t.Fatalf("%d bytes became %d", len(payload), len(sealed))
		}
		u, rest, ok := cutUnified(sealed)
		if !ok || len(rest) != 0 {
			t.Fatal("own record is none")
		}
		w := window{next: next}
		near := seq >= next && seq-next < 1<<15 || next > seq && next-seq <= windowSize
		r, ok := k.open(&s, u, &w)
		if ok != near {
			t.Fatalf("record %d when %d is next: %v", seq, next, ok)
		}
		if ok && (r.typ != typ || r.seq != seq || !bytes.Equal(r.body, payload) || w.fresh(seq)) {
			t.Fatalf("%x came as %+v", payload, r)
		}
	})
}

func FuzzClientHello(f *testing.F) {
	seedBodies(f, func(b []byte) { f.Add(b) }, "client_hello")
	f.Fuzz(func(t *testing.T, body []byte) {
		h, ok := parseClientHello(body)
		if !ok {
			return
		}
		if len(h.suites) == 0 || len(h.extensions) > maxExtensions || len(h.shares) > maxShares || len(h.sessionID) > 32 {
			t.Errorf("took %+v", h)
		}
	})
}

func FuzzServerHello(f *testing.F) {
	seedBodies(f, func(b []byte) { f.Add(b) }, "server_hello_13", "server_hello_12")
	retry := serverHello{random: retryRandom(), suite: suiteAES128, share: keyShare{group: groupP256}, cookie: []byte{1, 2}}
	f.Add(retry.marshal13())
	f.Fuzz(func(t *testing.T, body []byte) {
		h, err := parseServerHello(body)
		if err != nil || h.version != Version13 || h.share.group == 0 || len(h.share.data) == 0 && !h.retry() {
			return
		}
		again, err := parseServerHello(h.marshal13())
		if err != nil || again.suite != h.suite || !bytes.Equal(again.share.data, h.share.data) || !bytes.Equal(again.cookie, h.cookie) {
			t.Errorf("%+v became %+v, %v", h, again, err)
		}
	})
}

// All other messages: which is the parser. Those that have an inverse are built
// again.
func FuzzMessage(f *testing.F) {
	add := func(which byte) func([]byte) { return func(b []byte) { f.Add(which, b) } }
	seedBodies(f, add(0), "encrypted_extensions")
	seedBodies(f, add(1), "certificate_request_13")
	seedBodies(f, add(9), "certificate_request_12")
	c, err := Chromium().NewCertificate()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(byte(2), certificate13(nil, c.DER))
	f.Add(byte(3), signed(sigECDSAP256, make([]byte, 70)))
	f.Add(byte(4), marshalACK([]recordNumber{{2, 0}, {3, 1 << 40}}))
	f.Add(byte(5), []byte{0xfe, 0xff, 2, 1, 2})
	f.Add(byte(6), append(ecdheParams(keyShare{groupX25519, make([]byte, 32)}), signed(sigECDSAP256, make([]byte, 70))...))
	f.Add(byte(7), clientKeyExchange(make([]byte, 65)))
	f.Add(byte(8), certificate12(c.DER))
	f.Add(byte(10), c.DER)
	f.Fuzz(func(t *testing.T, which byte, body []byte) {
		var again []byte
		switch which {
		case 0:
			parseEncryptedExtensions(body) //nolint:errcheck // Only that it ends.
		case 1:
			parseCertificateRequest13(body) //nolint:errcheck // Only that it ends.
		case 2:
			parseCertificate13(body, nil) //nolint:errcheck // A chain has no inverse here.
		case 3:
			if alg, sig, err := parseSigned(body); err == nil {
				again = signed(alg, sig)
			}
		case 4:
			if list, ok := parseACK(body); ok && len(list) < maxACKs {
				again = marshalACK(list)
			}
		case 5:
			parseHelloVerifyRequest(body) //nolint:errcheck // Only that it ends.
		case 6:
			if x, err := parseServerKeyExchange(body); err == nil {
				again = append(ecdheParams(x.share), signed(x.alg, x.signature)...)
			}
		case 7:
			if public, err := parseClientKeyExchange(body); err == nil {
				again = clientKeyExchange(public)
			}
		case 8:
			parseCertificate12(body) //nolint:errcheck // A chain has no inverse here.
		case 9:
			parseCertificateRequest12(body) //nolint:errcheck // Only that it ends.
		case 10:
			publicKey(body) //nolint:errcheck // Only that it ends.
		}
		if again != nil && !bytes.Equal(again, body) {
			t.Errorf("%x became %x", body, again)
		}
	})
}

// A message comes in fragments of any kind and order, and comes out as it was;
// memory stays within its bounds.
func FuzzReassembly(f *testing.F) {
	f.Add([]byte{0, 10, 0, 5, 0, 10, 5, 5}, byte(10))
	f.Add([]byte{1, 3, 0, 3, 0, 10, 0, 10}, byte(10))
	f.Fuzz(func(t *testing.T, script []byte, size byte) {
		want := make([]byte, size)
		for i := range want {
			want[i] = byte(i * 7)
		}
		r := reassembly{next: 65534}
		for ; len(script) >= 4; script = script[4:] {
			seq := uint16(script[0]%16) + 65532
			begin := min(int(script[2]), len(want))
			end := min(begin+int(script[3]), len(want))
			typ, epoch := script[1]%3, uint64(script[1]/3%2)
			r.add(fragment{typ, seq, len(want), begin, want[begin:end]}, epoch)
			held := 0
			for _, p := range r.ahead {
				if p != nil {
					held += len(p.body)
				}
			}
			if held != r.bytes || held > aheadBytes {
				t.Fatalf("holds %d bytes and counts %d", held, r.bytes)
			}
			for {
				m, _, ok := r.take()
				if !ok {
					break
				}
				if !bytes.Equal(m.body, want) || m.seq != r.next-1 {
					t.Fatalf("message %d came as %x", m.seq, m.body)
				}
			}
		}
	})
}

// A script says what happens to the messages and datagrams of one side, three
// bytes for each change.
type script []byte

// alter changes what a machine is about to send: first messages, before they are
// encrypted, so that the other end's parsers and states see them.
func (s *script) alter(m *machine) {
	for range 2 {
		if len(*s) < 3 || m.flight == nil || len(m.out) == 0 {
			return
		}
		which, how, what := (*s)[0], (*s)[1], (*s)[2]
		*s = (*s)[3:]
		out := m.flight.messages[int(which)%len(m.flight.messages)]
		switch how % 8 {
		case 0: // as it is
			return
		case 1:
			out.typ = what
		case 2:
			out.body = out.body[:int(what)%(len(out.body)+1)]
		case 3:
			out.body = append(slices.Clone(out.body), what)
		case 4:
			out.seq += uint16(what)
		case 5:
			out.epoch = uint64(what % 4)
		default:
			if len(out.body) > 0 {
				at := (int(what) * (1 + int(how)/8)) % len(out.body)
				out.body = slices.Clone(out.body)
				out.body[at] ^= 1 << (how % 7)
			}
		}
		m.out, m.flight.tries = nil, 0
		m.sendFlight()
	}
}

// damage changes datagrams.
func (s *script) damage(out [][]byte) {
	for _, d := range out {
		if len(*s) < 3 {
			return
		}
		at, how, what := (*s)[0], (*s)[1], (*s)[2]
		*s = (*s)[3:]
		if how%4 == 0 && len(d) > 0 {
			d[(int(at)*(1+int(how)/4))%len(d)] ^= what
		}
	}
}

// fuzzHandshake runs a handshake in which one end is altered, and returns the
// other. That must not fail but by an error, and must not complete with a peer
// whose messages were not those that it signed.
func fuzzHandshake(t *testing.T, n *network, evil, good *machine, changes []byte) {
	s := script(changes)
	n.client.start(n.now)
	for range 400 {
		s.alter(evil)
		s.damage(evil.out)
		if !n.step() {
			break
		}
		if good.err != nil {
			break
		}
		if len(good.out) > 64 || len(good.data) > maxData || len(good.early.records) > earlyRecords || good.asm.bytes > aheadBytes ||
			len(good.acks) > maxReceived {
			t.Fatal("memory without bound")
		}
	}
	if good.err == nil && good.done && good.state.PeerCertificate == nil {
		t.Error("completed without a certificate")
	}
}

func fuzzSeeds(f *testing.F) {
	for i := range byte(16) {
		f.Add([]byte{i, 1 + i, 3, 0, 4, 1, i, 2, 9, 1, 6, 200}, i)
		f.Add([]byte{0, 0, 0, i, i % 8, 2, 0, 0, 0, i, 8 + i, 77, i, 7, 5}, i+1)
	}
}

// ends are the configurations that a fuzz target draws from.
func ends(f *testing.F) []Config {
	return []Config{testConfig(f, Chromium()), testConfig(f, Firefox()), only12(testConfig(f, Chromium())), only12(testConfig(f, Firefox()))}
}

// The server, towards a client whose messages and datagrams are changed.
func FuzzServer(f *testing.F) {
	all := ends(f)
	fuzzSeeds(f)
	f.Fuzz(func(t *testing.T, changes []byte, which byte) {
		cryptotest.SetGlobalRandom(t, 1)
		n := newNetwork(all[which%4], all[which/4%4])
		if which&16 != 0 {
			n.client.p.shares = []uint16{groupP384} // The server asks for another.
		}
		fuzzHandshake(t, n, n.client, n.server, changes)
	})
}

// The client, towards such a server.
func FuzzClient(f *testing.F) {
	all := ends(f)
	fuzzSeeds(f)
	f.Fuzz(func(t *testing.T, changes []byte, which byte) {
		cryptotest.SetGlobalRandom(t, 1)
		n := newNetwork(all[which%4], all[which/4%4])
		if which&16 != 0 {
			n.server.p.groups = []uint16{groupP256}
		}
		fuzzHandshake(t, n, n.server, n.client, changes)
	})
}
