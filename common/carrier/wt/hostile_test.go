package wt

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/webtransport-go"
)

const (
	// shortly is a limit that is meant to be met.
	shortly = 200 * time.Millisecond

	// soon is one too, after a handshake that is not meant to.
	soon = 3 * time.Second
)

// quicDial opens a QUIC connection without anything in it.
func (s *site) quicDial(t *testing.T, pc net.PacketConn) (*quic.Conn, error) {
	t.Helper()
	transport := &quic.Transport{Conn: pc}
	t.Cleanup(func() {
		transport.Close()
		pc.Close()
	})
	to, err := net.ResolveUDPAddr("udp", s.url.Host)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), testLimit)
	defer cancel()
	tlsConfig := s.tls.Clone()
	tlsConfig.NextProtos = []string{http3.NextProtoH3}
	return transport.Dial(ctx, to, tlsConfig, &quic.Config{EnableDatagrams: true, EnableStreamResetPartialDelivery: true})
}

// client is an other end that keeps to HTTP/3 and to nothing else.
func (s *site) client(t *testing.T, pc net.PacketConn) (*quic.Conn, *webtransport.ClientConn) {
	t.Helper()
	conn, err := s.quicDial(t, pc)
	if err != nil {
		t.Fatal(err)
	}
	client, err := (&webtransport.Transport{}).NewClientConn(conn)
	if err != nil {
		t.Fatal(err)
	}
	return conn, client
}

func socket(t *testing.T) net.PacketConn {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pc.Close() })
	return pc
}

// session opens a session, and a stream on which nothing has been said.
func (s *site) session(t *testing.T, pc net.PacketConn) (*quic.Conn, *webtransport.Session, *webtransport.Stream) {
	t.Helper()
	conn, client := s.client(t, pc)
	_, session, err := client.Dial(t.Context(), s.url.String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := session.OpenStream()
	if err != nil {
		t.Fatal(err)
	}
	return conn, session, stream
}

func expectEnd(t *testing.T, what string, ctx context.Context) {
	t.Helper()
	select {
	case <-ctx.Done():
	case <-time.After(testLimit):
		t.Fatalf("%s did not end", what)
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

func TestBadFramesEndTheSession(t *testing.T) {
	frame := func(length uint32, body string) []byte {
		return append(binary.BigEndian.AppendUint32(nil, length), body...)
	}
	for name, tc := range map[string]struct {
		bytes []byte
		want  error
	}{
		"empty":         {frame(0, "x"), errFrame},
		"a byte more":   {frame(maxMessage+1, "x"), errFrame},
		"longest":       {frame(1<<32-1, "x"), errFrame},
		"end in header": {[]byte{0, 0}, io.ErrUnexpectedEOF},
		"end in body":   {frame(10, "only this"), io.ErrUnexpectedEOF},
		"no body":       {frame(10, ""), io.ErrUnexpectedEOF},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, nil)
			conn, session, stream := s.session(t, socket(t))
			if _, err := stream.Write(append(appendFrame(nil, []byte("good")), tc.bytes...)); err != nil {
				t.Fatal(err)
			}
			if tc.want == io.ErrUnexpectedEOF {
				stream.Close()
			}
			c := take(t, s.conns)
			buf := make([]byte, 16)
			n, err := c.Recv(buf)
			if err != nil || string(buf[:n]) != "good" {
				t.Fatalf("the good frame came as %q, %v", buf[:n], err)
			}
			for err == nil { // a part of a message that is cut short may come
				n, err = c.Recv(buf)
			}
			if err != tc.want || c.Err() != tc.want {
				t.Errorf("%d bytes, %v, the Conn ended with %v; want %v", n, err, c.Err(), tc.want)
			}
			c.Close()
			expectEnd(t, "the session", session.Context())
			expectEnd(t, "the connection", conn.Context())
		})
	}
}

