package webext

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"flurry/test/browsers"
	"flurry/test/stage"
)

// carriedFile goes each way over each carrier, in bytes.
const carriedFile = 5_000_000

// TestWebTransport has a volunteer reach a relay whose URL asks for WebTransport, then the same one where UDP does not get
// through, which they reach by the WebSocket beside it.
func TestWebTransport(t *testing.T) {
	forEach(t, func(ctx context.Context, t *testing.T, kind browsers.Kind) {
		c := newCertificate(t)
		w := newWorldWith(ctx, t, "https", stage.Options{RelayScheme: "https",
			ServerArgs: []string{"-disable-tls=false", "-cert=" + c.file, "-key=" + c.keyFile, "-webtransport"}})
		udp := newUDPFront(t, w)
		config := w.config()
		config.CertificateHashes = []string{c.hash}
		v := prepareVolunteer(ctx, t, kind, writeTestBuild(t, kind, config))
		v.trust(c, w.relay.ln.Addr().String())
		v.start()
		v.switchOn()
		help := func() (tcp, datagrams int64) {
			beforeTCP, beforeUDP := w.relay.accepted.Load(), udp.bytes.Load()
			client := w.startClient(ctx, t)
			carry(ctx, t, client, carriedFile)
			stopClient(t, client)
			v.await("of nobody now", func(n shown) bool { return n.Now == 0 })
			return w.relay.accepted.Load() - beforeTCP, udp.bytes.Load() - beforeUDP
		}
		if tcp, datagrams := help(); tcp != 0 || datagrams < 2*carriedFile {
			t.Errorf("%d TCP connections and %d bytes in UDP, want all of it in UDP", tcp, datagrams)
		}
		udp.close()
		if tcp, datagrams := help(); tcp == 0 || datagrams != 0 {
			t.Errorf("%d TCP connections and %d bytes in UDP, want nothing in UDP", tcp, datagrams)
		}
	})
}

// A certificate is the relay's. Browsers take it for WebTransport if they are told its hash: it is of a curve, and for less than
// two weeks.
type certificate struct {
	file, keyFile string // in PEM
	der, key      []byte // the certificate, and its public key
	hash          string // SHA-256 in base64
}

func newCertificate(t testing.TB) *certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(7 * 24 * time.Hour)}
	c := &certificate{}
	if c.der, err = x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key); err != nil {
		t.Fatal(err)
	}
	if c.key, err = x509.MarshalPKIXPublicKey(&key.PublicKey); err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(c.der)
	c.hash = base64.StdEncoding.EncodeToString(sum[:])
	dir := t.TempDir()
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	c.file, c.keyFile = write("cert.pem", "CERTIFICATE", c.der), write("key.pem", "EC PRIVATE KEY", private)
	return c
}

// trust has the browser take a certificate at host:port for TLS over TCP, too. It must not have been started.
func (v *volunteer) trust(c *certificate, address string) {
	v.t.Helper()
	key := sha256.Sum256(c.key)
	v.flags = append(v.flags, "--ignore-certificate-errors-spki-list="+base64.StdEncoding.EncodeToString(key[:]))
	sum := sha256.Sum256(c.der)
	var pairs []string
	for _, b := range sum {
		pairs = append(pairs, fmt.Sprintf("%02X", b))
	}
	override := fmt.Sprintf("# PSM Certificate Override Settings file\n%s:\tOID.2.16.840.1.101.3.4.2.1\t%s\t\n", address,
		strings.Join(pairs, ":"))
	if err := os.WriteFile(filepath.Join(v.profile, "cert_override.txt"), []byte(override), 0o600); err != nil {
		v.t.Fatal(err)
	}
}

// A udpFront stands before a relay's UDP port, at the number of the front for TCP, and counts bytes both ways.
type udpFront struct {
	conn  *net.UDPConn
	to    *net.UDPAddr
	bytes atomic.Int64

	group sync.WaitGroup
	once  sync.Once

	// guarded by mu
	mu     sync.Mutex
	closed bool
	back   map[string]*net.UDPConn // to the relay, by the volunteer's address
}

func newUDPFront(t testing.TB, w *world) *udpFront {
	t.Helper()
	u, err := url.Parse(w.RelayURL())
	if err != nil {
		t.Fatal(err)
	}
	to, err := net.ResolveUDPAddr("udp4", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	at := w.relay.ln.Addr().(*net.TCPAddr)
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: at.IP, Port: at.Port})
	if err != nil {
		t.Fatal(err)
	}
	f := &udpFront{conn: conn, to: to, back: map[string]*net.UDPConn{}}
	f.group.Go(f.serve)
	t.Cleanup(f.close)
	return f
}

// close ends it: what is sent to the port now is refused.
func (f *udpFront) close() {
	f.once.Do(func() {
		f.mu.Lock()
		f.closed = true
		f.conn.Close()
		for _, r := range f.back {
			r.Close()
		}
		f.mu.Unlock()
		f.group.Wait()
	})
}

func (f *udpFront) serve() {
	b := make([]byte, 1<<16)
	for {
		n, from, err := f.conn.ReadFromUDP(b)
		if err != nil {
			return
		}
		if r := f.relayOf(from); r != nil {
			f.bytes.Add(int64(n))
			r.Write(b[:n]) //nolint:errcheck // A datagram may be lost.
		}
	}
}

// relayOf is the connection to the relay for a volunteer's address; nil if there can be none.
func (f *udpFront) relayOf(from *net.UDPAddr) *net.UDPConn {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r := f.back[from.String()]; r != nil || f.closed {
		return r
	}
	r, err := net.DialUDP("udp4", nil, f.to)
	if err != nil {
		return nil
	}
	f.back[from.String()] = r
	f.group.Go(func() {
		b := make([]byte, 1<<16)
		for {
			n, err := r.Read(b)
			if err != nil {
				return
			}
			f.bytes.Add(int64(n))
			f.conn.WriteToUDP(b[:n], from) //nolint:errcheck // A datagram may be lost.
		}
	})
	return r
}
