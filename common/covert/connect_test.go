package covert

import (
	"net/url"
	"testing"
	"time"

	"flurry/common/covert/coverttest"
)

// A connection opened ahead, finished or not, serves the first request; the
// request makes no second one.
func TestConnectAhead(t *testing.T) {
	ca := coverttest.NewCA(t)
	cert := ca.Certificate(t, "front.example")
	u := &url.URL{Scheme: "https", Host: "front.example"}
	for _, http2 := range []bool{true, false} {
		for _, wait := range []bool{true, false} {
			s := coverttest.NewServer(t, cert, http2, nil)
			tr := newTransport(t, ca, s.Addr(), Options{})
			for range 2 { // the second time the protocol is known
				tr.Connect(u)
				tr.Connect(u)
				for wait && len(s.Names()) == 0 {
					time.Sleep(time.Millisecond)
				}
				if _, _, err := post(t, tr, u.String(), []byte("x")); err != nil {
					t.Fatal(err)
				}
				if n := len(s.Names()); n != 1 {
					t.Errorf("http2=%v, wait=%v: %d connections", http2, wait, n)
				}
			}
		}
	}
}

// A server that has grown tired of a connection opened ahead does not cost the
// first request: that goes over another one.
func TestConnectAheadGoesStale(t *testing.T) {
	ca := coverttest.NewCA(t)
	cert := ca.Certificate(t, "front.example")
	u := &url.URL{Scheme: "https", Host: "front.example"}
	for _, http2 := range []bool{true, false} {
		s := coverttest.NewServer(t, cert, http2, nil)
		tr := newTransport(t, ca, s.Addr(), Options{})
		tr.Connect(u)
		for idle := 0; idle == 0; time.Sleep(time.Millisecond) {
			tr.mu.Lock()
			idle = len(tr.hosts["https://front.example:443"].conns)
			tr.mu.Unlock()
		}
		s.CutConnections()
		if _, _, err := post(t, tr, u.String(), []byte("x")); err != nil {
			t.Errorf("http2=%v: %v", http2, err)
		}
		if n := len(s.Names()); n != 2 {
			t.Errorf("http2=%v: %d connections", http2, n)
		}
	}
}

// A Connect that fails leaves the error to the request, and nothing after Close.
func TestConnectFails(t *testing.T) {
	ca := coverttest.NewCA(t)
	tr := newTransport(t, ca, "127.0.0.1:1", Options{})
	for _, text := range []string{"https://front.example", "ftp://front.example", "https://", "//"} {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		tr.Connect(u)
	}
	if _, _, err := post(t, tr, "https://front.example/", nil); err == nil {
		t.Error("no error")
	}
	tr.Close()
	tr.Connect(&url.URL{Scheme: "https", Host: "front.example"})
}
