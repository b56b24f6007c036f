package snowbroker

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"flurry/common/messages"
)

const (
	testOffer  = `{"type":"offer","sdp":"v=0\r\n"}`
	testAnswer = `{"type":"answer","sdp":"v=0\r\na=candidate:1 1 udp 1 198.51.100.1 9 typ host\r\n"}`
)

// watched is a Matcher that tells when polls begin to wait and when calls end.
type watched struct {
	*Memory
	polled  chan ProxyID // a poll was registered
	pollEnd chan error   // a Poll call returned
	cliEnd  chan error   // an Offer call returned
}

func (m watched) Poll(ctx context.Context, p Poll) (Offer, error) {
	x, err := m.addPoll(p)
	if err != nil {
		return Offer{}, err
	}
	m.polled <- p.ID
	o, err := m.await(ctx, x)
	m.pollEnd <- err
	return o, err
}

func (m watched) Offer(ctx context.Context, o Offer) (Answer, error) {
	a, err := m.Memory.Offer(ctx, o)
	m.cliEnd <- err
	return a, err
}

// site is a broker behind a server.
type site struct {
	*httptest.Server
	t *testing.T
	b *Broker
	m watched

	requests sync.WaitGroup // in the background
}

func newSite(t *testing.T, cfg Config, o MemoryOptions) *site {
	const room = 100 // no test has more calls that end
	m := watched{NewMemory(o), make(chan ProxyID, room), make(chan error, room), make(chan error, room)}
	cfg.Matcher = m
	b, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(b.Handler())
	s := &site{Server: srv, t: t, b: b, m: m}
	t.Cleanup(func() { m.Close(); s.requests.Wait(); srv.Close() })
	return s
}

// send makes one request and returns the response with its body read.
func send(srv *httptest.Server, method, path, body string, header map[string]string) (*http.Response, string, error) {
	req, err := http.NewRequest(method, srv.URL+path, strings.NewReader(body))
	if err != nil {
		return nil, "", err
	}
	for k, v := range header {
		req.Header.Set(k, v)
	}
	resp, err := srv.Client().Do(req)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return resp, string(text), err
}

// do is send where nothing may go wrong.
func do(t *testing.T, srv *httptest.Server, method, path, body string, header map[string]string) (*http.Response, string) {
	t.Helper()
	resp, text, err := send(srv, method, path, body, header)
	if err != nil {
		t.Fatal(err)
	}
	return resp, text
}

// post returns "STATUS BODY".
func (s *site) post(path, body string) string {
	s.t.Helper()
	resp, text := do(s.t, s.Server, http.MethodPost, path, body, nil)
	return fmt.Sprint(resp.StatusCode, " ", text)
}

// background makes a request and sends what post would return.
func (s *site) background(path, body string) <-chan string {
	ch := make(chan string, 1)
	s.requests.Go(func() {
		resp, text, err := send(s.Server, http.MethodPost, path, body, nil)
		if err != nil {
			ch <- err.Error()
			return
		}
		ch <- fmt.Sprint(resp.StatusCode, " ", text)
	})
	return ch
}

// poll starts a poll and returns when the broker holds it.
func (s *site) poll(body string) <-chan string {
	s.t.Helper()
	ch := s.background("/proxy", body)
	<-s.m.polled
	return ch
}

func (s *site) expect(what, got, want string) {
	s.t.Helper()
	if got != want {
		s.t.Errorf("%s: got %s, want %s", what, got, want)
	}
}

func pollBody(sid, nat string) string {
	return fmt.Sprintf(`{"Sid":%q,"Version":"1.3","Type":"standalone","NAT":%q,"Clients":8,"AcceptedRelayPattern":""}`, sid, nat)
}

func clientBody(nat string) string {
	return "1.0\n" + fmt.Sprintf(`{"offer":%q,"nat":%q}`, testOffer, nat)
}

func answerBody(sid string) string {
	return fmt.Sprintf(`{"Version":"1.3","Sid":%q,"Answer":%q}`, sid, testAnswer)
}

