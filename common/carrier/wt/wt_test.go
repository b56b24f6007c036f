package wt

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"sync"
	"testing"
	"time"

	"flurry/common/carrier"
	"flurry/common/carrier/carriertest"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testLimit ends a test that waits for something that will not come.
const testLimit = 30 * time.Second

// room is a Waiting room without a limit.
type room struct {
	mu    sync.Mutex
	there map[io.Closer]bool // guarded by mu
}

func (r *room) Add(c io.Closer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.there[c] = true
}

func (r *room) Remove(c io.Closer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.there, c)
}

func (r *room) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.there)
}

// A site is a Server on loopback, and how to trust it.
type site struct {
	*Server
	waiting *room
	url     *url.URL
	tls     *tls.Config // for clients
	conns   chan *Conn  // what Handle got
	asked   chan *url.URL
}

func newSite(t testing.TB, change func(*ServerConfig)) *site {
	t.Helper()
	s := &site{waiting: &room{there: make(map[io.Closer]bool)}, conns: make(chan *Conn, 1), asked: make(chan *url.URL, 1)}
	cert, pool := testCertificate(t)
	s.tls = &tls.Config{RootCAs: pool, ServerName: "example.com"}
	cfg := ServerConfig{
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}},
		Handle: func(c *Conn, u *url.URL) {
			s.conns <- c
			s.asked <- u
		},
		Failed:         func(err error) { t.Errorf("no more connections come: %v", err) },
		Waiting:        s.waiting,
		MaxConns:       100,
		OpenTimeout:    testLimit,
		IdleTimeout:    testLimit,
		MaxHeaderBytes: 8 << 10,
	}
	if change != nil {
		change(&cfg)
	}
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if s.Server, err = Listen(pc, cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	s.url = &url.URL{Scheme: "https", Host: pc.LocalAddr().String(), Path: "/"}
	return s
}

// testCertificate borrows the certificate for example.com that httptest has.
func testCertificate(t testing.TB) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	s := httptest.NewTLSServer(http.NotFoundHandler())
	defer s.Close()
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	return s.TLS.Certificates[0], pool
}

// dial opens a carrier.
func (s *site) dial(t testing.TB) *Conn {
	t.Helper()
	c, err := Dial(context.Background(), s.url, DialOptions{TLSConfig: s.tls})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// take returns what Handle got next.
func take[T any](t testing.TB, from chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(testLimit):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

func pair(t testing.TB) (client, server *Conn) {
	t.Helper()
	s := newSite(t, nil)
	client = s.dial(t)
	server = take(t, s.conns)
	t.Cleanup(func() { server.Close() })
	return client, server
}

func TestContract(t *testing.T) {
	carriertest.Check(t, func(t *testing.T) (a, b carrier.Conn) { return pair(t) })
}

func TestContractFromServer(t *testing.T) {
	carriertest.Check(t, func(t *testing.T) (a, b carrier.Conn) {
		c, s := pair(t)
		return s, c
	})
}

// Message edges stay where the receiver has room, as package turbotunnel wants of
// a carrier to the bridge.
func TestMessagesComeWhole(t *testing.T) {
	a, b := pair(t)
	sizes := []int{1, 19, 1142, 2048, 3, 4096, 16384, 65535, 65536, 2}
	const rounds = 20
	go func() {
		for i := range rounds {
			var batch [][]byte
			for _, n := range sizes {
				batch = append(batch, bytes.Repeat([]byte{byte(i)}, n), nil)
			}
			if i%2 == 0 {
				if err := a.SendBatch(context.Background(), batch); err != nil {
					t.Error(err)
				}
				continue
			}
			for _, m := range batch {
				if err := a.Send(context.Background(), m); err != nil {
					t.Error(err)
				}
			}
		}
	}()
	buf := make([]byte, maxMessage)
	for i := range rounds {
		for _, want := range sizes {
			n, err := b.Recv(buf)
			if err != nil || n != want || !bytes.Equal(buf[:n], bytes.Repeat([]byte{byte(i)}, want)) {
				t.Fatalf("round %d: a message of %d bytes came as %d, %v", i, want, n, err)
			}
		}
	}
}

// The server sees path and query as they were, and nothing of what is the
// volunteer's own.
func TestWhatTheServerSees(t *testing.T) {
	s := newSite(t, nil)
	s.url, _ = s.url.Parse("/path?z=a%20b&client_ip=192.0.2.1#part")
	s.url.User = url.UserPassword("user", "secret")
	s.dial(t)
	take(t, s.conns).Close()
	if got := take(t, s.asked); got.RequestURI() != "/path?z=a%20b&client_ip=192.0.2.1" || got.User != nil {
		t.Errorf("asked for %v", got)
	}
}

func TestDialRefuses(t *testing.T) {
	s := newSite(t, nil)
	for _, text := range []string{"wss://127.0.0.1/", "http://127.0.0.1/", "/", "https://127.0.0.1:99999/"} {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if c, err := Dial(t.Context(), u, DialOptions{}); err == nil {
			c.Close()
			t.Errorf("%s was dialled", text)
		}
	}
	forbidden := errors.New("forbidden")
	var asked netip.Addr
	_, err := Dial(t.Context(), s.url, DialOptions{TLSConfig: s.tls, Allow: func(a netip.Addr) error {
		asked = a
		return forbidden
	}})
	if !errors.Is(err, forbidden) || !asked.IsLoopback() {
		t.Errorf("%v, asked about %v", err, asked)
	}
	if _, err := Dial(t.Context(), s.url, DialOptions{}); err == nil {
		t.Error("a certificate that nobody has signed was believed")
	}
	if n := s.door.conns.Load(); n > 1 { // the one that did not like the certificate
		t.Errorf("%d connections came", n)
	}
}

// Where nothing listens, or nothing that answers, Dial gives up in its time.
func TestDialGivesUp(t *testing.T) {
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	u := &url.URL{Scheme: "https", Host: silent.LocalAddr().String(), Path: "/"}
	if c, err := Dial(t.Context(), u, DialOptions{HandshakeTimeout: 50 * time.Millisecond}); err == nil {
		c.Close()
		t.Error("silence was taken for a server")
	} else if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("unclear error: %v", err)
	}
}
