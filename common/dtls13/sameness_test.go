package dtls13

import (
	"bytes"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
)

// captured is what a browser has been seen to send.
type captured struct {
	ClientHello          string `json:"client_hello"`
	ClientHelloRecords   []int  `json:"client_hello_records"`
	ServerHello13        string `json:"server_hello_13"`
	EncryptedExtensions  string `json:"encrypted_extensions"`
	CertificateRequest13 string `json:"certificate_request_13"`
	ServerHello12        string `json:"server_hello_12"`
	CertificateRequest12 string `json:"certificate_request_12"`
	RetransmitMS         []int  `json:"retransmit_ms"`
	CertificateLen       []int  `json:"certificate_len"`
}

func loadCaptured(t *testing.T, p Profile) (c captured) {
	t.Helper()
	name := map[string]string{"chromium": "chromium-156.json", "firefox": "firefox-esr-153.json"}[p.name]
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err == nil {
		err = json.Unmarshal(b, &c)
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// normalised is the hex of a hello's body with what is random set to zero, and
// with its extensions in the order of their numbers if sorted.
func normalised(t *testing.T, body []byte, server, sorted bool) string {
	t.Helper()
	b := bytes.Clone(body)
	clear(b[2:34])
	s := cryptobyte.String(b[34:])
	var session, skip, block cryptobyte.String
	ok := s.ReadUint8LengthPrefixed(&session)
	clear(session)
	if server {
		ok = ok && s.Skip(3)
	} else {
		ok = ok && s.ReadUint8LengthPrefixed(&skip) && s.ReadUint16LengthPrefixed(&skip) && s.ReadUint8LengthPrefixed(&skip)
	}
	at := len(b) - len(s) + 2
	if !ok || !s.ReadUint16LengthPrefixed(&block) || !s.Empty() {
		t.Fatalf("not a hello: %x", body)
	}
	extensions, ok := extensionList(block)
	if !ok {
		t.Fatalf("not a hello: %x", body)
	}
	if sorted {
		slices.SortFunc(extensions, func(a, b extension) int { return int(a.id) - int(b.id) })
	}
	var out cryptobyte.Builder
	out.AddBytes(b[:at])
	for _, e := range extensions {
		if e.id == extKeyShare {
			zeroShares(e.body, server)
		}
		addExtension(&out, e.id, func(b *cryptobyte.Builder) { b.AddBytes(e.body) })
	}
	return hex.EncodeToString(out.BytesOrPanic())
}

func zeroShares(s cryptobyte.String, server bool) {
	if !server {
		s.Skip(2)
	}
	for !s.Empty() {
		var data cryptobyte.String
		s.Skip(2)
		s.ReadUint16LengthPrefixed(&data)
		clear(data)
	}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestClientHelloIsBrowsers(t *testing.T) {
	for _, p := range profiles() {
		t.Run(p.name, func(t *testing.T) {
			c := loadCaptured(t, p)
			want := normalised(t, unhex(t, c.ClientHello), false, p.permute)
			orders := map[string]bool{}
			for range 8 {
				m := newMachine(testConfig(t, p), true, epochStart)
				m.start(epochStart)
				body := m.flight.messages[0].body
				if got := normalised(t, body, false, p.permute); got != want {
					t.Fatalf("hello is\n%s\nwant\n%s", got, want)
				}
				orders[normalised(t, body, false, false)] = true
				var records []int
				for i, d := range m.out {
					h, body, rest, ok := cutPlain(d)
					if !ok || len(rest) > 0 || h.version != recordVersion10 || h.seq != uint64(i) {
						t.Errorf("datagram %d begins %x", i, d[:plainHeaderSize])
					}
					records = append(records, len(body))
				}
				if !slices.Equal(records, c.ClientHelloRecords) {
					t.Errorf("records of %v bytes, want %v", records, c.ClientHelloRecords)
				}
			}
			if permuted := len(orders) > 1; permuted != p.permute {
				t.Errorf("%d orders of extensions in 8 hellos", len(orders))
			}
		})
	}
}

// messagesOf makes a handshake and returns the bodies of the server's first flight.
func messagesOf(t *testing.T, client, server Config) map[uint8][]byte {
	t.Helper()
	n := newNetwork(client, server)
	n.client.start(n.now)
	for n.server.flight == nil && n.step() {
	}
	bodies := map[uint8][]byte{}
	for _, m := range n.server.flight.messages {
		bodies[m.typ] = m.body
	}
	return bodies
}

func TestServerIsBrowsers(t *testing.T) {
	for _, p := range profiles() {
		t.Run(p.name, func(t *testing.T) {
			c := loadCaptured(t, p)
			// What was captured is the answer to Chromium's hello, in 1.2 to pion's.
			client, server := testConfig(t, Chromium()), testConfig(t, p)
			m := messagesOf(t, client, server)
			for what, pair := range map[string][2]string{
				"ServerHello":         {normalised(t, m[msgServerHello], true, false), normalised(t, unhex(t, c.ServerHello13), true, false)},
				"EncryptedExtensions": {hex.EncodeToString(m[msgEncryptedExtensions]), c.EncryptedExtensions},
				"CertificateRequest":  {hex.EncodeToString(m[msgCertificateRequest]), c.CertificateRequest13},
			} {
				if pair[0] != pair[1] {
					t.Errorf("%s is\n%s\nwant\n%s", what, pair[0], pair[1])
				}
			}
			m = messagesOf(t, only12(client), server)
			if got, want := normalised(t, m[msgServerHello], true, false), normalised(t, unhex(t, c.ServerHello12), true, false); got != want {
				t.Errorf("ServerHello of 1.2 is\n%s\nwant\n%s", got, want)
			}
			if tail := m[msgServerHello][26:34]; string(tail) != downgraded {
				t.Errorf("the random of 1.2 ends %x", tail)
			}
			if got := hex.EncodeToString(m[msgCertificateRequest]); got != c.CertificateRequest12 {
				t.Errorf("CertificateRequest of 1.2 is %s, want %s", got, c.CertificateRequest12)
			}
		})
	}
}

// A Firefox server tells a Firefox client more, as seen in a call with one.
func TestFirefoxToFirefox(t *testing.T) {
	const want = "002e000a000e000c11ec001d001700180100010100100009000706776562727463001c00024001000e00050002000700"
	m := messagesOf(t, testConfig(t, Firefox()), testConfig(t, Firefox()))
	if got := hex.EncodeToString(m[msgEncryptedExtensions]); got != want {
		t.Errorf("EncryptedExtensions are %s, want %s", got, want)
	}
}

// The datagrams of a handshake have the lengths of the browser's, but for those
// with a certificate and a signature, which vary by some bytes.
func TestDatagramsAreBrowsers(t *testing.T) {
	type size struct{ min, max int }
	exact := func(n int) size { return size{n, n} }
	const varies = 5
	around := func(n int) size { return size{n - varies, n + varies} }
	for _, c := range []struct {
		client, server Profile
		want           []size
	}{
		{Chromium(), Chromium(), []size{exact(1200), exact(263), exact(1199), around(518), around(456), exact(40)}},
		{Chromium(), Firefox(), []size{exact(1200), exact(263), exact(1417), around(487), around(456), exact(40)}},
		{Firefox(), Chromium(), []size{exact(1408), exact(103), exact(1199), around(518), around(549), exact(72)}},
		{Firefox(), Firefox(), []size{exact(1408), exact(103), exact(1417), around(510), around(549), exact(72)}},
	} {
		t.Run(c.client.name+" to "+c.server.name, func(t *testing.T) {
			n := newNetwork(testConfig(t, c.client), testConfig(t, c.server))
			if !n.run() || len(n.log) != len(c.want) {
				t.Fatalf("%d datagrams, want %d", len(n.log), len(c.want))
			}
			for i, p := range n.log {
				if l := len(p.data); l < c.want[i].min || l > c.want[i].max {
					t.Errorf("datagram %d has %d bytes, want %v", i, l, c.want[i])
				}
			}
		})
	}
}

// In 1.2 each message has a record, and a flight one datagram, as seen in calls
// of both browsers with pion/dtls.
func TestDatagrams12AreBrowsers(t *testing.T) {
	eachPair(t, func(t *testing.T, client, server Config) {
		n := newNetwork(client, only12(server))
		n.run()
		want := [][]uint8{
			{22, 22, 22, 22, 22}, // ServerHello to ServerHelloDone
			{22, 22, 22, 20, 22}, // Certificate, key exchange, verify, change_cipher_spec, Finished
			{20, 22},
		}
		var got [][]uint8
		for _, p := range n.log[2:] {
			var types []uint8
			for rest := p.data; len(rest) > 0; {
				h, _, after, ok := cutPlain(rest)
				if !ok || h.version != recordVersion {
					t.Fatalf("record %x", rest[:plainHeaderSize])
				}
				types, rest = append(types, h.typ), after
			}
			got = append(got, types)
		}
		if !slices.EqualFunc(got, want, slices.Equal) {
			t.Errorf("records %v, want %v", got, want)
		}
	})
}

// Flights go again when the browser's do, and Firefox's come smaller after three
// timers.
func TestTimersAreBrowsers(t *testing.T) {
	for _, p := range profiles() {
		t.Run(p.name, func(t *testing.T) {
			m := newMachine(testConfig(t, p), true, epochStart)
			m.start(epochStart)
			now, first := epochStart, len(m.out[0])
			for i, ms := range loadCaptured(t, p).RetransmitMS {
				now = now.Add(time.Duration(ms) * time.Millisecond)
				if d := m.deadline(); !d.Equal(now) {
					t.Fatalf("timer %d ends after %v, want %d ms", i, d.Sub(now.Add(-time.Duration(ms)*time.Millisecond)), ms)
				}
				m.out = nil
				m.timeout(now)
				want := first
				if p.name == "firefox" && i >= 2 {
					want = 1188
				}
				if len(m.out) != 2 || len(m.out[0]) != want {
					t.Errorf("after timer %d: %d datagrams, the first of %d bytes", i, len(m.out), len(m.out[0]))
				}
			}
			for range 20 {
				m.timeout(m.deadline())
			}
			if m.err == nil || !m.deadline().IsZero() {
				t.Error("goes on for ever")
			}
		})
	}
}

func TestCertificateIsBrowsers(t *testing.T) {
	for _, p := range profiles() {
		t.Run(p.name, func(t *testing.T) {
			lens := loadCaptured(t, p).CertificateLen
			for range 20 {
				c, err := p.NewCertificate()
				if err != nil {
					t.Fatal(err)
				}
				// One byte in 256 leaves out a byte of the serial number or of the signature.
				if l := len(c.DER); l < lens[0]-3 || l > lens[len(lens)-1]+1 {
					t.Errorf("%d bytes, want one of %v", l, lens)
				}
				cert, err := x509.ParseCertificate(c.DER)
				if err != nil {
					t.Fatal(err)
				}
				if d := cert.NotAfter.Sub(cert.NotBefore); d != 31*24*time.Hour || len(cert.Extensions) != 0 {
					t.Errorf("valid for %v, %d extensions", d, len(cert.Extensions))
				}
				name := "CN=WebRTC"
				if p.name == "firefox" {
					if len(cert.Subject.CommonName) != 32 {
						t.Errorf("subject %v", cert.Subject)
					}
					name = "CN=" + cert.Subject.CommonName
				}
				if cert.Subject.String() != name || cert.Issuer.String() != name {
					t.Errorf("subject %v, issuer %v", cert.Subject, cert.Issuer)
				}
			}
		})
	}
}

// Over a long line Chromium waits for twice its round trip, as seen in calls with it; Firefox does not heed it.
func TestTimersOverALongLine(t *testing.T) {
	for _, c := range []struct {
		profile   Profile
		roundTrip time.Duration
		want      []time.Duration
	}{
		{Chromium(), 0, milliseconds(50, 100, 200)},
		{Chromium(), 20 * time.Millisecond, milliseconds(50, 100, 200)},
		{Chromium(), 100 * time.Millisecond, milliseconds(200, 400, 800)},
		{Chromium(), 5 * time.Second, milliseconds(3000, 6000, 12000)},
		{Firefox(), 100 * time.Millisecond, milliseconds(50, 100, 200)},
	} {
		cfg := testConfig(t, c.profile)
		cfg.RoundTrip = func() time.Duration { return c.roundTrip }
		m := newMachine(cfg, true, epochStart)
		m.start(epochStart)
		now := epochStart
		for i, want := range c.want {
			if got := m.deadline().Sub(now); got != want {
				t.Errorf("%s, %v: timer %d is %v, want %v", c.profile.Name(), c.roundTrip, i, got, want)
			}
			now = m.deadline()
			m.timeout(now)
		}
	}
}
