package covert

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"

	"flurry/common/covert/coverttest"
)

// readRequest reads one request with a length as it came.
func readRequest(r *bufio.Reader) (head []string, body []byte, err error) {
	length := 0
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return nil, nil, err
		}
		line = strings.TrimRight(line, "\r\n")
		if line == "" {
			break
		}
		head = append(head, line)
		if rest, ok := strings.CutPrefix(line, "Content-Length: "); ok {
			if _, err := fmt.Sscan(rest, &length); err != nil {
				return nil, nil, err
			}
		}
	}
	body = make([]byte, length)
	_, err = io.ReadFull(r, body)
	return head, body, err
}

// The headers of HTTP/1.1, their spelling and order, on https and http.
func TestHTTP1LooksLikeTheBrowser(t *testing.T) {
	cases := map[string]string{
		"https hellochrome_auto": "Host Connection Content-Length sec-ch-ua-platform User-Agent sec-ch-ua Content-Type sec-ch-ua-mobile Accept Origin " +
			"Sec-Fetch-Site Sec-Fetch-Mode Sec-Fetch-Dest Referer Accept-Encoding Accept-Language",
		"http hellochrome_auto": "Host Connection Content-Length User-Agent Content-Type Accept Origin Referer Accept-Encoding Accept-Language",
		"https hellofirefox_auto": "Host User-Agent Accept Accept-Language Accept-Encoding Referer Content-Type Content-Length Origin Connection " +
			"Sec-Fetch-Dest Sec-Fetch-Mode Sec-Fetch-Site Priority",
		"https hellofirefox_55": "Host User-Agent Accept Accept-Language Accept-Encoding Referer Content-Type Origin Content-Length Connection",
		"https hellochrome_72":  "Host Connection Content-Length Origin User-Agent Content-Type Accept Referer Accept-Encoding Accept-Language",
		"https helloios_11_1":   "Host Accept Content-Type Origin Connection Content-Length Accept-Language User-Agent Referer Accept-Encoding",
	}
	for what, want := range cases {
		t.Run(what, func(t *testing.T) {
			scheme, hello, _ := strings.Cut(what, " ")
			serve := func(conn net.Conn) {
				head, body, err := readRequest(bufio.NewReader(conn))
				if err != nil {
					return
				}
				var names []string
				for _, line := range head[1:] {
					name, value, _ := strings.Cut(line, ": ")
					names = append(names, name)
					if name == "Host" && value != "broker.example:8443" || name == "Origin" && value != scheme+"://broker.example:8443" {
						t.Error(line)
					}
				}
				if got := strings.Join(names, " "); got != want {
					t.Errorf("headers\n got %s\nwant %s", got, want)
				}
				if head[0] != "POST /client HTTP/1.1" || string(body) != "offer" {
					t.Errorf("%s, body %q", head[0], body)
				}
				_, _ = io.WriteString(conn, "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nanswer")
			}
			ca, addr := serveFake(t, "http/1.1", func(_ int, conn net.Conn) { serve(conn) })
			if scheme == "http" {
				addr = servePlain(t, serve)
			}
			tr := newTransport(t, ca, addr, Options{Hello: hello})
			req := request(t, scheme+"://broker.example:8443/client")
			req.URL.Host = "front.example"
			resp, err := tr.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if reply, err := io.ReadAll(resp.Body); string(reply) != "answer" || err != nil {
				t.Errorf("reply %q, %v", reply, err)
			}
		})
	}
}

// servePlain serves one TCP connection.
func servePlain(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		serve(conn)
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return l.Addr().String()
}

