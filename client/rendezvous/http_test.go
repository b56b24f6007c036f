package rendezvous

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"flurry/common/covert"
	"flurry/common/covert/coverttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newHTTP(t *testing.T, c HTTPConfig) *HTTP {
	t.Helper()
	h, err := NewHTTP(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return h
}

func TestDirect(t *testing.T) {
	paths := make(chan string, 1)
	broker := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.Method != http.MethodPost || r.Host != r.Context().Value(http.LocalAddrContextKey).(net.Addr).String() {
			t.Errorf("%s, host %s", r.Method, r.Host)
		}
		if strings.Contains(r.UserAgent(), "Go-http-client") || r.UserAgent() == "" {
			t.Errorf("user agent %q", r.UserAgent())
		}
		paths <- r.URL.RequestURI()
		_, _ = w.Write(append([]byte("answer to "), body...))
	}))
	defer broker.Close()
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	for path, want := range map[string]string{"": "/client", "/": "/client", "/a/": "/a/client", "/a": "/client", "/a?q=1": "/client"} {
		h := newHTTP(t, HTTPConfig{BrokerURL: broker.URL + path})
		reply, err := h.Exchange(t.Context(), []byte("offer"))
		if err != nil || string(reply) != "answer to offer" {
			t.Fatalf("%q, %v", reply, err)
		}
		if got := <-paths; got != want {
			t.Errorf("%s: path %s, want %s", path, got, want)
		}
	}
}

func TestBadConfig(t *testing.T) {
	good := "https://broker.example/"
	for _, c := range []HTTPConfig{
		{BrokerURL: ""}, {BrokerURL: "broker.example"}, {BrokerURL: "ftp://broker.example/"}, {BrokerURL: "https:///x"}, {BrokerURL: "https://a b/"},
		{BrokerURL: good, Fronts: []string{""}}, {BrokerURL: good, Fronts: []string{"https://front.example"}},
		{BrokerURL: good, Fronts: []string{"front.example/path"}}, {BrokerURL: good, Fronts: []string{"front.example:0"}},
		{BrokerURL: good, Fronts: []string{"front.example:99999"}}, {BrokerURL: good, Fronts: []string{"user@front.example"}},
		{BrokerURL: good, Fronts: []string{"a\r\nb"}}, {BrokerURL: good, Hello: "hellochrome_999"},
	} {
		if h, err := NewHTTP(c); err == nil {
			_ = h.Close()
			t.Errorf("accepted %+v", c)
		}
	}
	for _, front := range []string{"front.example", "front.example:8443", "192.0.2.1", "192.0.2.1:443", "[2001:db8::1]", "[2001:db8::1]:443"} {
		newHTTP(t, HTTPConfig{BrokerURL: good, Fronts: []string{front}})
	}
}

func TestReplies(t *testing.T) {
	var reply func(w http.ResponseWriter)
	broker := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { reply(w) }))
	defer broker.Close()
	h := newHTTP(t, HTTPConfig{BrokerURL: broker.URL})
	exchange := func() ([]byte, error) { return h.Exchange(t.Context(), []byte("offer")) }

	reply = func(w http.ResponseWriter) { _, _ = w.Write(make([]byte, MaxReplyBytes)) }
	if got, err := exchange(); err != nil || len(got) != MaxReplyBytes {
		t.Errorf("longest reply: %d bytes, %v", len(got), err)
	}
	reply = func(w http.ResponseWriter) { _, _ = w.Write(make([]byte, MaxReplyBytes+1)) }
	if got, err := exchange(); err == nil || !strings.Contains(err.Error(), "longer than 100000 bytes") {
		t.Errorf("too long a reply: %d bytes, %v", len(got), err)
	}
	for _, status := range []int{204, 301, 302, 400, 404, 500, 503} {
		reply = func(w http.ResponseWriter) {
			w.Header().Set("Location", broker.URL+"/elsewhere")
			w.WriteHeader(status)
		}
		_, err := exchange()
		if !errors.Is(err, ErrNoAnswer) || !strings.Contains(err.Error(), "Unexpected error, no answer.") || !strings.Contains(err.Error(), fmt.Sprint(status)) {
			t.Errorf("status %d: %v", status, err)
		}
	}
}

