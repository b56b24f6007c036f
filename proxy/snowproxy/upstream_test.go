package snowproxy

import (
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
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"flurry/common/carrier/ws"
	"flurry/common/carrier/wt"
)

// relayServer is a WebSocket server that sends every message back.
type relayServer struct {
	*httptest.Server
	last atomic.Pointer[http.Request] // the last request
	open atomic.Int64
}

func newRelayServer(t *testing.T) *relayServer {
	t.Helper()
	s := &relayServer{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.last.Store(r.Clone(context.Background()))
		c, err := ws.Accept(w, r)
		if err != nil {
			return
		}
		s.open.Add(1)
		defer s.open.Add(-1)
		defer c.Close()
		buf := make([]byte, pumpBuffer)
		for {
			n, err := c.Recv(buf)
			if err != nil || c.Send(r.Context(), buf[:n]) != nil {
				return
			}
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// url returns the relay's address under another host name and with more to it.
func (s *relayServer) url(t *testing.T, host, rest string) *url.URL {
	t.Helper()
	_, port, err := net.SplitHostPort(s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse("ws://" + host + ":" + port + rest)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestRelayAddressIsGuarded(t *testing.T) {
	relay := newRelayServer(t)
	relayed := func(host string, w dialer) error {
		c, err := w.Connect(context.Background(), relay.url(t, host, "/"), netip.Addr{})
		if err == nil {
			c.Close()
		}
		return err
	}
	// A name that resolves to a private address passes the policy.
	for _, host := range []string{"localhost", "127.0.0.1"} {
		if err := relayed(host, dialer{}); !errors.Is(err, errPrivateRelay) {
			t.Errorf("%s: %v, want %v", host, err, errPrivateRelay)
		}
		if err := relayed(host, dialer{allowPrivate: true}); err != nil {
			t.Errorf("%s, allowed: %v", host, err)
		}
	}
	if relay.last.Load() == nil {
		t.Fatal("nothing arrived")
	}
}

func TestOwnPrivateRelayIsAllowed(t *testing.T) {
	relay := newRelayServer(t)
	own := relay.url(t, "localhost", "/")
	w := newDialer(Config{RelayURL: own.String()})
	c, err := w.Connect(context.Background(), own, netip.Addr{})
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	other := newRelayServer(t)
	if _, err := w.Connect(context.Background(), other.url(t, "localhost", "/"), netip.Addr{}); !errors.Is(err, errPrivateRelay) {
		t.Errorf("another port: %v", err)
	}
	// A public name is guarded even as the operator's own.
	if w := newDialer(Config{RelayURL: DefaultRelayURL}); w.ownHost != "" {
		t.Errorf("%q is exempt", w.ownHost)
	}
}

func TestGuard(t *testing.T) {
	for address, want := range map[string]bool{
		"8.8.8.8:443": true, "[2001:db8::1]:443": true, "198.18.0.10:9000": true,
		"127.0.0.1:443": false, "[::1]:443": false, "10.1.2.3:1": false, "[::ffff:10.1.2.3]:1": false,
		"[fe80::1%lo]:1": false, "0.0.0.0:1": false, "garbage": false,
	} {
		if err := guard(context.Background(), "tcp", address, nil); (err == nil) != want {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// Through the operator's HTTP proxy the relay's name is not resolved here, and
// the proxy itself may be private.
func TestRelayThroughHTTPProxy(t *testing.T) {
	relay := newRelayServer(t)
	var asked atomic.Value
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Store(r.Method + " " + r.Host)
		w.WriteHeader(http.StatusForbidden)
	}))
	defer proxy.Close()
	at, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	w := dialer{proxy: func(r *http.Request) (*url.URL, error) {
		if r.URL.Scheme != "https" && r.URL.Scheme != "http" {
			t.Errorf("asked for scheme %q", r.URL.Scheme)
		}
		return at, nil
	}}
	u := relay.url(t, "relay.example", "/")
	u.Scheme = "wss"
	if _, err := w.Connect(context.Background(), u, netip.Addr{}); err == nil || errors.Is(err, errPrivateRelay) {
		t.Errorf("error %v", err)
	}
	if a, _ := asked.Load().(string); !strings.HasPrefix(a, "CONNECT relay.example:") {
		t.Errorf("the HTTP proxy was asked %q", a)
	}
}

func TestWhatTheRelaySees(t *testing.T) {
	relay := newRelayServer(t)
	w := dialer{allowPrivate: true}
	u := relay.url(t, "user:secret@127.0.0.1", "/path?z=a%20b&a=%2F&client_ip=forged#part")
	c, err := w.Connect(context.Background(), u, netip.MustParseAddr("2001:db8::7"))
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	r := relay.last.Load()
	if got, want := r.URL.RequestURI(), "/path?a=%2F&client_ip=2001%3Adb8%3A%3A7&z=a+b"; got != want {
		t.Errorf("asked for %s, want %s", got, want)
	}
	for _, h := range []string{"Authorization", "Origin", "Sec-Websocket-Protocol", "Sec-Websocket-Extensions"} {
		if v := r.Header.Get(h); v != "" {
			t.Errorf("%s: %q", h, v)
		}
	}
	if strings.Contains(r.UserAgent(), "Go-http-client") {
		t.Errorf("user agent %q", r.UserAgent())
	}
	if u.User == nil || u.Fragment == "" {
		t.Error("the caller's URL was changed")
	}
	if got := withClient(u, netip.Addr{}).RawQuery; got != "z=a%20b&a=%2F&client_ip=forged" {
		t.Errorf("without a client the query became %q", got)
	}
}

func TestRelayRedirectIsNotFollowed(t *testing.T) {
	target := newRelayServer(t)
	srv := httptest.NewServer(http.RedirectHandler(target.URL, http.StatusFound))
	defer srv.Close()
	u, err := url.Parse("ws" + strings.TrimPrefix(srv.URL, "http"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (dialer{allowPrivate: true}).Connect(context.Background(), u, netip.Addr{}); err == nil {
		t.Error("connected")
	}
	if target.last.Load() != nil {
		t.Error("the redirect was followed")
	}
}

// quicRelay is a WebTransport server, with a certificate that tls trusts.
type quicRelay struct {
	addr  string
	asked chan *url.URL
	tls   *tls.Config
}

// Add and Remove make it a waiting room without a limit.
func (*quicRelay) Add(io.Closer)    {}
func (*quicRelay) Remove(io.Closer) {}

func newQUICRelay(t *testing.T) *quicRelay {
	t.Helper()
	web := httptest.NewTLSServer(nil)
	defer web.Close()
	r := &quicRelay{asked: make(chan *url.URL, 1), tls: &tls.Config{RootCAs: x509.NewCertPool()}}
	r.tls.RootCAs.AddCert(web.Certificate())
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.addr = pc.LocalAddr().String()
	s, err := wt.Listen(pc, wt.ServerConfig{
		TLSConfig: web.TLS, Waiting: r, MaxConns: 10, OpenTimeout: time.Minute, IdleTimeout: time.Minute, MaxHeaderBytes: 8 << 10,
		Failed: func(err error) { t.Errorf("no more connections come: %v", err) },
		Handle: func(c *wt.Conn, u *url.URL) {
			c.Close()
			r.asked <- u
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return r
}

func TestWebTransportRelay(t *testing.T) {
	relay := newQUICRelay(t)
	u, err := url.Parse("https://" + relay.addr + "/path?a=1#part")
	if err != nil {
		t.Fatal(err)
	}
	c, err := dialer{allowPrivate: true, tls: relay.tls}.Connect(t.Context(), u, netip.MustParseAddr("192.0.2.7"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if kind := c.Traits().Kind; kind != "wt" {
		t.Errorf("connected by %q", kind)
	}
	if got := (<-relay.asked).RequestURI(); got != "/path?a=1&client_ip=192.0.2.7" {
		t.Errorf("asked for %s", got)
	}
	if _, err := (dialer{tls: relay.tls}).Connect(t.Context(), u, netip.Addr{}); !errors.Is(err, errPrivateRelay) {
		t.Errorf("unasked to a private address: %v", err)
	}
}

// Where WebTransport does not answer, a WebSocket does.
func TestWebTransportFallsBack(t *testing.T) {
	asked := make(chan string, 1)
	relay := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.RequestURI
		if c, err := ws.Accept(w, r); err == nil {
			c.Close()
		}
	}))
	defer relay.Close()
	u, err := url.Parse(relay.URL + "/path?a=1")
	if err != nil {
		t.Fatal(err)
	}
	d := dialer{allowPrivate: true, tls: relay.Client().Transport.(*http.Transport).TLSClientConfig}
	c, err := d.Connect(t.Context(), u, netip.MustParseAddr("192.0.2.7"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if kind := c.Traits().Kind; kind != "ws" {
		t.Errorf("connected by %q", kind)
	}
	if got := <-asked; got != "/path?a=1&client_ip=192.0.2.7" {
		t.Errorf("asked for %s", got)
	}
	if u.Scheme != "https" {
		t.Error("the caller's URL was changed")
	}
}

// An operator's HTTP proxy is not passed by with UDP.
func TestWebTransportNotThroughHTTPProxy(t *testing.T) {
	relay := newQUICRelay(t)
	proxy := httptest.NewServer(http.NotFoundHandler())
	defer proxy.Close()
	at, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	d := dialer{allowPrivate: true, tls: relay.tls, proxy: func(*http.Request) (*url.URL, error) { return at, nil }}
	if c, err := d.Connect(t.Context(), &url.URL{Scheme: "https", Host: relay.addr, Path: "/"}, netip.Addr{}); err == nil {
		c.Close()
		t.Error("connected")
	} else if !errors.Is(err, errNoUDP) {
		t.Errorf("error %v", err)
	}
	if len(relay.asked) > 0 {
		t.Error("the relay was asked")
	}
}
