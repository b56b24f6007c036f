package covert

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"net"
	"reflect"
	"slices"
	"testing"

	utls "github.com/refraction-networking/utls"
	"golang.org/x/crypto/cryptobyte"

	"flurry/common/covert/coverttest"
)

// A helloShape is a ClientHello without what differs between two hellos of the
// same browser: random values, key shares and GREASE.
type helloShape struct {
	record, version uint16
	sessionID       int
	ciphers         []uint16
	compression     []byte
	extensions      []uint16
	bodies          map[uint16][]byte
}

// parseHello takes a hello from its TLS record.
func parseHello(t *testing.T, record []byte) helloShape {
	t.Helper()
	h := helloShape{bodies: make(map[uint16][]byte)}
	s := cryptobyte.String(record)
	var kind uint8
	var body, session, ciphers, compression, extensions cryptobyte.String
	var random []byte
	if !s.ReadUint8(&kind) || kind != 22 || !s.ReadUint16(&h.record) || !s.Skip(2) ||
		!s.ReadUint8(&kind) || kind != 1 || !s.ReadUint24LengthPrefixed(&body) ||
		!body.ReadUint16(&h.version) || !body.ReadBytes(&random, 32) ||
		!body.ReadUint8LengthPrefixed(&session) || !body.ReadUint16LengthPrefixed(&ciphers) ||
		!body.ReadUint8LengthPrefixed(&compression) || !body.ReadUint16LengthPrefixed(&extensions) {
		t.Fatalf("not a ClientHello: %x", record)
	}
	h.sessionID = len(session)
	h.compression = compression
	for !ciphers.Empty() {
		var id uint16
		ciphers.ReadUint16(&id)
		h.ciphers = append(h.ciphers, withoutGREASE(id))
	}
	for !extensions.Empty() {
		var id uint16
		var data cryptobyte.String
		if !extensions.ReadUint16(&id) || !extensions.ReadUint16LengthPrefixed(&data) {
			t.Fatal("bad extension")
		}
		id = withoutGREASE(id)
		h.extensions = append(h.extensions, id)
		h.bodies[id] = normalized(id, data)
	}
	return h
}

const grease = 0x0a0a

func withoutGREASE(id uint16) uint16 {
	if id>>8 == id&0xff && id&0x0f == 0x0a {
		return grease
	}
	return id
}

// normalized replaces the parts of an extension that are drawn per connection.
func normalized(id uint16, data []byte) []byte {
	out := slices.Clone(data)
	switch id {
	case 0: // server name: compared elsewhere
		return nil
	case 10, 43: // groups and versions: 16-bit lists after a length
		start := map[uint16]int{10: 2, 43: 1}[id]
		for i := start; i+1 < len(out); i += 2 {
			binary.BigEndian.PutUint16(out[i:], withoutGREASE(binary.BigEndian.Uint16(out[i:])))
		}
	case 51: // key shares: group, length, key
		for i := 2; i+4 <= len(out); {
			binary.BigEndian.PutUint16(out[i:], withoutGREASE(binary.BigEndian.Uint16(out[i:])))
			n := int(binary.BigEndian.Uint16(out[i+2:]))
			clear(out[i+4 : i+4+n])
			i += 4 + n
		}
	case 0xfe0d: // GREASE ECH: its length is drawn from a few
		return nil
	case 21: // padding follows the rest's length
		return nil
	}
	return out
}

// reference makes the hello of id with uTLS alone.
func reference(t *testing.T, id utls.ClientHelloID, server string) helloShape {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	records := make(chan []byte, 1)
	served := make(chan struct{})
	go func() {
		defer close(served)
		c, err := coverttest.Record(l, func(b []byte) { records <- b }).Accept()
		if err != nil {
			return
		}
		_ = tls.Server(c, &tls.Config{}).HandshakeContext(context.Background()) // fails: no certificate
		_ = c.Close()
	}()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	u := utls.UClient(c, &utls.Config{ServerName: server}, id)
	if err := u.Handshake(); err == nil {
		t.Fatal("a handshake without a certificate")
	}
	_ = u.Close()
	<-served
	return parseHello(t, <-records)
}

