package snowserver

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"flurry/common/carrier/ws"
	"flurry/common/safelog"
	"flurry/common/turbotunnel"
)

func newTestListener(t *testing.T, cfg Config) *Listener {
	t.Helper()
	if cfg.Listener == nil {
		cfg.Addr = "127.0.0.1:0"
	}
	l, err := Listen(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// dialWS opens a WebSocket the way a proxy does.
func dialWS(t *testing.T, l *Listener, pathAndQuery string, o ws.DialOptions) *ws.Conn {
	t.Helper()
	scheme := "ws"
	if o.TLSConfig != nil {
		scheme = "wss"
	}
	u, err := url.Parse(fmt.Sprintf("%s://%s%s", scheme, l.Addr(), pathAndQuery))
	if err != nil {
		t.Fatal(err)
	}
	c, err := ws.Dial(t.Context(), u, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestAnyPathAndClientIP(t *testing.T) {
	l := newTestListener(t, Config{})
	for query, want := range map[string]string{
		"/":                                 "",
		"/some/path?client_ip=10.0.0.1":     "10.0.0.1:1",
		"/?x=1&client_ip=2001%3Adb8%3A%3A1": "[2001:db8::1]:1",
		"/?client_ip=10.0.0.1%3A80":         "",
	} {
		c := newTestClient(t, turbotunnel.NewClientID())
		c.use(t, dialWS(t, l, query, ws.DialOptions{}))
		near := c.open(t, "ping")
		far, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		expect(t, far, "ping")
		if got := far.RemoteAddr().String(); got != want {
			t.Errorf("%s: RemoteAddr is %q, want %q", query, got, want)
		}
		io.WriteString(far, "pong")
		expect(t, near, "pong")
		far.Close()
		expectEOF(t, near)
	}
	if with, without := l.edge.with.Load(), l.edge.without.Load(); with != 2 || without != 2 {
		t.Errorf("counted %d with and %d without address, want 2 and 2", with, without)
	}
}

func TestTLS(t *testing.T) {
	cert, pool := testCertificate(t)
	l := newTestListener(t, Config{TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}}})
	c := newTestClient(t, turbotunnel.NewClientID())
	c.use(t, dialWS(t, l, "/", ws.DialOptions{TLSConfig: &tls.Config{RootCAs: pool, ServerName: "example.com"}}))
	c.open(t, "secret")
	far, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	expect(t, far, "secret")

	raw, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{
		RootCAs: pool, ServerName: "example.com", NextProtos: []string{"h2", "http/1.1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	if got := raw.ConnectionState().NegotiatedProtocol; got != "http/1.1" {
		t.Errorf("ALPN chose %q, want http/1.1", got)
	}
}

// testCertificate borrows the certificate for example.com that httptest has.
func testCertificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	s := httptest.NewTLSServer(http.NotFoundHandler())
	defer s.Close()
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	return s.TLS.Certificates[0], pool
}

func TestWrongMagicCloses(t *testing.T) {
	l := newTestListener(t, Config{})
	c := dialWS(t, l, "/", ws.DialOptions{})
	if err := c.Send(t.Context(), []byte("GET / HTTP/1.1\r\n")); err != nil {
		t.Fatal(err)
	}
	n, err := within(t, "Recv", func() (int, error) { return c.Recv(make([]byte, 100)) })
	if n != 0 || err != io.EOF {
		t.Errorf("received %d bytes, %v; want a clean close", n, err)
	}
	if got := l.Stats().Carriers; got != 0 {
		t.Errorf("%d carriers, want none", got)
	}
}

func TestPlainRequests(t *testing.T) {
	l := newTestListener(t, Config{})
	for name, tc := range map[string]struct {
		request string
		status  int
	}{
		"no upgrade":    {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 400},
		"post":          {"POST /client HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab", 400},
		"other upgrade": {"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", 400},
		"no key":        {"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n", 400},
		"long header":   {"GET / HTTP/1.1\r\nHost: x\r\nA: " + strings.Repeat("a", 4*maxHeaderBytes) + "\r\n\r\n", 431},
		"no HTTP":       {"\x16\x03\x01\r\n\r\n", 400},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			io.WriteString(c, tc.request)
			r, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(r.Body)
			if r.StatusCode != tc.status || len(body) > 200 {
				t.Errorf("status %d, body %q; want status %d and little more", r.StatusCode, body, tc.status)
			}
			if !r.Close {
				t.Error("the connection is kept alive")
			}
		})
	}
}

// pipes is a listener without a network, for tests with synthetic time.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), done: make(chan struct{})} }

func (p *pipes) dial() net.Conn {
	a, b := net.Pipe()
	p.conns <- b
	return a
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.done) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes"} }

const upgrade = "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"

