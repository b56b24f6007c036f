package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"flurry/common/carrier/wt"
	"flurry/server/snowserver"
)

// wtDial opens a WebTransport session and says which certificate it was shown.
func wtDial(t *testing.T, addr, query string) (*wt.Conn, int64) {
	t.Helper()
	return wtDialName(t, addr, query, "")
}

// wtDialName does so and asks for a certificate of that name.
func wtDialName(t *testing.T, addr, query, name string) (*wt.Conn, int64) {
	t.Helper()
	var serial int64
	u := &url.URL{Scheme: "https", Host: addr, Path: "/", RawQuery: query}
	c, err := wt.Dial(t.Context(), u, wt.DialOptions{HandshakeTimeout: testLimit, TLSConfig: &tls.Config{
		ServerName:         name,
		InsecureSkipVerify: true,
		VerifyPeerCertificate: func(certs [][]byte, _ [][]*x509.Certificate) error {
			c, err := x509.ParseCertificate(certs[0])
			if err == nil {
				serial = c.SerialNumber.Int64()
			}
			return err
		},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return c, serial
}

// serialOverQUIC serves with config and says which certificate is shown for name.
func serialOverQUIC(t *testing.T, config *tls.Config, name string) int64 {
	t.Helper()
	l, err := snowserver.Listen(t.Context(), snowserver.Config{Addr: "127.0.0.1:0", TLSConfig: config, WebTransport: true})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, serial := wtDialName(t, l.Addr().String(), "", name)
	c.Close()
	return serial
}

// A client's stream goes by WebTransport to a web site behind the program, with
// certificates from files that are renewed meanwhile, until the program is ended.
func TestWebTransportEndToEnd(t *testing.T) {
	page := make([]byte, 2<<20)
	for i := range page {
		page[i] = byte(i >> 8)
	}
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write(page) }))
	defer site.Close()
	dir := t.TempDir()
	certFile, keyFile, log := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), filepath.Join(dir, "log")
	write := func(serial int64) {
		cert, key := writeCertificate(t, serial, "snowflake.example")
		writeFile(t, certFile, cert)
		writeFile(t, keyFile, key)
	}
	write(1)
	addr := freeAddr(t)
	p := start(t, torEnv(addr, site.Listener.Addr().String()), "-webtransport", "-cert", certFile, "-key", keyFile, "-log", log)
	p.until(t, "SMETHODS DONE")

	c, serial := wtDial(t, addr, "client_ip=192.0.2.1")
	if serial != 1 {
		t.Errorf("certificate %d, want 1", serial)
	}
	stream := clientOver(t, c)
	transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return stream, nil }}
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: transport, Timeout: testLimit}).Get("http://site.example/")
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(response.Body)
	if err != nil || sha256.Sum256(got) != sha256.Sum256(page) {
		t.Errorf("got %d bytes of %d, %v", len(got), len(page), err)
	}

	write(2)
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the new certificate", func() bool {
		c, serial := wtDial(t, addr, "")
		c.Close()
		return serial == 2
	})
	if serialAt(t, addr) != 2 { // the WebSocket's
		t.Error("two certificates at a time")
	}

	c, _ = wtDial(t, addr, "")
	idle := clientOver(t, c)
	io.WriteString(idle, "HEAD / HTTP/1.1\r\nHost: site.example\r\n\r\n")
	expect(t, idle, "HTTP/1.1 200 OK\r\n")
	p.stdin.Close()
	if _, err := io.Copy(io.Discard, idle); err != nil {
		t.Errorf("the stream ended with %v", err)
	}
	if _, code := p.exit(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
	text, err := os.ReadFile(log)
	if err != nil || !bytes.Contains(text, []byte("webtransport=true")) {
		t.Errorf("the log is %q, %v", text, err)
	}
	for _, address := range []string{"127.0.0.1", "192.0.2.1"} {
		if strings.Contains(string(text)+p.stderr.String(), address) {
			t.Errorf("%s is in the log %q, or in %q", address, text, &p.stderr)
		}
	}
}

// A port that is taken is told to tor, be it only that of UDP.
func TestWebTransportPortTaken(t *testing.T) {
	busy, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	dir := t.TempDir()
	cert, key := writeCertificate(t, 1, "snowflake.example")
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writeFile(t, certFile, cert)
	writeFile(t, keyFile, key)
	addr := busy.LocalAddr().String()
	p := start(t, torEnv(addr, "127.0.0.1:2"), "-webtransport", "-cert", certFile, "-key", keyFile)
	if got, want := p.until(t, "SMETHODS DONE")[2], "SMETHOD-ERROR snowflake listen udp "+addr; !strings.HasPrefix(got, want) {
		t.Errorf("said %q, want %q", got, want)
	}
}
