package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// newTestBroker is a broker at which h answers.
func newTestBroker(t *testing.T, path string, h http.HandlerFunc) *broker {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	b, err := newBroker(srv.URL + path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.close)
	return b
}

func TestBrokerExchange(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1/") // nothing is there
	b := newTestBroker(t, "/base/", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Method != http.MethodPost || r.URL.Path != "/base/client" || len(r.Header["User-Agent"]) > 0 {
			t.Errorf("%s %s, %v, %v", r.Method, r.URL, r.Header, err)
		}
		w.Write(append([]byte("reply to "), body...))
	})
	reply, err := b.Exchange(t.Context(), []byte("request"))
	if err != nil || string(reply) != "reply to request" {
		t.Errorf("got %q, %v", reply, err)
	}
}

// No more than one reply's worth is read, redirects are errors, and so is
// everything that is no reply.
func TestBrokerExchangeFails(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/client" {
				t.Errorf("%s was asked for", r.URL)
			}
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		},
		"busy":    func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
		"giant":   func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, 100_001)) },
		"endless": func(w http.ResponseWriter, r *http.Request) { io.Copy(w, endless{}) },
		"header": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X", strings.Repeat("x", 2*brokerHeader))
		},
	} {
		b := newTestBroker(t, "/", h)
		if reply, err := b.Exchange(t.Context(), []byte("request")); err == nil {
			t.Errorf("%s: got %d bytes", name, len(reply))
		}
	}
}

type endless struct{}

func (endless) Read(b []byte) (int, error) { return len(b), nil }

func TestBrokerSilent(t *testing.T) {
	b := newTestBroker(t, "/", func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := b.Exchange(ctx, []byte("request")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestClientURL(t *testing.T) {
	for text, want := range map[string]string{
		"":                          "",
		"https://broker.example/":   "https://broker.example/client",
		"https://broker.example":    "https://broker.example/client",
		"http://127.0.0.1:8080/a/b": "http://127.0.0.1:8080/a/client",
	} {
		if got, err := clientURL(text); err != nil || got != want {
			t.Errorf("%s: got %q, %v", text, got, err)
		}
	}
	for _, text := range []string{"broker.example", "ftp://broker.example/", "https:///", "https://u:p@broker.example/", "://"} {
		if got, err := clientURL(text); err == nil || strings.Contains(err.Error(), ":p@") {
			t.Errorf("%s: got %q, %v", text, got, err)
		}
	}
}

func TestBinned(t *testing.T) {
	for n, want := range map[uint64]uint64{0: 0, 1: 8, 8: 8, 9: 16} {
		if got := binned(n); got != want {
			t.Errorf("%d became %d", n, got)
		}
	}
}