// Each of these leaves a connection half-open. It must be closed when its time
// is up, and not before.
func TestHalfOpenConnectionsEnd(t *testing.T) {
	for name, tc := range map[string]struct {
		say   func(c net.Conn) // what the peer says before it falls silent
		after time.Duration
	}{
		"nothing":        {func(net.Conn) {}, DefaultHeaderTimeout},
		"half a request": {func(c net.Conn) { io.WriteString(c, upgrade[:40]) }, DefaultHeaderTimeout},
		"slow loris": {func(c net.Conn) {
			for _, b := range []byte(upgrade) {
				if _, err := c.Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		}, DefaultHeaderTimeout},
		"no prelude":     {upgradeOver, DefaultPreludeTimeout},
		"half a prelude": {func(c net.Conn) { upgradeOver(c); c.Write(maskedFrame([]byte{0x12, 0x93, 0x60})) }, DefaultPreludeTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPipes()
				l := newTestListener(t, Config{Listener: p})
				defer l.Close()
				start := time.Now()
				c := p.dial()
				var peer sync.WaitGroup
				defer peer.Wait()
				defer c.Close()
				peer.Go(func() { tc.say(c) })
				io.Copy(io.Discard, c)
				took := time.Since(start)
				// The WebSocket's own closing handshake may take a second.
				if took < tc.after || took > tc.after+time.Second {
					t.Errorf("closed after %v, want %v", took, tc.after)
				}
				synctest.Wait()
				if n := l.edge.waiting.queue.Len(); n != 0 {
					t.Errorf("%d connections are still counted as half-open", n)
				}
			})
		})
	}
}

// upgradeOver sends an upgrade request; the reader of c sees the answer.
func upgradeOver(c net.Conn) { io.WriteString(c, upgrade) }

// maskedFrame is a short binary WebSocket message of a client, with mask zero.
func maskedFrame(b []byte) []byte {
	return append([]byte{0x82, 0x80 | byte(len(b)), 0, 0, 0, 0}, b...)
}

// A flood of silent connections must not keep an honest one out.
func TestOldestHalfOpenGivesWay(t *testing.T) {
	const limit = 4
	l := newTestListener(t, Config{MaxHalfOpen: limit})
	var silent []net.Conn
	for range limit + 1 {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		silent = append(silent, c)
	}
	if n, err := within(t, "Read", func() (int, error) { return silent[0].Read(make([]byte, 1)) }); n != 0 || err == nil {
		t.Errorf("the oldest connection reads %d bytes, %v", n, err)
	}
	c := newTestClient(t, turbotunnel.NewClientID())
	c.use(t, dialWS(t, l, "/", ws.DialOptions{}))
	c.open(t, "hello")
	far, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	expect(t, far, "hello")
	// A carrier is no longer half-open: newcomers push out only each other.
	for range limit + 1 {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	near := c.open(t, "still here")
	far, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	expect(t, far, "still here")
	near.Close()
	expectEOF(t, far)
}

func TestListenErrors(t *testing.T) {
	if _, err := Listen(t.Context(), Config{Shards: -1, MaxStreams: -1}); err == nil ||
		!strings.Contains(err.Error(), "Shards") || !strings.Contains(err.Error(), "MaxStreams") {
		t.Errorf("Listen with two faults says %v", err)
	}
	l := newTestListener(t, Config{})
	if _, err := Listen(t.Context(), Config{Addr: l.Addr().String()}); err == nil {
		t.Error("the same address was bound twice")
	}
}

func TestListenerClose(t *testing.T) {
	l := newTestListener(t, Config{})
	c := newTestClient(t, turbotunnel.NewClientID())
	used := dialWS(t, l, "/", ws.DialOptions{})
	c.use(t, used)
	silent := dialWS(t, l, "/", ws.DialOptions{}) // waits for its prelude
	c.open(t, "x")
	far, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	expect(t, far, "x")
	go silent.Recv(make([]byte, 1))
	if _, err := within(t, "Close", func() (struct{}, error) { return struct{}{}, l.Close() }); err != nil {
		t.Error(err)
	}
	<-used.Done()
	<-silent.Done()
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept: %v", err)
	}
	if c, err := net.Dial("tcp", l.Addr().String()); err == nil {
		c.Close()
		t.Error("the port is still open")
	}
}

func TestReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log lines
		l := newTestListener(t, Config{Listener: newPipes(), Logger: log.logger()})
		l.edge.with.Store(3)
		l.edge.without.Store(1)
		time.Sleep(reportEvery)
		synctest.Wait()
		l.Close()
		if got := log.String(); strings.Count(got, "in the past 86400 s, 3/4 connections had client_ip") != 1 {
			t.Errorf("after a day the log says %q", got)
		}
	})
}

// lines is a log that a test can read.
type lines struct {
	mu  sync.Mutex
	buf strings.Builder // guarded by mu
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *lines) logger() *slog.Logger {
	return slog.New(safelog.NewHandler(l, safelog.Options{}))
}
