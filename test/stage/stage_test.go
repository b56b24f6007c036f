package stage

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/pion/stun/v3"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The parts around the programs are tested here; the programs on a stage in test/system.

func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func TestWebServesAndTakesFiles(t *testing.T) {
	ctx := testContext(t)
	w, err := startWeb(ctx, loopback{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	dial := func() net.Conn {
		c, err := net.Dial("tcp", w.Addr())
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	for _, size := range []int64{0, 1, 100_000} {
		if err := Get(ctx, dial(), 7, size, nil); err != nil {
			t.Error(err)
		}
		if err := Put(ctx, dial(), 7, size); err != nil {
			t.Error(err)
		}
	}
	if w.Total() != 6 {
		t.Errorf("%d connections counted, want 6", w.Total())
	}
	if w.Sent() != 100_001 {
		t.Errorf("%d bytes counted, want 100001", w.Sent())
	}
	c := dial()
	r, err := Echo(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, "hello"); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 5)
	if _, err := io.ReadFull(r, b); err != nil || string(b) != "hello" {
		t.Errorf("echo gave %q, %v", b, err)
	}
	c.Close()
	if err := poll(ctx, func() (bool, error) { return w.Open() == 0, nil }); err != nil {
		t.Errorf("%d connections left: %v", w.Open(), err)
	}
}

// wrongWeb answers with a file that is not the one asked for.
func TestGetNoticesWrongBytes(t *testing.T) {
	ctx := testContext(t)
	body := make([]byte, 100)
	for _, reply := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + string(body),
		"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n" + string(body[:99]),
		"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + string(body[:99]),
		"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
	} {
		a, b := net.Pipe()
		go func() {
			defer b.Close()
			buf := make([]byte, 4096)
			if _, err := b.Read(buf); err == nil {
				io.WriteString(b, reply)
			}
		}()
		if err := Get(ctx, a, 1, 100, nil); err == nil {
			t.Errorf("no error for reply %.60q", reply)
		}
	}
}

func TestSTUNTellsMappingAndOtherAddress(t *testing.T) {
	s, err := startSTUN(testContext(t), loopback{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	c, err := net.Dial("udp4", strings.TrimPrefix(s.url(), "stun:"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	request := stun.MustBuild(stun.TransactionID, stun.BindingRequest)
	if _, err := c.Write(request.Raw); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 1500)
	n, err := c.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	reply := &stun.Message{Raw: buf[:n]}
	if err := reply.Decode(); err != nil {
		t.Fatal(err)
	}
	var mapped stun.XORMappedAddress
	if err := mapped.GetFrom(reply); err != nil || mapped.String() != c.LocalAddr().String() {
		t.Errorf("mapped address %v, %v, want %v", mapped, err, c.LocalAddr())
	}
	if reply.TransactionID != request.TransactionID {
		t.Error("reply to another transaction")
	}
	var other stun.OtherAddress
	if s.conns[1][1] != nil {
		if err := other.GetFrom(reply); err != nil || other.String() != s.conns[1][1].LocalAddr().String() {
			t.Errorf("other address %v, %v, want %v", other, err, s.conns[1][1].LocalAddr())
		}
	}
}

func TestSOCKSCarriesLongArguments(t *testing.T) {
	ctx := testContext(t)
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	got := make(chan string, 1)
	go func() {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		b := make([]byte, 3)
		io.ReadFull(c, b)
		c.Write([]byte{5, 2})
		read := func() string {
			io.ReadFull(c, b[:1])
			s := make([]byte, b[0])
			io.ReadFull(c, s)
			return string(s)
		}
		io.ReadFull(c, b[:1])
		user := read()
		got <- user + read()
		c.Write([]byte{1, 0})
		io.ReadFull(c, make([]byte, 10))
		c.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0})
	}()
	value := strings.Repeat("x", 300) + ";=\\"
	c, err := DialSOCKS(ctx, ln.Addr().String(), Args{"url": value})
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if want := "url=" + strings.Repeat("x", 300) + `\;\=\\`; <-got != want {
		t.Errorf("arguments differ from %q", want)
	}
}

func TestFlagsOfReadsTheListOfGoFlagPackage(t *testing.T) {
	flags, err := flagsOf(testContext(t), "go") // Its -h is not such a list.
	if err == nil {
		t.Errorf("flags %v of a program without a list", flags)
	}
}

func TestMetric(t *testing.T) {
	page := "# HELP go_goroutines Number\ngo_goroutines 17\nother{a=\"b\"} 3\n"
	if n, err := metric(page, "go_goroutines"); err != nil || n != 17 {
		t.Errorf("metric = %v, %v", n, err)
	}
	if _, err := metric(page, "other"); err == nil {
		t.Error("a metric with labels was taken for one without")
	}
}