// ours makes the hello of a Transport.
func ours(t *testing.T, name, server string, noSNI bool) helloShape {
	t.Helper()
	ca := coverttest.NewCA(t)
	s := coverttest.NewServer(t, ca.Certificate(t, server), true, nil)
	tr := newTransport(t, ca, s.Addr(), Options{Hello: name, NoSNI: noSNI})
	if _, _, err := post(t, tr, "https://"+server+"/", nil); err != nil {
		t.Fatal(err)
	}
	return parseHello(t, s.Hellos()[0])
}

// The hello of every browser's name is uTLS's own for that browser, and not Go's.
func TestHelloIsTheBrowsers(t *testing.T) {
	ordinary := ours(t, Ordinary, "front.example", false)
	for name, h := range hellos() {
		if h.randomized || h.ordinary || h.build != nil {
			continue // for the last see test/browser
		}
		t.Run(name, func(t *testing.T) {
			got, want := ours(t, name, "front.example", false), reference(t, h.id, "front.example")
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
			if reflect.DeepEqual(got.ciphers, ordinary.ciphers) {
				t.Error("the ciphers are those of crypto/tls")
			}
		})
	}
}

// Without SNI the rest of the hello stays.
func TestHelloWithoutSNI(t *testing.T) {
	for _, name := range []string{"hellofirefox_65", "helloios_auto", "hellochrome_72"} {
		h, _ := lookupHello(name)
		got, want := ours(t, name, "front.example", true), reference(t, h.id, "front.example")
		want.extensions = slices.DeleteFunc(want.extensions, func(id uint16) bool { return id == 0 })
		delete(want.bodies, 0)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got  %+v\nwant %+v", name, got, want)
		}
	}
}

// Randomized hellos differ from connection to connection and from Go's.
func TestHelloRandomized(t *testing.T) {
	ordinary := ours(t, Ordinary, "front.example", false)
	for _, name := range []string{"hellorandomizedalpn", "hellorandomizednoalpn"} {
		seen := make(map[string]bool)
		for range 8 {
			h := ours(t, name, "front.example", false)
			if hasALPN := slices.Contains(h.extensions, 16); hasALPN != (name == "hellorandomizedalpn") {
				t.Errorf("%s: ALPN %v", name, hasALPN)
			}
			if reflect.DeepEqual(h.ciphers, ordinary.ciphers) {
				t.Errorf("%s: the ciphers are those of crypto/tls", name)
			}
			seen[fmt.Sprint(h.ciphers, h.extensions)] = true
		}
		if len(seen) < 4 {
			t.Errorf("%s: only %d different hellos of 8", name, len(seen))
		}
	}
}

// Hardly any randomized hello fails, even with a server that prefers the hybrid
// group and asks for its share: no connection is dialled twice.
func TestHelloRandomizedWorksAtOnce(t *testing.T) {
	ca := coverttest.NewCA(t)
	cert := ca.Certificate(t, "front.example")
	const n = 100
	failed := 0
	for range n {
		s := coverttest.NewServer(t, cert, true, nil)
		tr := newTransport(t, ca, s.Addr(), Options{Hello: "hellorandomizedalpn"})
		if _, _, err := post(t, tr, "https://front.example/", nil); err != nil {
			t.Fatal(err)
		}
		failed += len(s.Hellos()) - 1
		_ = tr.Close()
		s.Stop()
	}
	if failed > n/10 {
		t.Errorf("%d hellos failed besides %d that worked", failed, n)
	}
}

// A hello that offers HTTP/2 has a suite for it, for either kind of certificate.
func TestCoherentSuites(t *testing.T) {
	const cbc = utls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA
	const ecdsa, rsa = utls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, utls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256
	h2, h1 := []string{"h2", "http/1.1"}, []string{"http/1.1"}
	for _, c := range []struct {
		suites    []uint16
		protocols []string
		want      bool
	}{
		{[]uint16{cbc, ecdsa, rsa}, h2, true},
		{[]uint16{cbc, rsa}, h2, false}, // a server with a key for ECDSA takes cbc
		{[]uint16{cbc, ecdsa}, h2, false},
		{[]uint16{cbc}, h1, true},
		{nil, h2, false},
	} {
		if got := coherent(c.suites, []utls.TLSExtension{&utls.ALPNExtension{AlpnProtocols: c.protocols}}); got != c.want {
			t.Errorf("%x with %q: %v, want %v", c.suites, c.protocols, got, c.want)
		}
	}
}