func TestIntroduction(t *testing.T) {
	s := newSite(t, Config{}, MemoryOptions{})
	poll := s.poll(pollBody("p", "unrestricted"))
	s.expect("debug", s.post("/debug", ""), "200 current snowflakes available: 1\n\tstandalone proxies: 1\n"+
		"\tunknown proxies: 0\nNAT Types available:\n\trestricted: 0\n\tunrestricted: 1\n\tunknown: 0")
	client := s.background("/client", clientBody("restricted"))
	s.expect("poll", <-poll, `200 {"Status":"client match","Offer":"{\"type\":\"offer\",\"sdp\":\"v=0\\r\\n\"}",`+
		`"NAT":"restricted","NextPoll":20000,"RelayURL":"wss://snowflake.torproject.net/"}`)
	if !strings.Contains(s.post("/debug", ""), "available: 1") {
		t.Error("a proxy whose answer is due is missing from /debug")
	}
	s.expect("answer", s.post("/answer", answerBody("p")), `200 {"Status":"success"}`)
	s.expect("client", <-client,
		`200 {"answer":"{\"type\":\"answer\",\"sdp\":\"v=0\\r\\na=candidate:1 1 udp 1 198.51.100.1 9 typ host\\r\\n\"}","key":"`+s.b.seal.Public()+`"}`)
	s.expect("second answer", s.post("/answer", answerBody("p")), `200 {"Status":"client gone"}`)
}

func TestLegacyClient(t *testing.T) {
	s := newSite(t, Config{}, MemoryOptions{ClientWait: time.Millisecond})
	s.expect("nobody waits", s.post("/client", testOffer), "503 ")
	s.expect("bad description", s.post("/client", `{"type":"x"}`), "400 ")
	s.expect("not JSON", s.post("/client", `{`), "400 ")
	poll := s.poll(pollBody("p", "unrestricted"))
	s.expect("no answer", s.post("/client", testOffer), "504 ")
	<-poll

	s = newSite(t, Config{}, MemoryOptions{})
	poll = s.poll(pollBody("p", "unrestricted"))
	client := s.background("/client", testOffer)
	<-poll
	s.post("/answer", answerBody("p"))
	s.expect("answered", <-client, "200 "+testAnswer)
}

func TestLegacyClientWithoutDefaultBridge(t *testing.T) {
	bridges, err := ReadBridges(strings.NewReader(""))
	if err != nil {
		t.Fatal(err)
	}
	s := newSite(t, Config{Bridges: bridges}, MemoryOptions{})
	s.expect("unknown bridge", s.post("/client", testOffer), "400 ")
}

func TestWaitsOverHTTP(t *testing.T) {
	intervals := PollIntervals{Unrestricted: 3 * time.Second}
	s := newSite(t, Config{PollIntervals: &intervals}, MemoryOptions{PollWait: time.Millisecond, ClientWait: time.Millisecond})
	s.expect("unrestricted poll", s.post("/proxy", pollBody("p", "unrestricted")),
		`200 {"Status":"no match","Offer":"","NAT":"","NextPoll":3000,"RelayURL":""}`)
	s.expect("restricted poll", s.post("/proxy", pollBody("p", "restricted")),
		`200 {"Status":"no match","Offer":"","NAT":"","NextPoll":0,"RelayURL":""}`)

	s = newSite(t, Config{}, MemoryOptions{ClientWait: time.Millisecond})
	poll := s.poll(pollBody("p", "unrestricted"))
	s.expect("client", s.post("/client", clientBody("restricted")), `200 {"error":"timed out waiting for answer!"}`)
	<-poll
	s.expect("late answer", s.post("/answer", answerBody("p")), `200 {"Status":"client gone"}`)
}

// TestRepeatedSid: a poll with a registered id gets nothing and takes nothing.
func TestRepeatedSid(t *testing.T) {
	s := newSite(t, Config{}, MemoryOptions{})
	poll := s.poll(pollBody("p", "unrestricted"))
	s.expect("second poll", s.post("/proxy", pollBody("p", "unrestricted")),
		`200 {"Status":"no match","Offer":"","NAT":"","NextPoll":20000,"RelayURL":""}`)
	client := s.background("/client", clientBody("unknown"))
	if got := <-poll; !strings.Contains(got, "client match") {
		t.Errorf("first poll: %s", got)
	}
	s.expect("poll while the answer is due", s.post("/proxy", pollBody("p", "unrestricted")),
		`200 {"Status":"no match","Offer":"","NAT":"","NextPoll":20000,"RelayURL":""}`)
	s.post("/answer", answerBody("p"))
	if got := <-client; !strings.Contains(got, "answer") {
		t.Errorf("client: %s", got)
	}
}

func TestFull(t *testing.T) {
	s := newSite(t, Config{}, MemoryOptions{MaxPolls: 1, MaxClients: 1, ClientWait: time.Hour})
	poll := s.poll(pollBody("a", "unrestricted"))
	s.expect("second poll", s.post("/proxy", pollBody("b", "unrestricted")), "503 ")
	first := s.background("/client", clientBody("unknown"))
	<-poll
	s.poll(pollBody("b", "unrestricted"))
	s.expect("second client", s.post("/client", clientBody("unknown")), "503 ")
	s.post("/answer", answerBody("a"))
	<-first
}

