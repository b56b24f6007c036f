package ws

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"testing"

	"flurry/common/carrier"
	"flurry/common/carrier/carriertest"

	"github.com/coder/websocket"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pair returns the two ends of one WebSocket over loopback.
func pair(t testing.TB, newServer func(http.Handler) *httptest.Server) (client, server carrier.Conn) {
	t.Helper()
	accepted := make(chan *Conn, 1)
	srv := newServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := Accept(w, r)
		if err != nil {
			t.Error(err)
			return
		}
		accepted <- c
		<-c.Done()
	}))
	t.Cleanup(srv.Close)
	u, _ := url.Parse(strings.Replace(srv.URL, "http", "ws", 1))
	var o DialOptions
	if srv.TLS != nil {
		o.TLSConfig = srv.Client().Transport.(*http.Transport).TLSClientConfig
	}
	c, err := Dial(context.Background(), u, o)
	if err != nil {
		t.Fatal(err)
	}
	return c, <-accepted
}

func TestContract(t *testing.T) {
	carriertest.Check(t, func(t *testing.T) (a, b carrier.Conn) { return pair(t, httptest.NewServer) })
}

func TestContractFromServer(t *testing.T) {
	carriertest.Check(t, func(t *testing.T) (a, b carrier.Conn) {
		c, s := pair(t, httptest.NewServer)
		return s, c
	})
}

func TestContractTLS(t *testing.T) {
	carriertest.Check(t, func(t *testing.T) (a, b carrier.Conn) { return pair(t, httptest.NewTLSServer) })
}

// TestQueued fills a connection that nobody reads.
func TestQueued(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells")
	}
	c, s := pair(t, httptest.NewTLSServer)
	defer c.Close()
	defer s.Close()
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		for s.Send(ctx, make([]byte, 16384)) == nil {
		}
	}()
	for s.Queued() == 0 {
		runtime.Gosched()
	}
	cancel()
}

func TestRedirectIsNotFollowed(t *testing.T) {
	followed := false
	target := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { followed = true }))
	defer target.Close()
	srv := httptest.NewServer(http.RedirectHandler(target.URL, http.StatusTemporaryRedirect))
	defer srv.Close()
	u, _ := url.Parse(strings.Replace(srv.URL, "http", "ws", 1))
	if c, err := Dial(context.Background(), u, DialOptions{}); err == nil {
		c.Close()
		t.Fatal("a redirect was followed")
	} else if !strings.Contains(err.Error(), errRedirect.Error()) {
		t.Errorf("unclear error: %v", err)
	}
	if followed {
		t.Error("the redirect's target was visited")
	}
}

func TestDialSendsNothingOfItsOwn(t *testing.T) {
	var got *http.Request
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.Clone(context.Background())
		w.WriteHeader(http.StatusTeapot)
	}))
	defer srv.Close()
	u, _ := url.Parse(strings.Replace(srv.URL, "http://", "ws://user:secret@", 1) + "/path?client_ip=192.0.2.1")
	if c, err := Dial(context.Background(), u, DialOptions{}); err == nil {
		c.Close()
		t.Fatal("no error from a server that does not upgrade")
	}
	for _, h := range []string{"Authorization", "User-Agent", "Origin", "Sec-WebSocket-Extensions", "Sec-WebSocket-Protocol"} {
		if v := got.Header.Get(h); v != "" {
			t.Errorf("%s: %q", h, v)
		}
	}
	if got.RequestURI != "/path?client_ip=192.0.2.1" {
		t.Errorf("asked for %s", got.RequestURI)
	}
}

func TestOtherSchemesAreRefused(t *testing.T) {
	for _, s := range []string{"http://127.0.0.1/", "https://127.0.0.1/", "ftp://127.0.0.1/", "/"} {
		u, _ := url.Parse(s)
		if c, err := Dial(context.Background(), u, DialOptions{}); err == nil {
			c.Close()
			t.Errorf("%s was dialled", s)
		}
	}
}

// TestTextAndFragments feeds what deployed peers may send: text messages,
// empty ones, and one message in many frames.
func TestTextAndFragments(t *testing.T) {
	const want = "text" + "binary" + "one message in several frames"
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		ctx := context.Background()
		c.Write(ctx, websocket.MessageText, []byte("text"))
		c.Write(ctx, websocket.MessageBinary, nil)
		c.Write(ctx, websocket.MessageBinary, []byte("binary"))
		mw, err := c.Writer(ctx, websocket.MessageBinary)
		if err != nil {
			t.Error(err)
			return
		}
		for _, s := range strings.SplitAfter("one message in several frames", " ") {
			io.WriteString(mw, s)
		}
		mw.Close()
		c.Close(websocket.StatusNormalClosure, "")
	}))
	defer srv.Close()
	u, _ := url.Parse(strings.Replace(srv.URL, "http", "ws", 1))
	c, err := Dial(context.Background(), u, DialOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var got bytes.Buffer
	buf := make([]byte, 7)
	for {
		n, err := c.Recv(buf)
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			t.Error("an empty message was delivered")
		}
		got.Write(buf[:n])
	}
	if got.String() != want {
		t.Errorf("got %q", got.String())
	}
}