// One stream is the carrier; for others there is no credit.
func TestOtherStreamsAreRefused(t *testing.T) {
	s := newSite(t, nil)
	_, session, stream := s.session(t, socket(t))
	if _, err := stream.Write(appendFrame(nil, []byte("first"))); err != nil {
		t.Fatal(err)
	}
	c := take(t, s.conns)
	defer c.Close()
	if _, err := session.OpenStream(); !errors.Is(err, &quic.StreamLimitReachedError{}) {
		t.Errorf("a second stream: %v", err)
	}
	for n := 0; ; n++ {
		uni, err := session.OpenUniStream()
		if err != nil {
			break
		}
		if n == uniStreams {
			t.Fatal("streams of one direction without end")
		}
		uni.Write(make([]byte, 100))
	}
	buf := make([]byte, 16)
	if n, err := c.Recv(buf); err != nil || string(buf[:n]) != "first" {
		t.Errorf("the carrier has %q, %v", buf[:n], err)
	}
}

// Each of these ends is slow in its own way, and none may wait for ever.
func TestSlowEndsAreClosed(t *testing.T) {
	for name, open := range map[string]func(t *testing.T, s *site) *quic.Conn{
		"no request": func(t *testing.T, s *site) *quic.Conn {
			conn, err := s.quicDial(t, socket(t))
			if err != nil {
				t.Fatal(err)
			}
			return conn
		},
		"another request": func(t *testing.T, s *site) *quic.Conn {
			conn, client := s.client(t, socket(t))
			request, err := http.NewRequest("GET", s.url.String(), nil)
			if err != nil {
				t.Fatal(err)
			}
			response, err := client.RoundTrip(request)
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			if response.StatusCode != http.StatusBadRequest {
				t.Errorf("status %d", response.StatusCode)
			}
			return conn
		},
		"no stream": func(t *testing.T, s *site) *quic.Conn {
			conn, client := s.client(t, socket(t))
			if _, _, err := client.Dial(t.Context(), s.url.String(), nil); err != nil {
				t.Fatal(err)
			}
			return conn
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, func(c *ServerConfig) { c.OpenTimeout = soon })
			conn := open(t, s)
			expectEnd(t, "the connection", conn.Context())
			eventually(t, "an empty waiting room", func() bool { return s.waiting.count() == 0 && s.door.conns.Load() == 0 })
			if len(s.conns) > 0 {
				t.Error("it became a carrier")
			}
		})
	}
}

// A carrier is out of the waiting room and beyond the time for opening.
func TestCarriersStay(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(c *ServerConfig) { c.OpenTimeout = soon })
	client := s.dial(t)
	server := take(t, s.conns)
	take(t, s.asked)
	eventually(t, "an empty waiting room", func() bool { return s.waiting.count() == 0 })
	other, err := s.quicDial(t, socket(t)) // comes later, and is late
	if err != nil {
		t.Fatal(err)
	}
	expectEnd(t, "the connection", other.Context())
	go client.Send(t.Context(), []byte("still here"))
	buf := make([]byte, 16)
	if n, err := server.Recv(buf); err != nil || string(buf[:n]) != "still here" {
		t.Errorf("%q, %v", buf[:n], err)
	}
}

// cutSocket forgets what it is given after the first so many packets.
type cutSocket struct {
	net.PacketConn

	mu    sync.Mutex
	left  int      // guarded by mu
	first []byte   // packet of all; guarded by mu
	to    net.Addr // guarded by mu
}

func (c *cutSocket) WriteTo(p []byte, to net.Addr) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.first == nil {
		c.first, c.to = append([]byte(nil), p...), to
	}
	if c.left--; c.left < 0 {
		return len(p), nil
	}
	return c.PacketConn.WriteTo(p, to)
}

// An end that falls silent in the middle of its hello, which takes two packets,
// is forgotten.
func TestHalfAHelloEnds(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(c *ServerConfig) { c.OpenTimeout = soon })
	dialled := make(chan error, 1)
	pc := &cutSocket{PacketConn: socket(t), left: 3} // both, and the first again with the Retry's token
	go func() {
		_, err := s.quicDial(t, pc)
		dialled <- err
	}()
	eventually(t, "half a hello", func() bool { return s.door.hellos.Load() == 1 })
	eventually(t, "its end", func() bool { return s.door.hellos.Load() == 0 && s.door.conns.Load() == 0 })
	if err := take(t, dialled); err == nil {
		t.Error("the handshake succeeded")
	}
}