// hangUp starts a request on a connection of its own and returns what cuts it.
func (s *site) hangUp(path, body string) (cut func()) {
	s.t.Helper()
	c, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		s.t.Fatal(err)
	}
	fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: b\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body)
	return func() { c.Close() }
}

// TestProxyHangsUp: a poll whose connection is gone gets no client.
func TestProxyHangsUp(t *testing.T) {
	s := newSite(t, Config{}, MemoryOptions{PollWait: time.Hour})
	cut := s.hangUp("/proxy", pollBody("p", "unrestricted"))
	<-s.m.polled
	cut()
	<-s.m.pollEnd
	s.expect("client", s.post("/client", clientBody("restricted")), `200 {"error":"no snowflake proxies currently available"}`)
}

// TestClientHangsUp: nobody's answer is waited for any longer.
func TestClientHangsUp(t *testing.T) {
	s := newSite(t, Config{}, MemoryOptions{ClientWait: time.Hour})
	poll := s.poll(pollBody("p", "unrestricted"))
	cut := s.hangUp("/client", clientBody("restricted"))
	<-poll
	cut()
	<-s.m.cliEnd
	s.expect("answer", s.post("/answer", answerBody("p")), `200 {"Status":"client gone"}`)
}

// TestLargeBodiesAreBounded fills the room for large requests with ones that
// never end. Large ones are then refused, small ones served; and the room is
// free again when they are gone.
func TestLargeBodiesAreBounded(t *testing.T) {
	s := newSite(t, Config{}, MemoryOptions{PollWait: time.Millisecond})
	large := `{"Sid":"` + strings.Repeat("x", 2*smallBody) + `","Version":"1.3","AcceptedRelayPattern":""}`
	if got := s.post("/proxy", large); !strings.HasPrefix(got, "200 ") {
		t.Errorf("large poll with room: %s", got)
	}
	if n := s.b.bodies.large.Load(); n != 0 {
		t.Errorf("%d bytes are held after the reply", n)
	}
	var other requestBody
	other.from = &s.b.bodies
	for other.hold(messages.MaxBodyBytes) {
	}
	s.expect("large poll without room", s.post("/proxy", large), "503 ")
	s.expect("large client without room", s.post("/client", "1.0\n"+large), "503 ")
	if got := s.post("/proxy", pollBody("p", "unknown")); !strings.HasPrefix(got, "200 ") {
		t.Errorf("small poll: %s", got)
	}
	other.done()
	if got := s.post("/proxy", large); !strings.HasPrefix(got, "200 ") {
		t.Errorf("large poll with room again: %s", got)
	}
}

// TestChunkedBodyLimit: without a length the limit holds as well, to the byte.
func TestChunkedBodyLimit(t *testing.T) {
	s := newSite(t, Config{}, MemoryOptions{PollWait: time.Millisecond})
	for _, c := range []struct{ size, status int }{{messages.MaxBodyBytes, 200}, {messages.MaxBodyBytes + 1, 400}} {
		body := `{"Sid":"p","Version":"1.3","AcceptedRelayPattern":""}`
		body += strings.Repeat(" ", c.size-len(body))
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/proxy", bufio.NewReader(strings.NewReader(body)))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := s.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != c.status {
			t.Errorf("%d bytes: status %d, want %d", c.size, resp.StatusCode, c.status)
		}
	}
}

func TestMetricsPage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "metrics")
	s := newSite(t, Config{MetricsPath: path}, MemoryOptions{})
	s.expect("no file", s.post("/metrics", ""), "404 404 page not found\n")
	if err := os.WriteFile(path, []byte("snowflake-stats-end\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	resp, body := do(t, s.Server, http.MethodGet, "/metrics", "", nil)
	s.expect("body", body, "snowflake-stats-end\n")
	s.expect("type", resp.Header.Get("Content-Type"), plainText)

	s = newSite(t, Config{}, MemoryOptions{})
	s.expect("standard output", s.post("/metrics", ""), "404 404 page not found\n")
	s = newSite(t, Config{MetricsPath: t.TempDir()}, MemoryOptions{})
	s.expect("directory", s.post("/metrics", ""), "404 404 page not found\n")
}

// countryOfTests is Config.Country of the tests.
func countryOfTests(a netip.Addr) string {
	if a == netip.MustParseAddr("8.8.8.8") {
		return "US"
	}
	return ""
}