// A stalled broker does not hang an Exchange: with every TLS stack, before and
// after the handshake.
func TestStalledBroker(t *testing.T) {
	ca := coverttest.NewCA(t)
	release := make(chan struct{})
	defer close(release)
	s := coverttest.NewServer(t, ca.Certificate(t, "127.0.0.1"), true, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	for _, addr := range []string{s.Addr(), listenSilently(t)} {
		for _, hello := range []string{"", "hellochrome_auto"} {
			h := newHTTP(t, HTTPConfig{BrokerURL: "https://" + addr, Hello: hello, RootCAs: ca.Pool(), Timeout: 200 * time.Millisecond})
			if _, err := h.Exchange(t.Context(), []byte("offer")); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s %q: %v", addr, hello, err)
			}
		}
	}
	h := newHTTP(t, HTTPConfig{BrokerURL: "https://" + s.Addr(), RootCAs: ca.Pool()})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.Exchange(ctx, []byte("offer")); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// listenSilently returns an address that takes connections and never answers.
func listenSilently(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String()
}

// fronts is a provider: a broker that only certain hosts lead to.
type fronts struct {
	ca    *coverttest.CA
	hosts map[string]string // host to address

	mu    sync.Mutex
	dials []string
}

func newFronts(t *testing.T) *fronts {
	return &fronts{ca: coverttest.NewCA(t), hosts: make(map[string]string)}
}

// add starts a front called name; nil is one that passes everything on.
func (f *fronts) add(t *testing.T, name string, handler http.Handler) *coverttest.Server {
	s := coverttest.NewServer(t, f.ca.Certificate(t, name), true, handler)
	f.hosts[name] = s.Addr()
	return s
}

func (f *fronts) config(names ...string) HTTPConfig {
	return HTTPConfig{
		BrokerURL: "https://broker.example/",
		Fronts:    names,
		RootCAs:   f.ca.Pool(),
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			f.mu.Lock()
			f.dials = append(f.dials, addr)
			f.mu.Unlock()
			return coverttest.DialTo(f.hosts)(ctx, network, addr)
		},
	}
}

// status replies to everything with a status.
func status(code int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) })
}

// Who looks on sees the front; only the front sees the broker's name.
func TestFronting(t *testing.T) {
	for _, hello := range append(covert.HelloNames(), "") {
		for _, noSNI := range []bool{false, true} {
			f := newFronts(t)
			s := f.add(t, "front.example", nil)
			c := f.config("front.example:8443")
			c.BrokerURL = "https://broker.example:7443/path/"
			c.Hello, c.NoSNI = hello, noSNI
			h := newHTTP(t, c)
			for range 2 {
				reply, err := h.Exchange(t.Context(), []byte("offer"))
				if err != nil || string(reply) != "offer" {
					t.Fatalf("%q: %q, %v", hello, reply, err)
				}
			}
			names := s.Names()
			for _, name := range names {
				if want := map[bool]string{false: "front.example", true: ""}[noSNI]; name != want {
					t.Errorf("%q: server name %q", hello, name)
				}
			}
			if !strings.HasPrefix(hello, "hellorandomized") && len(names) != 1 {
				t.Errorf("%q: %d connections to one front", hello, len(names))
			}
			for _, r := range s.Requests() {
				if r.Host != "broker.example:7443" || r.URL.Path != "/path/client" {
					t.Errorf("%q: host %q, path %q", hello, r.Host, r.URL.Path)
				}
			}
			for _, addr := range f.dials {
				if addr != "front.example:8443" {
					t.Errorf("%q: dialled %s", hello, addr)
				}
			}
			for _, record := range s.Hellos() {
				if bytes.Contains(record, []byte("broker")) {
					t.Errorf("%q: the hello names the broker", hello)
				}
			}
		}
	}
}

