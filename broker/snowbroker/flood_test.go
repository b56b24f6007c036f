package snowbroker

import (
	"fmt"
	"net"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"flurry/common/messages"
)

// TestFlood serves honest peers in a flood of others: requests that break off
// in the header or in the body, large ones that never end, and clients and
// proxies that never come back. Memory stays within the bounds meanwhile.
func TestFlood(t *testing.T) {
	const each = 300
	m := watched{NewMemory(MemoryOptions{PollWait: time.Hour, ClientWait: time.Hour, MaxPolls: 2 * each, MaxClients: each}),
		make(chan ProxyID, 3*each), make(chan error, 3*each), make(chan error, 3*each)}
	b, err := New(Config{Matcher: m})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(b.Handler())
	defer srv.Close()
	defer m.Close()

	var before, during runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)

	var conns []net.Conn
	defer func() {
		for _, c := range conns {
			c.Close()
		}
	}()
	start := func(text string) {
		c, err := net.Dial("tcp", srv.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
		if _, err := fmt.Fprint(c, text); err != nil {
			t.Fatal(err)
		}
	}
	request := func(path, body string, length int) string {
		return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: b\r\nContent-Length: %d\r\n\r\n%s", path, length, body)
	}
	large := strings.Repeat("x", messages.MaxBodyBytes-1)
	for i := range each {
		start("POST /proxy HTTP/1.1\r\nHost: ")
		start(request("/client", "1.0\n{", 1000))
		if i < each/10 {
			start(request("/answer", large, messages.MaxBodyBytes))
		}
		poll := pollBody(fmt.Sprint("absent", i), "unrestricted")
		start(request("/proxy", poll, len(poll)))
		<-m.polled
		if i%2 == 0 {
			offer := clientBody("restricted")
			start(request("/client", offer, len(offer)))
			<-m.pollEnd
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&during)
	// Each connection costs a few KB on the broker's side and our own, and
	// each large body at most its double.
	const most = 4*each*64<<10 + each/10*2*messages.MaxBodyBytes
	if grown := int64(during.HeapInuse+during.StackInuse) - int64(before.HeapInuse+before.StackInuse); grown > most {
		t.Errorf("%d bytes for %d connections, want at most %d", grown, len(conns), most)
	}

	s := &site{Server: srv, t: t, b: b, m: m}
	defer s.requests.Wait()
	honest := s.poll(strings.Replace(pollBody("honest", "restricted"), `"Clients":8`, `"Clients":0`, 1))
	client := s.background("/client", clientBody("unrestricted"))
	if got := <-honest; !strings.Contains(got, messages.StatusClientMatch) {
		t.Errorf("poll: %s", got)
	}
	s.expect("answer", s.post("/answer", answerBody("honest")), `200 {"Status":"success"}`)
	if got := <-client; !strings.Contains(got, "candidate") {
		t.Errorf("client: %s", got)
	}
}
