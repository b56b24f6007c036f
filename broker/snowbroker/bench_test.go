package snowbroker

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"flurry/common/messages"
)

// BenchmarkRendezvous measures what one match costs the broker and the three
// requests' connections, with 1,000 other polls waiting.
func BenchmarkRendezvous(b *testing.B) {
	b.ReportAllocs()
	m := watched{NewMemory(MemoryOptions{}), make(chan ProxyID, 1), make(chan error, 1), make(chan error, 1)}
	for i := range 1000 {
		if _, err := m.addPoll(Poll{ID: ProxyID(fmt.Sprint("w", i)), NAT: messages.NATUnrestricted, Clients: 8}); err != nil {
			b.Fatal(err)
		}
	}
	broker, err := New(Config{Matcher: m})
	if err != nil {
		b.Fatal(err)
	}
	srv := httptest.NewServer(broker.Handler())
	defer srv.Close()
	sdp := strings.Repeat(`a=candidate:1 1 udp 1 198.51.100.1 9 typ host\r\n`, 20)
	client := newBenchConn(b, srv, "/client", "1.0\n"+fmt.Sprintf(`{"offer":%q,"nat":"restricted"}`, `{"type":"offer","sdp":"`+sdp+`"}`))
	poll := newBenchConn(b, srv, "/proxy", `{"Sid":"p","Version":"1.3","Type":"standalone","NAT":"unrestricted","AcceptedRelayPattern":""}`)
	answer := newBenchConn(b, srv, "/answer", fmt.Sprintf(`{"Version":"1.3","Sid":"p","Answer":%q}`, `{"type":"answer","sdp":"`+sdp+`"}`))
	for b.Loop() {
		poll.send()
		<-m.polled
		client.send()
		poll.receive()
		answer.send()
		answer.receive()
		client.receive()
		<-m.pollEnd
		<-m.cliEnd
	}
}

// benchConn sends the same request again and again.
type benchConn struct {
	b       *testing.B
	c       net.Conn
	r       *bufio.Reader
	request string
}

func newBenchConn(b *testing.B, srv *httptest.Server, path, body string) *benchConn {
	c, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.Close() })
	return &benchConn{b, c, bufio.NewReader(c),
		fmt.Sprintf("POST %s HTTP/1.1\r\nHost: b\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body)}
}

func (c *benchConn) send() {
	if _, err := io.WriteString(c.c, c.request); err != nil {
		c.b.Fatal(err)
	}
}

func (c *benchConn) receive() {
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		c.b.Fatal(err)
	}
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK || len(text) < 10 {
		c.b.Fatalf("%d %s %v", resp.StatusCode, text, err)
	}
}