// Prepare opens the connection of the next Exchange, to a front drawn at random,
// and no other.
func TestPrepare(t *testing.T) {
	used := map[string]bool{}
	for range 20 {
		f := newFronts(t)
		f.add(t, "a.example", nil)
		f.add(t, "b.example", nil)
		h := newHTTP(t, f.config("a.example", "b.example"))
		h.Prepare()
		h.Prepare()
		if reply, err := h.Exchange(t.Context(), []byte("offer")); err != nil || string(reply) != "offer" {
			t.Fatalf("%q, %v", reply, err)
		}
		if len(f.dials) != 1 {
			t.Fatalf("dialled %q", f.dials)
		}
		used[f.dials[0]] = true
	}
	if len(used) != 2 {
		t.Errorf("always the same front: %v", used)
	}
}

// A front that Prepare chose and that fails is passed over like any other.
func TestPrepareDeadFront(t *testing.T) {
	f := newFronts(t)
	f.add(t, "a.example", nil)
	h := newHTTP(t, f.config("a.example", "dead.example"))
	for range 10 {
		h.Prepare()
		if reply, err := h.Exchange(t.Context(), []byte("offer")); err != nil || string(reply) != "offer" {
			t.Fatalf("%q, %v", reply, err)
		}
	}
}

// Every front gets its share.
func TestFrontsAreDrawnAtRandom(t *testing.T) {
	f := newFronts(t)
	names := []string{"a.example", "b.example", "c.example"}
	var servers []*coverttest.Server
	for _, name := range names {
		servers = append(servers, f.add(t, name, nil))
	}
	h := newHTTP(t, f.config(names...))
	const n = 150
	for range n {
		if _, err := h.Exchange(t.Context(), []byte("offer")); err != nil {
			t.Fatal(err)
		}
	}
	for i, s := range servers {
		// Mean 50, deviation 5.8: a wrong alarm is beyond five deviations.
		if got := len(s.Requests()); got < 20 || got > 80 {
			t.Errorf("%s got %d of %d requests", names[i], got, n)
		}
	}
}

// Whatever is wrong with a front, the next one serves; with none left the error
// names each.
func TestFrontPassedOver(t *testing.T) {
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	stall := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	cut := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	for what, c := range map[string]struct {
		prepare func(t *testing.T, f *fronts)
		reason  string
	}{
		"unknown name": {func(*testing.T, *fronts) {}, "no such host"},
		"refused": {func(t *testing.T, f *fronts) {
			f.add(t, "bad.example", nil).Stop()
		}, "connection refused"},
		"silent": {func(t *testing.T, f *fronts) { f.hosts["bad.example"] = listenSilently(t) }, "no answer within"},
		"not TLS": {func(t *testing.T, f *fronts) {
			s := httptest.NewServer(status(200))
			t.Cleanup(s.Close)
			f.hosts["bad.example"] = s.Listener.Addr().String()
		}, "TLS handshake"},
		"other certificate": {func(t *testing.T, f *fronts) {
			s := coverttest.NewServer(t, f.ca.Certificate(t, "other.example"), true, nil)
			f.hosts["bad.example"] = s.Addr()
		}, "certificate of front bad.example is not valid for bad.example: x509: certificate is valid for other.example, not bad.example"},
		"unknown issuer": {func(t *testing.T, f *fronts) {
			s := coverttest.NewServer(t, coverttest.NewCA(t).Certificate(t, "bad.example"), true, nil)
			f.hosts["bad.example"] = s.Addr()
		}, "certificate of front bad.example is not valid for bad.example: x509: certificate signed by unknown authority"},
		"stalls after TLS": {func(t *testing.T, f *fronts) { f.add(t, "bad.example", stall) }, "no answer within"},
		"cuts":             {func(t *testing.T, f *fronts) { f.add(t, "bad.example", cut) }, "cancelled"},
		"403":              {func(t *testing.T, f *fronts) { f.add(t, "bad.example", status(403)) }, "403"},
		"404":              {func(t *testing.T, f *fronts) { f.add(t, "bad.example", status(404)) }, "404"},
		"421":              {func(t *testing.T, f *fronts) { f.add(t, "bad.example", status(421)) }, "421"},
		"502":              {func(t *testing.T, f *fronts) { f.add(t, "bad.example", status(502)) }, "502"},
	} {
		for _, hello := range []string{"", "hellofirefox_auto"} {
			t.Run(what+"/"+hello, func(t *testing.T) {
				t.Parallel()
				f := newFronts(t)
				c.prepare(t, f)
				good := f.add(t, "good.example", nil)
				config := f.config("bad.example", "good.example")
				config.Hello = hello
				config.Timeout, config.DialTimeout = 3*time.Second, time.Second
				h := newHTTP(t, config)
				h.report("good.example", true) // so that the bad one comes first
				reply, err := h.Exchange(t.Context(), []byte("offer"))
				if err != nil || string(reply) != "offer" {
					t.Fatalf("%q, %v", reply, err)
				}
				dials := len(f.dials)
				if f.dials[0] != "bad.example:443" {
					t.Fatalf("dialled %v", f.dials)
				}
				// The next Exchange begins with the front that works.
				if _, err := h.Exchange(t.Context(), []byte("offer")); err != nil {
					t.Fatal(err)
				}
				if len(f.dials) != dials || len(good.Requests()) != 2 {
					t.Errorf("dialled %v, good front got %d requests", f.dials, len(good.Requests()))
				}
				good.Stop()
				_, err = h.Exchange(t.Context(), []byte("offer"))
				var all *FrontsError
				if !errors.As(err, &all) || len(all.Reasons) != 2 || !strings.Contains(err.Error(), "front bad.example: ") ||
					!strings.Contains(err.Error(), c.reason) || !strings.Contains(err.Error(), "front good.example: ") {
					t.Errorf("error %v", err)
				}
			})
		}
	}
}

