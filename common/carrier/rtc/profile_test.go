package rtc

import (
	"context"
	"crypto/x509"
	"encoding/hex"
	"net"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pion/sctp"
)

// Endpoints are different browsers, as often as these are used, and each keeps
// to one.
func TestProfilesAreRandom(t *testing.T) {
	counts := map[Profile]int{}
	const n = 5000
	for range n {
		counts[AnyBrowser.Pick()]++
	}
	if firefox := counts[Firefox]; counts[Chromium]+firefox != n || firefox < n*7/100 || firefox > n*13/100 {
		t.Errorf("%v", counts)
	}
	e := endpoint(t, Config{})
	first := e.Profile()
	if first != Chromium && first != Firefox {
		t.Errorf("an endpoint is %q", first)
	}
	for range 20 {
		p, err := e.newPeer()
		if err != nil {
			t.Fatal(err)
		}
		if len(p.local.ufrag) != e.look.ufragLen || e.Profile() != first {
			t.Errorf("%q of %q", p.local.ufrag, e.Profile())
		}
		p.close()
	}
	if _, err := New(Config{Profile: "safari"}); err == nil || !strings.Contains(err.Error(), "safari") {
		t.Errorf("an unknown profile: %v", err)
	}
}

func TestCertificates(t *testing.T) {
	for profile, c := range map[Profile]struct {
		name   string
		serial int // most bytes
		days   int
	}{
		Chromium: {`^CN=WebRTC$`, 8, 31},
		Firefox:  {`^CN=[0-9a-f]{32}$`, 4, 31},
		Pion:     {`^CN=WebRTC$`, 17, 30},
	} {
		made, err := newCertificate(profile)
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := x509.ParseCertificate(made.Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		days := int(parsed.NotAfter.Sub(parsed.NotBefore).Hours() / 24)
		if !regexp.MustCompile(c.name).MatchString(parsed.Subject.String()) || len(parsed.SerialNumber.Bytes()) > c.serial ||
			days < c.days-2 || days > c.days+1 || parsed.Issuer.String() != parsed.Subject.String() {
			t.Errorf("%s: %v, serial %v, %d days", profile, parsed.Subject, parsed.SerialNumber, days)
		}
		f, ok := parseFingerprint(fingerprintOf(made))
		if !ok || !f.matches(made.Certificate[0]) {
			t.Errorf("%s: fingerprint %v", profile, f)
		}
	}
}

// The packets of SCTP's handshake have a browser's sizes and contents; with the
// 22 bytes of DTLS 1.3 they make the datagrams that show.
func TestAssociationHandshake(t *testing.T) {
	for profile, c := range map[Profile]struct {
		sizes []int  // INIT, INIT-ACK, COOKIE-ECHO, COOKIE-ACK
		init  string // the chunk, where X differs
	}{
		Chromium: {[]int{44, 96, 64, 16}, "0100001eXXXXXXXX00500000ffffffffXXXXXXXXc00000048008000682c00000"},
		Firefox:  {[]int{44, 92, 60, 16}, "01000020XXXXXXXX01000000ffffffffXXXXXXXXc00000048008000882c040c2"},
		Pion:     {[]int{40, 76, 48, 16}, "0100001cXXXXXXXX00400000ffffffffXXXXXXXX8008000882c040c2"},
	} {
		e := endpoint(t, Config{Profile: profile})
		x, y := net.Pipe()
		a, b := &sizedConn{Conn: x}, &sizedConn{Conn: y}
		var opening sync.WaitGroup
		for _, c := range []*sizedConn{a, b} {
			opening.Go(func() {
				association, err := sctp.ClientContext(context.Background(), e.associationOptions(c, maxMessage)...)
				if err != nil {
					t.Error(err)
					return
				}
				c.association = association
			})
		}
		opening.Wait()
		for _, conn := range []*sizedConn{a, b} {
			for kind, size := range map[byte]int{1: c.sizes[0], 2: c.sizes[1], 10: c.sizes[2], 11: c.sizes[3]} {
				for _, p := range conn.packets() {
					if p[12] == kind && len(p) != size {
						t.Errorf("%s: chunk %d in a packet of %d bytes, want %d", profile, kind, len(p), size)
					}
				}
			}
			init := conn.packets()[0][12:]
			got := hex.EncodeToString(init)
			want := regexp.MustCompile("^" + strings.ReplaceAll(c.init, "X", ".") + "$")
			if !want.MatchString(got) {
				t.Errorf("%s: INIT %s", profile, got)
			}
		}
		seen := map[byte]bool{}
		for _, p := range append(a.packets(), b.packets()...) {
			seen[p[12]] = true
		}
		if !seen[1] || !seen[2] || !seen[10] { // and the COOKIE-ACK may be on its way
			t.Errorf("%s: chunks %v", profile, seen)
		}
		a.association.Close()
		b.association.Close()
	}
}

// A sizedConn keeps what is written.
type sizedConn struct {
	net.Conn
	association *sctp.Association

	mu  sync.Mutex
	all [][]byte
}

func (c *sizedConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	c.all = append(c.all, slices.Clone(p))
	c.mu.Unlock()
	return c.Conn.Write(p)
}

func (c *sizedConn) packets() [][]byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.all)
}

// A data channel's packets in bulk are as long as a browser's, and what is said
// to fit in one does.
func TestBulkPackets(t *testing.T) {
	for _, profile := range profiles {
		for _, kind := range []Kind{Reliable, Unordered} {
			a, b, tap := tappedPair(t, profile, kind)
			msg := make([]byte, 16<<10)
			if kind == Unordered {
				msg = msg[:onePacket]
				if profile == Chromium {
					msg = msg[:onePacket+4] // no I-DATA
				}
			}
			before := len(tap.packets())
			for range 20 {
				if err := a.Send(t.Context(), msg); err != nil {
					t.Fatal(err)
				}
			}
			for got, buf := 0, make([]byte, maxMessage); got < 20*len(msg); {
				n, err := b.Recv(buf)
				if err != nil {
					t.Fatal(err)
				}
				got += n
			}
			most, full := 0, 0
			for _, p := range tap.packets()[before:] {
				if classify(p.data) != dtlsPacket {
					continue
				}
				if len(p.data) > most {
					most, full = len(p.data), 0
				}
				if len(p.data) == most {
					full++
				}
			}
			if most != bulkDatagram(profile) || full < 20 {
				t.Errorf("%s, %s: %d datagrams of %d bytes", profile, kind, full, most)
			}
			a.Close()
			b.Close()
		}
	}
}

// bulkDatagram is 1188 bytes of SCTP with what DTLS adds.
func bulkDatagram(p Profile) int {
	if p == Pion {
		return browserMTU + 13 + 8 + 16 // header, nonce and tag of DTLS 1.2
	}
	return 1210
}

func tappedPair(t *testing.T, profile Profile, kind Kind) (a, b *Conn, tap *tapNet) {
	t.Helper()
	n, err := newRoomyNet()
	if err != nil {
		t.Fatal(err)
	}
	tap = &tapNet{Net: n}
	a, b = pairOf(t, Config{KeepLocalAddresses: true, Profile: profile, Net: tap}, Config{KeepLocalAddresses: true, Profile: profile},
		func(string) Kind { return kind })
	return a, b, tap
}