// What has arrived can be read after the other end has waited in vain and closed.
func TestLateReadersLoseNothing(t *testing.T) {
	t.Parallel()
	for name, of := range map[string]func(client, server *Conn) (from, to *Conn){
		"up":   func(c, s *Conn) (from, to *Conn) { return c, s },
		"down": func(c, s *Conn) (from, to *Conn) { return s, c },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			from, to := of(pair(t))
			const size = 50_000
			if err := from.Send(t.Context(), make([]byte, size)); err != nil {
				t.Fatal(err)
			}
			from.Close()
			buf := make([]byte, maxMessage)
			if n, err := to.Recv(buf); n != size || err != nil {
				t.Fatalf("%d bytes of %d, %v", n, size, err)
			}
			if _, err := to.Recv(buf); err != io.EOF {
				t.Errorf("then %v, want io.EOF", err)
			}
			to.Close()
			expectEnd(t, "the session", from.session.Context())
		})
	}
}

// An other end that never reads is left after all.
func TestDeafEndsAreLeft(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	conn, _, stream := s.session(t, socket(t))
	if _, err := stream.Write(appendFrame(nil, []byte("hello"))); err != nil {
		t.Fatal(err)
	}
	take(t, s.conns).Close()
	expectEnd(t, "the connection", conn.Context())
	eventually(t, "the place given back", func() bool { return s.door.conns.Load() == 0 })
}

// A carrier whose other end is gone without a word ends.
func TestGoneEndsAreNoticed(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(c *ServerConfig) { c.IdleTimeout = soon })
	pc := &cutSocket{PacketConn: socket(t), left: 1 << 20}
	_, _, stream := s.session(t, pc)
	if _, err := stream.Write(appendFrame(nil, []byte("last words"))); err != nil {
		t.Fatal(err)
	}
	c := take(t, s.conns)
	defer c.Close()
	buf := make([]byte, 16)
	if n, err := c.Recv(buf); err != nil || string(buf[:n]) != "last words" {
		t.Fatalf("%q, %v", buf[:n], err)
	}
	pc.mu.Lock()
	pc.left = 0
	pc.mu.Unlock()
	if n, err := c.Recv(buf); !errors.Is(err, &quic.IdleTimeoutError{}) {
		t.Errorf("%d bytes, %v", n, err)
	}
	eventually(t, "the place given back", func() bool { return s.door.conns.Load() == 0 })
}

// Without an answer to a Retry nothing is kept and little is sent, wherever the
// packets say they are from.
func TestNothingForAddressesThatDoNotAnswer(t *testing.T) {
	s := newSite(t, nil)
	cut := &cutSocket{PacketConn: socket(t), left: 0}
	ctx, cancel := context.WithTimeout(t.Context(), shortly)
	defer cancel()
	transport := &quic.Transport{Conn: cut}
	defer transport.Close()
	to, err := net.ResolveUDPAddr("udp", s.url.Host)
	if err != nil {
		t.Fatal(err)
	}
	transport.Dial(ctx, to, &tls.Config{ServerName: "example.com", NextProtos: []string{http3.NextProtoH3}}, &quic.Config{})
	cut.mu.Lock()
	hello := cut.first
	cut.mu.Unlock()

	spoofer := socket(t)
	const hellos = 50
	answers := make(chan int, 2*hellos)
	go func() {
		buf := make([]byte, 2048)
		for {
			n, _, err := spoofer.ReadFrom(buf)
			if err != nil {
				close(answers)
				return
			}
			answers <- n
		}
	}()
	total := 0
	for range hellos {
		if _, err := spoofer.WriteTo(hello, to); err != nil {
			t.Fatal(err)
		}
		total += take(t, answers)
	}
	if sent := hellos * len(hello); total > sent/4 {
		t.Errorf("%d bytes were answered with %d", sent, total)
	}
	if n := s.door.conns.Load(); n != 0 {
		t.Errorf("%d connections are kept", n)
	}
	spoofer.Close()
	for range answers {
	}
}