// A broker reached directly has its certificate checked as well.
func TestDirectWrongCertificate(t *testing.T) {
	f := newFronts(t)
	s := f.add(t, "other.example", nil)
	f.hosts["broker.example"] = s.Addr()
	h := newHTTP(t, f.config())
	_, err := h.Exchange(t.Context(), []byte("offer"))
	if err == nil || !strings.Contains(err.Error(), "certificate of broker broker.example is not valid for broker.example: ") {
		t.Errorf("error %v", err)
	}
	if n := len(s.Requests()); n != 0 {
		t.Errorf("it got %d requests", n)
	}
}

// When time is up, fronts that had no turn are named too.
func TestFrontsOutOfTime(t *testing.T) {
	f := newFronts(t)
	names := []string{"a.example", "b.example", "c.example", "d.example"}
	for _, name := range names {
		f.hosts[name] = listenSilently(t)
	}
	c := f.config(names...)
	c.Timeout = 100 * time.Millisecond
	ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	for _, ctx := range []context.Context{t.Context(), ctx} {
		_, err := newHTTP(t, c).Exchange(ctx, []byte("offer"))
		var all *FrontsError
		if !errors.As(err, &all) || len(all.Reasons) != len(names) {
			t.Errorf("error %v", err)
		}
	}
}

// Rendezvous that share connections, such as those of two bridge lines, make one
// to a front and no second beside it, and none of their requests is a Go
// program's.
func TestOneConnectionPerFront(t *testing.T) {
	for _, hello := range []string{"", covert.Chromium, covert.Firefox} {
		f := newFronts(t)
		s := f.add(t, "front.example", nil)
		config := f.config("front.example")
		shared, err := covert.NewTransport(covert.Options{Hello: hello, RootCAs: config.RootCAs, DialContext: config.DialContext})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = shared.Close() })
		config.Connections = shared
		var all sync.WaitGroup
		for line := range 2 {
			config.BrokerURL = fmt.Sprintf("https://broker%d.example/", line)
			h := newHTTP(t, config)
			h.Prepare()
			for range 8 {
				all.Go(func() {
					if reply, err := h.Exchange(t.Context(), []byte("offer")); err != nil || string(reply) != "offer" {
						t.Errorf("%q, %v", reply, err)
					}
				})
			}
		}
		all.Wait()
		if n := len(s.Hellos()); n != 1 || len(s.Requests()) != 16 {
			t.Errorf("%q: %d connections for %d requests", hello, n, len(s.Requests()))
		}
		for _, r := range s.Requests() {
			if !strings.HasPrefix(r.UserAgent(), "Mozilla/5.0 ") {
				t.Errorf("user agent %q", r.UserAgent())
			}
		}
	}
}
