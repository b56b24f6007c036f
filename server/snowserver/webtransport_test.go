package snowserver

import (
	"crypto/tls"
	"io"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"flurry/common/carrier"
	"flurry/common/carrier/ws"
	"flurry/common/carrier/wt"
	"flurry/common/turbotunnel"
)

// wtSite is a Listener with both ways in, and how to trust it.
type wtSite struct {
	*Listener
	tls *tls.Config // for clients
}

func newWTSite(t *testing.T, cfg Config) wtSite {
	t.Helper()
	cert, pool := testCertificate(t)
	cfg.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"http/1.1"}}
	cfg.WebTransport = true
	return wtSite{newTestListener(t, cfg), &tls.Config{RootCAs: pool, ServerName: "example.com"}}
}

// dial opens a WebTransport session the way a proxy does.
func (s wtSite) dial(t *testing.T, pathAndQuery string) *wt.Conn {
	t.Helper()
	u, err := url.Parse("https://" + s.Addr().String() + pathAndQuery)
	if err != nil {
		t.Fatal(err)
	}
	c, err := wt.Dial(t.Context(), u, wt.DialOptions{TLSConfig: s.tls, HandshakeTimeout: testLimit})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// A carrier over WebTransport is one as over WebSocket, which is there beside it.
func TestWebTransport(t *testing.T) {
	s := newWTSite(t, Config{})
	for query, want := range map[string]string{
		"/":                                 "",
		"/some/path?client_ip=10.0.0.1":     "10.0.0.1:1",
		"/?x=1&client_ip=2001%3Adb8%3A%3A1": "[2001:db8::1]:1",
		"/?client_ip=10.0.0.1%3A80":         "",
	} {
		c := newTestClient(t, turbotunnel.NewClientID())
		c.use(t, s.dial(t, query))
		echo(t, s.Listener, c, want)
	}
	c := newTestClient(t, turbotunnel.NewClientID())
	c.use(t, dialWS(t, s.Listener, "/?client_ip=192.0.2.1", ws.DialOptions{TLSConfig: s.tls}))
	echo(t, s.Listener, c, "192.0.2.1:1")
	if with, without := s.edge.with.Load(), s.edge.without.Load(); with != 3 || without != 2 {
		t.Errorf("counted %d with and %d without address, want 3 and 2", with, without)
	}
	if n := s.Stats().Carriers; n != 5 {
		t.Errorf("%d carriers, want 5", n)
	}
}

// echo uses the client for one stream, which must come from remote.
func echo(t *testing.T, l *Listener, c *testClient, remote string) {
	t.Helper()
	near := c.open(t, "ping")
	far, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	expect(t, far, "ping")
	if got := far.RemoteAddr().String(); got != remote {
		t.Errorf("RemoteAddr is %q, want %q", got, remote)
	}
	io.WriteString(far, "pong")
	expect(t, near, "pong")
	far.Close()
	expectEOF(t, near)
}

// The session is cut from its carrier's failure, and goes on over another kind.
func TestSessionMovesBetweenKinds(t *testing.T) {
	s := newWTSite(t, Config{})
	c := newTestClient(t, turbotunnel.NewClientID())
	first := s.dial(t, "/")
	c.use(t, first)
	near := c.open(t, "over QUIC")
	far, err := s.Accept()
	if err != nil {
		t.Fatal(err)
	}
	expect(t, far, "over QUIC")
	first.Close()
	c.use(t, dialWS(t, s.Listener, "/", ws.DialOptions{TLSConfig: s.tls}))
	io.WriteString(near, ", then over TCP")
	expect(t, far, ", then over TCP")
	io.WriteString(far, "and back")
	expect(t, near, "and back")
}

func TestWebTransportWithoutPrelude(t *testing.T) {
	for name, tc := range map[string]struct {
		cfg  Config
		says string
	}{
		"wrong magic":    {Config{}, "GET / HTTP/1.1\r\n"},
		"half a prelude": {Config{PreludeTimeout: 100 * time.Millisecond}, "\x12\x93\x60"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newWTSite(t, tc.cfg)
			c := s.dial(t, "/")
			if err := c.Send(t.Context(), []byte(tc.says)); err != nil {
				t.Fatal(err)
			}
			n, err := within(t, "Recv", func() (int, error) { return c.Recv(make([]byte, 100)) })
			if n != 0 || err != io.EOF {
				t.Errorf("received %d bytes, %v; want a clean close", n, err)
			}
			if got := s.Stats().Carriers; got != 0 {
				t.Errorf("%d carriers, want none", got)
			}
		})
	}
}

// One bound holds for both ways in, and the oldest gives way whatever it is.
func TestHalfOpenWebTransportGivesWay(t *testing.T) {
	s := newWTSite(t, Config{MaxHalfOpen: 2})
	silent := s.dial(t, "/") // waits for its prelude
	for range 2 {
		c, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	if n, err := within(t, "Recv", func() (int, error) { return silent.Recv(make([]byte, 1)) }); n != 0 || err == nil {
		t.Errorf("the oldest reads %d bytes, %v", n, err)
	}
	c := newTestClient(t, turbotunnel.NewClientID())
	c.use(t, s.dial(t, "/"))
	echo(t, s.Listener, c, "")
}

func TestWebTransportClose(t *testing.T) {
	s := newWTSite(t, Config{})
	c := newTestClient(t, turbotunnel.NewClientID())
	used, silent := s.dial(t, "/"), s.dial(t, "/")
	c.use(t, used)
	c.open(t, "x")
	far, err := s.Accept()
	if err != nil {
		t.Fatal(err)
	}
	expect(t, far, "x")
	ended := make(chan carrier.Conn, 1)
	go func() {
		silent.Recv(make([]byte, 1))
		ended <- silent
	}()
	if _, err := within(t, "Close", func() (struct{}, error) { return struct{}{}, s.Close() }); err != nil {
		t.Error(err)
	}
	within(t, "the end of the silent one", func() (carrier.Conn, error) { return <-ended, nil })
	within(t, "the end of the other", func() (struct{}, error) { return <-used.Done(), nil })
	pc, err := net.ListenPacket("udp", s.Addr().String())
	if err != nil {
		t.Errorf("the UDP port is not free again: %v", err)
	} else {
		pc.Close()
	}
}

func TestWebTransportErrors(t *testing.T) {
	if _, err := Listen(t.Context(), Config{WebTransport: true}); err == nil || !strings.Contains(err.Error(), "TLSConfig") {
		t.Errorf("without TLS: %v", err)
	}
	busy, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	addr := busy.LocalAddr().String()
	if _, err := Listen(t.Context(), Config{Addr: addr, WebTransport: true, TLSConfig: &tls.Config{}}); err == nil {
		t.Fatal("a busy UDP port was bound")
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatalf("the TCP port is still taken: %v", err)
	}
	l.Close()
}