func TestTooManyConnections(t *testing.T) {
	s := newSite(t, func(c *ServerConfig) { c.MaxConns = 2 })
	first := s.dial(t)
	take(t, s.conns)
	take(t, s.asked)
	s.dial(t)
	take(t, s.conns)
	take(t, s.asked)
	_, err := Dial(t.Context(), s.url, DialOptions{TLSConfig: s.tls})
	if refused, ok := errors.AsType[*quic.TransportError](err); !ok || refused.ErrorCode != quic.ConnectionRefused {
		t.Errorf("the third: %v", err)
	}
	first.Close()
	eventually(t, "a free place", func() bool { return s.door.conns.Load() == 1 })
	s.dial(t)
	take(t, s.conns)
}

// After Refuse carriers live on, and nobody comes; Close ends everything.
func TestRefuseAndClose(t *testing.T) {
	s := newSite(t, nil)
	client := s.dial(t)
	server := take(t, s.conns)
	s.Refuse()
	if c, err := Dial(t.Context(), s.url, DialOptions{TLSConfig: s.tls, HandshakeTimeout: shortly}); err == nil {
		c.Close()
		t.Error("somebody came after Refuse")
	}
	if err := client.Send(t.Context(), []byte("still here")); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 16)
	if n, err := server.Recv(buf); err != nil || string(buf[:n]) != "still here" {
		t.Errorf("%q, %v", buf[:n], err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := client.Recv(buf); err != io.EOF {
		t.Errorf("the client's Recv: %v", err)
	}
	if _, err := server.Recv(buf); err == nil {
		t.Error("the server's Recv goes on")
	}
	if err := s.Close(); err != nil {
		t.Errorf("a second Close: %v", err)
	}
}

// A socket that fails does not fail in silence.
func TestLostSocketIsTold(t *testing.T) {
	failed := make(chan error, 1)
	s := newSite(t, func(c *ServerConfig) { c.Failed = func(err error) { failed <- err } })
	s.transport.Conn.Close()
	if err := take(t, failed); err == nil {
		t.Error("it failed with nil")
	}
}

func TestListenErrors(t *testing.T) {
	pc := socket(t)
	pc.Close()
	if s, err := Listen(pc, ServerConfig{TLSConfig: &tls.Config{}}); err == nil {
		s.Close()
		t.Error("a closed socket was listened on")
	}
}

// All windows together grow only so far, and give back what they took.
func TestWindowsShareABound(t *testing.T) {
	d := newDoor(10)
	ctx, end := context.WithCancel(t.Context())
	ctx, err := d.enter(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	g := ctx.Value(guestKey{}).(*guest)
	if !g.widen(totalWindows) || g.widen(1) {
		t.Error("the bound is not where it is said to be")
	}
	end()
	eventually(t, "the memory given back", func() bool { return d.grown.Load() == 0 && d.conns.Load() == 0 && d.hellos.Load() == 0 })
}

// Hellos that are not complete have a bound of their own.
func TestTooManyHellos(t *testing.T) {
	d := newDoor(10 * maxHellos)
	var last context.Context
	for range maxHellos {
		var err error
		if last, err = d.enter(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := d.enter(t.Context(), nil); err != errFull {
		t.Errorf("one more: %v", err)
	}
	g := last.Value(guestKey{}).(*guest)
	g.in()
	g.in()
	if n := d.hellos.Load(); n != maxHellos-1 {
		t.Errorf("%d hellos after one was completed", n)
	}
	if _, err := d.enter(t.Context(), nil); err != nil {
		t.Errorf("with room again: %v", err)
	}
}

// A session asks for nothing that a page elsewhere could not ask for.
func TestAnyOrigin(t *testing.T) {
	s := newSite(t, nil)
	_, client := s.client(t, socket(t))
	u, _ := url.Parse(s.url.String())
	_, session, err := client.Dial(t.Context(), u.String(), http.Header{"Origin": {"https://page.example"}})
	if err != nil {
		t.Fatal(err)
	}
	session.CloseWithError(0, "")
}
