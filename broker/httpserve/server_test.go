package httpserve

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"flurry/common/safelog"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newCertificate writes a self-signed certificate for 127.0.0.1 and returns
// what trusts it.
func newCertificate(t *testing.T, certFile, keyFile string, serial int64) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial),
		Subject:      pkix.Name{CommonName: "test"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for file, text := range map[string][]byte{certFile: cert, keyFile: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})} {
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(cert)
	return pool
}

// start serves h with o until the test ends or stop is called.
func start(t *testing.T, o Options, h http.Handler, atEnd func()) (s *Server, stop func() error) {
	t.Helper()
	s, err := Listen(o, h, safelog.Discard())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, atEnd) }()
	stop = func() error {
		cancel()
		err := <-done
		done <- err
		return err
	}
	t.Cleanup(func() { stop() })
	return s, stop
}

func hello(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "hello by ", r.Proto) }

func TestPlain(t *testing.T) {
	s, stop := start(t, Options{Addr: "127.0.0.1:0", DisableTLS: true}, http.HandlerFunc(hello), func() {})
	client := &http.Client{Transport: &http.Transport{}}
	resp, err := client.Get("http://" + s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if string(body) != "hello by HTTP/1.1" {
		t.Errorf("got %q", body)
	}
	if err := s.Reload(); err != nil {
		t.Error(err)
	}
	client.CloseIdleConnections()
	if err := stop(); err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("tcp", s.Addr().String()); err == nil {
		t.Error("still listening after the end")
	}
}

// TestCertificateFiles serves HTTP/2 with a certificate that is renewed on
// Reload, and kept when the new one is bad.
func TestCertificateFiles(t *testing.T) {
	dir := t.TempDir()
	o := Options{Addr: "127.0.0.1:0", CertFile: filepath.Join(dir, "cert"), KeyFile: filepath.Join(dir, "key")}
	roots := newCertificate(t, o.CertFile, o.KeyFile, 1)
	s, _ := start(t, o, http.HandlerFunc(hello), func() {})
	get := func(roots *x509.CertPool) (serial int64, body string, err error) {
		tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
		defer tr.CloseIdleConnections()
		resp, err := (&http.Client{Transport: tr}).Get("https://" + s.Addr().String())
		if err != nil {
			return 0, "", err
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		return resp.TLS.PeerCertificates[0].SerialNumber.Int64(), string(text), err
	}
	if serial, body, err := get(roots); serial != 1 || body != "hello by HTTP/2.0" || err != nil {
		t.Errorf("certificate %d, %q, %v", serial, body, err)
	}
	roots = newCertificate(t, o.CertFile, o.KeyFile, 2)
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	if serial, _, err := get(roots); serial != 2 || err != nil {
		t.Errorf("after reload: certificate %d, %v", serial, err)
	}
	if err := os.WriteFile(o.CertFile, []byte("junk"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Reload(); err == nil {
		t.Error("a bad certificate was loaded")
	}
	if serial, _, err := get(roots); serial != 2 || err != nil {
		t.Errorf("after a bad reload: certificate %d, %v", serial, err)
	}
}

// TestShutdownLetsRepliesFinish: at the end handlers hear of it, and what they
// reply arrives.
func TestShutdownLetsRepliesFinish(t *testing.T) {
	inside, leave := make(chan struct{}), make(chan struct{})
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(inside)
		<-leave
		fmt.Fprint(w, "done")
	})
	s, stop := start(t, Options{Addr: "127.0.0.1:0", DisableTLS: true}, h, func() { close(leave) })
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	reply := make(chan string, 1)
	go func() {
		resp, err := client.Get("http://" + s.Addr().String())
		if err != nil {
			reply <- err.Error()
			return
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		reply <- string(body)
	}()
	<-inside
	if err := stop(); err != nil {
		t.Error(err)
	}
	if got := <-reply; got != "done" {
		t.Errorf("got %q", got)
	}
}

// TestHostileConnections: an over-long header is refused, and a connection that
// sends its request too slowly is closed.
func TestHostileConnections(t *testing.T) {
	srv := newHTTPServer(http.HandlerFunc(hello), safelog.Discard())
	srv.ReadHeaderTimeout, srv.ReadTimeout = 50*time.Millisecond, 100*time.Millisecond
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- srv.Serve(ln) }()
	for name, c := range map[string]struct{ send, want string }{
		"long header": {"GET / HTTP/1.1\r\nHost: b\r\nX: " + strings.Repeat("x", 2*maxHeaderBytes), "HTTP/1.1 431"},
		"half header": {"GET / HTTP/1.1\r\nHost: b\r\nX: ", ""},
		"nothing":     {"", ""},
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("tcp", ln.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			fmt.Fprint(conn, c.send)
			// Without the limits the server would wait for the rest for ever.
			line, err := bufio.NewReader(conn).ReadString('\n')
			if !strings.HasPrefix(line, c.want) || c.want == "" && !errors.Is(err, io.EOF) {
				t.Errorf("got %q, %v", line, err)
			}
		})
	}
	if err := srv.Shutdown(t.Context()); err != nil { // waits for connections that linger
		t.Error(err)
	}
	<-done
}

func TestOptions(t *testing.T) {
	for name, c := range map[string]struct {
		o  Options
		ok bool
	}{
		"nothing":        {Options{}, false},
		"plain":          {Options{DisableTLS: true}, true},
		"files":          {Options{CertFile: "c", KeyFile: "k"}, true},
		"no key":         {Options{CertFile: "c"}, false},
		"no certificate": {Options{KeyFile: "k"}, false},
		"acme":           {Options{ACMEHostnames: "a", ACMECertCache: "d"}, true},
		"acme no cache":  {Options{ACMEHostnames: "a"}, false},
		"acme no name":   {Options{ACMEHostnames: " ,", ACMECertCache: "d"}, false},
		"two":            {Options{DisableTLS: true, CertFile: "c", KeyFile: "k"}, false},
	} {
		if err := c.o.Validate(); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestListenFails(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	if s, err := Listen(Options{Addr: taken.Addr().String(), DisableTLS: true}, nil, safelog.Discard()); err == nil {
		s.Close()
		t.Error("a port that is taken was bound")
	}
	if _, err := Listen(Options{Addr: "127.0.0.1:0", CertFile: "/none", KeyFile: "/none"}, nil, safelog.Discard()); err == nil {
		t.Error("files that do not exist were read")
	}
}
