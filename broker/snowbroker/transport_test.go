package snowbroker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"flurry/common/messages"
)

// TestReadTimeoutSparesWaiting: the server's limit on reading a request does
// not end a poll that was read and waits.
func TestReadTimeoutSparesWaiting(t *testing.T) {
	b, err := New(Config{Matcher: NewMemory(MemoryOptions{PollWait: 1500 * time.Millisecond})})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(b.Handler())
	srv.Config.ReadTimeout = time.Second
	srv.Start()
	defer srv.Close()
	_, got := do(t, srv, http.MethodPost, "/proxy", pollBody("p", "unrestricted"), nil)
	if !strings.Contains(got, messages.StatusNoMatch) {
		t.Errorf("got %q", got)
	}
}

// TestSlowBody: a body that does not come ends with the connection, and nobody
// waits for its sender.
func TestSlowBody(t *testing.T) {
	b, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(b.Handler())
	srv.Config.ReadTimeout = 50 * time.Millisecond
	srv.Start()
	defer srv.Close()
	c, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "POST /proxy HTTP/1.1\r\nHost: b\r\nContent-Length: 1000\r\n\r\n{")
	reply, err := io.ReadAll(c) // ends because the broker closes
	if err != nil || len(reply) > 0 && !strings.HasPrefix(string(reply), "HTTP/1.1 400 ") {
		t.Errorf("got %q, %v", reply, err)
	}
}

// TestHTTP2 holds many polls on one connection; cancelling one stream ends its
// poll alone.
func TestHTTP2(t *testing.T) {
	m := watched{NewMemory(MemoryOptions{PollWait: time.Hour}), make(chan ProxyID, 10), make(chan error, 10), make(chan error, 10)}
	b, err := New(Config{Matcher: m})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(b.Handler())
	srv.EnableHTTP2 = true
	srv.StartTLS()
	defer srv.Close()
	post := func(ctx context.Context, sid string) <-chan string {
		ch := make(chan string, 1)
		go func() {
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, srv.URL+"/proxy", strings.NewReader(pollBody(sid, "unrestricted")))
			if err != nil {
				ch <- err.Error()
				return
			}
			resp, err := srv.Client().Do(req)
			if err != nil {
				ch <- err.Error()
				return
			}
			defer resp.Body.Close()
			text, _ := io.ReadAll(resp.Body)
			ch <- resp.Proto + " " + string(text)
		}()
		<-m.polled
		return ch
	}
	ctx, cancel := context.WithCancel(context.Background())
	first := post(ctx, "a")
	second := post(context.Background(), "b")
	cancel()
	<-first
	if err := <-m.pollEnd; !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled poll: %v", err)
	}
	if n := len(m.Stats().Waiting); n != 1 {
		t.Errorf("%d kinds of polls wait, want 1", n)
	}
	m.Close()
	if got := <-second; !strings.HasPrefix(got, "HTTP/2.0 ") || !strings.Contains(got, messages.StatusNoMatch) {
		t.Errorf("other poll: %s", got)
	}
}