// Replies with every kind of framing are read, and the connection is kept where
// the framing allows it.
func TestHTTP1Framing(t *testing.T) {
	for what, c := range map[string]struct {
		reply string
		kept  bool
	}{
		"length":          {"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nanswer", true},
		"chunks":          {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nans\r\n3\r\nwer\r\n0\r\n\r\n", true},
		"close":           {"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 6\r\n\r\nanswer", false},
		"until the close": {"HTTP/1.1 200 OK\r\n\r\nanswer", false},
		"HTTP/1.0":        {"HTTP/1.0 200 OK\r\nContent-Length: 6\r\n\r\nanswer", false},
		"surplus":         {"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nanswerHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong", false},
	} {
		t.Run(what, func(t *testing.T) {
			conns := make(chan int, 4)
			ca, addr := serveFake(t, "http/1.1", func(n int, conn net.Conn) {
				r := bufio.NewReader(conn)
				for {
					if _, _, err := readRequest(r); err != nil {
						return
					}
					conns <- n
					_, _ = io.WriteString(conn, c.reply)
					if what == "until the close" {
						return
					}
				}
			})
			tr := newTransport(t, ca, addr, Options{})
			for range 2 {
				if _, reply, err := post(t, tr, "https://front.example/", []byte("x")); err != nil || string(reply) != "answer" {
					t.Fatalf("%q, %v", reply, err)
				}
			}
			if first, second := <-conns, <-conns; (first == second) != c.kept {
				t.Errorf("connections %d and %d", first, second)
			}
		})
	}
}

func TestHTTP1BadServers(t *testing.T) {
	for what, reply := range map[string]string{
		"garbage":          "SSH-2.0-OpenSSH\r\n\r\n",
		"nothing":          "",
		"endless headers":  "HTTP/1.1 200 OK\r\n" + strings.Repeat("a: b\r\n", 20000),
		"one long header":  "HTTP/1.1 200 OK\r\na: " + strings.Repeat("b", 100000) + "\r\n\r\n",
		"endless interim":  strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 100),
		"protocol switch":  "HTTP/1.1 101 Switching Protocols\r\n\r\n",
		"half a body":      "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
		"half a chunk":     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nhalf",
		"bad chunk":        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhalf\r\n",
		"two lengths":      "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
		"half compressed":  "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\n\x1f\x8b\x08",
		"bad compression":  "HTTP/1.1 200 OK\r\nContent-Encoding: zstd\r\nContent-Length: 5\r\n\r\nhello",
		"other compession": "HTTP/1.1 200 OK\r\nContent-Encoding: lzma\r\nContent-Length: 5\r\n\r\nhello",
	} {
		t.Run(what, func(t *testing.T) {
			ca, addr := serveFake(t, "http/1.1", func(_ int, conn net.Conn) {
				r := bufio.NewReader(conn)
				if _, _, err := readRequest(r); err == nil {
					_, _ = io.WriteString(conn, reply)
				}
			})
			tr := newTransport(t, ca, addr, Options{})
			resp, reply, err := post(t, tr, "https://front.example/", []byte("x"))
			if err == nil || errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v, %q, %v", resp, reply, err)
			}
		})
	}
}

// A server that speaks a protocol nobody asked for is refused.
func TestALPNIsRespected(t *testing.T) {
	ca := coverttest.NewCA(t)
	s := coverttest.NewServer(t, ca.Certificate(t, "front.example"), false, nil)
	tr := newTransport(t, ca, s.Addr(), Options{Hello: "hellochrome_auto"})
	resp, _, err := post(t, tr, "https://front.example/", []byte("x"))
	if err != nil || resp.ProtoMajor != 1 || len(s.Names()) != 1 {
		t.Errorf("%v, %v, %d connections", resp, err, len(s.Names()))
	}
}

// Compressed replies are read as a browser reads them, on both protocols.
func TestDecompression(t *testing.T) {
	text := bytes.Repeat([]byte("answer "), 5000)
	pack := map[string]func(io.Writer) io.WriteCloser{
		"gzip":    func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) },
		"deflate": func(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) },
		"Deflate": func(w io.Writer) io.WriteCloser { f, _ := flate.NewWriter(w, 6); return f },
		"br":      func(w io.Writer) io.WriteCloser { return brotli.NewWriter(w) },
		"zstd":    func(w io.Writer) io.WriteCloser { z, _ := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1)); return z },
	}
	ca := coverttest.NewCA(t)
	for _, http2 := range []bool{true, false} {
		s := coverttest.NewServer(t, ca.Certificate(t, "front.example"), http2, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			coding := strings.TrimPrefix(r.URL.Path, "/")
			if !strings.Contains(r.Header.Get("Accept-Encoding"), strings.ToLower(coding)) {
				t.Errorf("%s is not offered", coding)
			}
			w.Header().Set("Content-Encoding", coding)
			z := pack[coding](w)
			_, _ = z.Write(text)
			_ = z.Close()
		}))
		tr := newTransport(t, ca, s.Addr(), Options{Hello: "hellochrome_auto"})
		for coding := range pack {
			resp, reply, err := post(t, tr, "https://front.example/"+coding, nil)
			if err != nil || !bytes.Equal(reply, text) || !resp.Uncompressed || resp.Header.Get("Content-Encoding") != "" {
				t.Errorf("http2=%v %s: %d bytes, %v", http2, coding, len(reply), err)
			}
		}
		// Who asks for a coding gets it as it is.
		req := request(t, "https://front.example/gzip")
		req.Header.Set("Accept-Encoding", "gzip")
		resp, err := tr.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		reply, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || !bytes.HasPrefix(reply, []byte{0x1f, 0x8b}) {
			t.Errorf("asked for gzip: %d bytes, %v", len(reply), err)
		}
	}
}
