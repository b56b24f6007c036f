package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"flurry/common/safelog"
)

// writeCertificate makes a self-signed certificate and returns its PEM blocks.
func writeCertificate(t *testing.T, serial int64, name string) (cert, key []byte) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial),
		DNSNames:     []string{name},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(90 * 24 * time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER})
}

// serialAt connects and says which certificate it is shown.
func serialAt(t *testing.T, addr string) int64 {
	t.Helper()
	c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}

func writeFile(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestCertificateFiles(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	write := func(serial int64) {
		cert, key := writeCertificate(t, serial, "snowflake.example")
		writeFile(t, certFile, cert)
		writeFile(t, keyFile, key)
	}
	write(1)
	addr, log := freeAddr(t), filepath.Join(dir, "log")
	p := start(t, torEnv(addr, "127.0.0.1:2"), "-cert", certFile, "-key", keyFile, "-log", log)
	if got, want := p.until(t, "SMETHODS DONE")[2], "SMETHOD snowflake "+addr+" ARGS:tls=yes"; got != want {
		t.Errorf("said %q, want %q", got, want)
	}
	if got := serialAt(t, addr); got != 1 {
		t.Errorf("certificate %d, want 1", got)
	}

	write(2)
	hup := func() {
		if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	hup()
	eventually(t, "the new certificate", func() bool { return serialAt(t, addr) == 2 })

	writeFile(t, certFile, []byte("not a certificate"))
	hup()
	eventually(t, "a line about the bad certificate", func() bool {
		text, _ := os.ReadFile(log)
		return strings.Contains(string(text), "certificate not reloaded")
	})
	if got := serialAt(t, addr); got != 2 {
		t.Errorf("certificate %d after a bad file, want 2", got)
	}
	p.stdin.Close()
	if _, code := p.exit(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// eventually polls for what has no event to wait for.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(testLimit)
	for !ok() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("%s: not yet", what)
		}
	}
}

func TestMissingCertificateFile(t *testing.T) {
	p := start(t, torEnv(freeAddr(t), "127.0.0.1:2"), "-cert", "/nonexistent/cert", "-key", "/nonexistent/key")
	if got := p.until(t, "SMETHODS DONE")[2]; !strings.HasPrefix(got, "SMETHOD-ERROR snowflake load certificate: ") {
		t.Errorf("said %q", got)
	}
}

// With a valid certificate in the cache no authority is asked.
func TestACMECache(t *testing.T) {
	state := t.TempDir()
	const name = "snowflake.example"
	cert, key := writeCertificate(t, 77, name)
	cache := filepath.Join(state, cacheName)
	if err := os.Mkdir(cache, 0o700); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(cache, name), append(key, cert...))

	o := options{acmeHostnames: []string{name, "other.example"}}
	m := newACME(o, state, safelog.Discard())
	l, err := tls.Listen("tcp", "127.0.0.1:0", acmeConfig(m))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.(*tls.Conn).Handshake()
			c.Close()
		}
	}()
	c, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{InsecureSkipVerify: true, ServerName: name})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := c.ConnectionState().PeerCertificates[0].SerialNumber.Int64(); got != 77 {
		t.Errorf("certificate %d, want the cached one, 77", got)
	}
	if got := serialOverQUIC(t, acmeConfig(m), name); got != 77 {
		t.Errorf("certificate %d over QUIC, want the cached one, 77", got)
	}
	if c, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{InsecureSkipVerify: true, ServerName: "stranger.example"}); err == nil {
		c.Close()
		t.Error("a name that was not configured got a certificate")
	}
	if got, want := smethodArgs(o), "tls=yes,hostname=snowflake.example,hostname=other.example"; got != want {
		t.Errorf("ARGS are %q, want %q", got, want)
	}
}

func TestNoStateLocationWarns(t *testing.T) {
	var log strings.Builder
	m := newACME(options{}, "", slog.New(safelog.NewHandler(&log, safelog.Options{})))
	if m.Cache != nil || strings.Count(log.String(), "\n") != 1 {
		t.Errorf("cache %v, log %q; want none and one warning", m.Cache, log.String())
	}
}

func TestChallengeResponder(t *testing.T) {
	m := newACME(options{acmeHostnames: []string{"snowflake.example"}}, t.TempDir(), safelog.Discard())
	_, port, _ := net.SplitHostPort(freeAddr(t))
	n, err := net.LookupPort("tcp", port)
	if err != nil {
		t.Fatal(err)
	}
	r, err := startResponder(t.Context(), m, net.IPv4(127, 0, 0, 1), n, safelog.Discard())
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	request, _ := http.NewRequest("GET", "http://127.0.0.1:"+port+"/.well-known/acme-challenge/unknown", nil)
	request.Host = "snowflake.example"
	response, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, response.Body)
	response.Body.Close()
	if response.StatusCode != http.StatusNotFound {
		t.Errorf("status %d for an unknown challenge, want 404", response.StatusCode)
	}
	if _, err := startResponder(t.Context(), m, net.IPv4(127, 0, 0, 1), n, safelog.Discard()); err == nil {
		t.Error("the port was bound twice")
	}
	r.stop()
	if c, err := net.Dial("tcp", "127.0.0.1:"+port); err == nil {
		c.Close()
		t.Error("the responder is still there")
	}
}
