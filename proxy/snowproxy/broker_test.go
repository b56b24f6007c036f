package snowproxy

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"flurry/common/messages"
	"flurry/common/safelog"
)

// brokerAt returns a broker client for the base URL of a test server.
func brokerAt(t *testing.T, base string) *broker {
	t.Helper()
	rt := newHTTPTransport(nil)
	t.Cleanup(rt.CloseIdleConnections)
	b, err := newBroker(base, rt)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBrokerURLs(t *testing.T) {
	for base, want := range map[string]string{
		"https://h/":       "https://h/proxy",
		"https://h/a/":     "https://h/a/proxy",
		"https://h/a":      "https://h/proxy",
		"http://h:8080":    "http://h:8080/proxy",
		"https://h/a/?q=1": "https://h/a/proxy",
	} {
		b, err := newBroker(base, nil)
		if err != nil || b.pollURL != want || b.answerURL != strings.TrimSuffix(want, "proxy")+"answer" {
			t.Errorf("%s: %s and %s, %v", base, b.pollURL, b.answerURL, err)
		}
	}
}

func TestRequestsToTheBroker(t *testing.T) {
	var agent, path atomic.Value
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		agent.Store(r.UserAgent())
		path.Store(r.Method + " " + r.URL.Path)
		w.Write([]byte(`{"Status":"success"}`))
	}))
	defer srv.Close()
	if err := brokerAt(t, srv.URL).answer(context.Background(), "sid", description("answer")); err != nil {
		t.Error(err)
	}
	if a := agent.Load().(string); !strings.Contains(a, "Firefox") {
		t.Errorf("user agent %q", a)
	}
	if p := path.Load(); p != "POST /answer" {
		t.Errorf("request %v", p)
	}
}

// hostileReplies are what a broken or evil broker may say to a poll.
func hostileReplies() map[string]http.HandlerFunc {
	text := func(s string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(s)) }
	}
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	return map[string]http.HandlerFunc{
		"nothing":        text(""),
		"not JSON":       text("<html>"),
		"wrong type":     text(`{"Status":1}`),
		"an array":       text(`[]`),
		"no status":      text(`{"Offer":"x"}`),
		"no offer":       text(`{"Status":"client match"}`),
		"offer object":   text(`{"Status":"client match","Offer":{}}`),
		"pause fraction": text(`{"Status":"no match","NextPoll":1.5}`),
		"deep JSON":      text(strings.Repeat("[", 99_000)),
		"endless":        endless,
		"too long":       text(`{"Status":"no match","X":"` + strings.Repeat("x", messages.MaxBodyBytes) + `"}`),
		"long header":    func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 1<<20)) },
		"400":            status(http.StatusBadRequest),
		"500":            status(http.StatusInternalServerError),
		"204":            status(http.StatusNoContent),
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		},
		"cut off":          cutOff,
		"unknown status":   text(`{"Status":"` + strings.Repeat("y", 90_000) + `"}`),
		"refusal":          text(`{"Status":"incorrect relay pattern","NextPoll":3600000}`),
		"wrong type later": text(`{"Status":"no match","NextPoll":"soon"}`),
	}
}

func endless(w http.ResponseWriter, r *http.Request) {
	for r.Context().Err() == nil {
		if _, err := w.Write(make([]byte, 1<<16)); err != nil {
			return
		}
	}
}

func cutOff(w http.ResponseWriter, _ *http.Request) {
	c, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		c.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"))
		c.Close()
	}
}

func TestHostilePollReplies(t *testing.T) {
	for name, reply := range hostileReplies() {
		t.Run(name, func(t *testing.T) {
			var elsewhere atomic.Bool
			mux := http.NewServeMux()
			mux.HandleFunc("/proxy", reply)
			mux.HandleFunc("/elsewhere", func(http.ResponseWriter, *http.Request) { elsewhere.Store(true) })
			srv := httptest.NewServer(mux)
			defer srv.Close()
			r, err := brokerAt(t, srv.URL).poll(context.Background(), messages.ProxyPollRequest{SessionID: "s", NAT: messages.NATUnknown})
			if err == nil {
				t.Errorf("accepted: %+v", r)
			}
			if elsewhere.Load() {
				t.Error("a redirect was followed")
			}
			var status *messages.StatusError
			if told := errors.As(err, &status); told != (name == "unknown status" || name == "refusal") {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestHostileAnswerReplies(t *testing.T) {
	for _, body := range []string{"", "null", "{}", `{"Status":""}`, `{"Status":"client gone"}`, `{"Status":"` + strings.Repeat("z", 90_000) + `"}`, "<html>"} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(body)) }))
		err := brokerAt(t, srv.URL).answer(context.Background(), "sid", description("answer"))
		if err == nil || len(err.Error()) > 300 {
			t.Errorf("%.40q: error %.400v", body, err)
		}
		srv.Close()
	}
}

// hostileMatches are matches that must end without a connection, whatever they
// name.
func hostileMatches() map[string]messages.ProxyPollResponse {
	const m = messages.StatusClientMatch
	offer := description("offer")
	return map[string]messages.ProxyPollResponse{
		"offer is text":    {Status: m, Offer: "hello"},
		"offer is answer":  {Status: m, Offer: description("answer")},
		"offer is no SDP":  {Status: m, Offer: `{"type":"offer","sdp":"v=7"}`},
		"offer is empty":   {Status: m, Offer: `{"type":"offer","sdp":""}`},
		"offer is garbage": {Status: m, Offer: `{"type":"offer","sdp":"` + strings.Repeat(`a=candidate:\r\n`, 5000) + `"}`},
		"plain relay":      {Status: m, Offer: offer, RelayURL: "ws://snowflake.torproject.net/"},
		"private relay":    {Status: m, Offer: offer, RelayURL: "wss://192.168.7.8/"},
		"foreign relay":    {Status: m, Offer: offer, RelayURL: "wss://example.com/"},
		"file relay":       {Status: m, Offer: offer, RelayURL: "file:///etc/passwd"},
		"garbage relay":    {Status: m, Offer: offer, RelayURL: "wss://[::1"},
	}
}

// A real answerer gets hostile matches: nothing is dialled, the tokens come
// back, the log holds no address, and the next poll comes.
func TestHostileMatches(t *testing.T) {
	for name, m := range hostileMatches() {
		t.Run(name, func(t *testing.T) {
			polls := make(chan struct{}, 100)
			broker := &fakeBroker{
				poll: func(context.Context, messages.ProxyPollRequest) (any, error) {
					polls <- struct{}{}
					return m, nil
				},
				answer: func(messages.ProxyAnswerRequest) (any, error) { t.Error("answered"); return nil, errors.New("x") },
			}
			var log bytes.Buffer
			p := newProxy(t, broker, func(c *Config) {
				c.Capacity = 1
				c.Answerer = nil // the real one
				c.STUNServers = []string{}
				c.Logger = slog.New(safelog.NewHandler(&log, safelog.Options{Level: slog.LevelDebug}))
			})
			p.schedule.own = 0 // poll as fast as tokens come back
			stop := start(t, p)
			for range 3 {
				select {
				case <-polls:
				case <-time.After(patience):
					t.Fatal("no further poll: the token is lost")
				}
			}
			stop()
			if out := p.tokens.out.Load(); out != 0 {
				t.Errorf("%d tokens out", out)
			}
			if strings.Contains(log.String(), "192.168.7.8") || !strings.Contains(log.String(), "client not served") {
				t.Errorf("log: %s", log.String())
			}
		})
	}
}
