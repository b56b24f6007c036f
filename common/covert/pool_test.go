package covert

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"flurry/common/covert/coverttest"
)

// Requests at once: one connection over HTTP/2, one each over HTTP/1.1, and
// all of them answered.
func TestManyAtOnce(t *testing.T) {
	ca := coverttest.NewCA(t)
	cert := ca.Certificate(t, "front.example")
	const n = 40
	for _, http2 := range []bool{true, false} {
		var arrived sync.WaitGroup
		arrived.Add(n)
		s := coverttest.NewServer(t, cert, http2, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			arrived.Done()
			arrived.Wait() // all are under way together
			_, _ = w.Write(body)
		}))
		tr := newTransport(t, ca, s.Addr(), Options{Hello: "hellofirefox_auto"})
		var group sync.WaitGroup
		for i := range n {
			group.Go(func() {
				want := []byte(fmt.Sprint("request ", i))
				_, got, err := post(t, tr, "https://front.example/", want)
				if err != nil || !bytes.Equal(got, want) {
					t.Errorf("http2=%v: %q, %v", http2, got, err)
				}
			})
		}
		group.Wait()
		if conns := len(s.Names()); http2 && conns != 1 || !http2 && conns < n {
			t.Errorf("http2=%v: %d connections", http2, conns)
		}
	}
}

// A kept connection that the server has cut is replaced without an error.
func TestCutConnectionIsReplaced(t *testing.T) {
	ca := coverttest.NewCA(t)
	cert := ca.Certificate(t, "front.example")
	for _, http2 := range []bool{true, false} {
		s := coverttest.NewServer(t, cert, http2, nil)
		tr := newTransport(t, ca, s.Addr(), Options{Hello: "hellochrome_auto"})
		for range 3 {
			if _, _, err := post(t, tr, "https://front.example/", []byte("x")); err != nil {
				t.Fatalf("http2=%v: %v", http2, err)
			}
			s.CutConnections()
		}
	}
}

// A server that accepts and is silent, before or after the handshake, costs the
// bounded time only.
func TestStalledServer(t *testing.T) {
	ca := coverttest.NewCA(t)
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	release := make(chan struct{})
	slow := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	halfway := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte("begin"))
		_ = http.NewResponseController(w).Flush()
		slow(w, r)
	})
	cert := ca.Certificate(t, "front.example")
	addrs := map[string]string{
		"no handshake":  silent.Addr().String(),
		"h2 no reply":   coverttest.NewServer(t, cert, true, slow).Addr(),
		"h1 no reply":   coverttest.NewServer(t, cert, false, slow).Addr(),
		"h2 half reply": coverttest.NewServer(t, cert, true, halfway).Addr(),
		"h1 half reply": coverttest.NewServer(t, cert, false, halfway).Addr(),
	}
	defer close(release)
	for what, addr := range addrs {
		for _, name := range []string{"", "hellofirefox_auto"} {
			t.Run(what+"/"+name, func(t *testing.T) {
				tr := newTransport(t, ca, addr, Options{Hello: name, DialTimeout: 150 * time.Millisecond, Timeout: 300 * time.Millisecond})
				_, _, err := post(t, tr, "https://front.example/", []byte("x"))
				if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "no answer within") {
					t.Errorf("%v", err)
				}
			})
		}
	}
}

// Close ends a request under way and refuses later ones.
func TestCloseEndsRequests(t *testing.T) {
	ca := coverttest.NewCA(t)
	arrived := make(chan struct{})
	s := coverttest.NewServer(t, ca.Certificate(t, "front.example"), true, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
	}))
	tr := newTransport(t, ca, s.Addr(), Options{})
	result := make(chan error, 1)
	go func() {
		_, _, err := post(t, tr, "https://front.example/", []byte("x"))
		result <- err
	}()
	<-arrived
	if err := tr.Close(); err != nil {
		t.Error(err)
	}
	if err := <-result; !errors.Is(err, ErrClosed) {
		t.Errorf("request under way: %v", err)
	}
	if _, _, err := post(t, tr, "https://front.example/", nil); !errors.Is(err, ErrClosed) {
		t.Errorf("later request: %v", err)
	}
}

// An idle connection ends by itself, and at once with CloseIdleConnections.
func TestIdleConnectionsEnd(t *testing.T) {
	ca := coverttest.NewCA(t)
	for _, http2 := range []bool{true, false} {
		s := coverttest.NewServer(t, ca.Certificate(t, "front.example"), http2, nil)
		ended := make(chan struct{}, 2)
		dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
			c, err := new(net.Dialer).DialContext(ctx, network, s.Addr())
			return &watchedConn{Conn: c, ended: ended}, err
		}
		tr := newTransport(t, ca, "", Options{DialContext: dial, IdleTimeout: 50 * time.Millisecond})
		if _, _, err := post(t, tr, "https://front.example/", nil); err != nil {
			t.Fatal(err)
		}
		<-ended // or the test runs into its own timeout

		tr = newTransport(t, ca, "", Options{DialContext: dial})
		if _, _, err := post(t, tr, "https://front.example/", nil); err != nil {
			t.Fatal(err)
		}
		tr.CloseIdleConnections()
		<-ended
	}
}

type watchedConn struct {
	net.Conn
	once  sync.Once
	ended chan struct{}
}

func (c *watchedConn) Close() error {
	c.once.Do(func() { c.ended <- struct{}{} })
	return c.Conn.Close()
}
