package coverttest

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// A Watcher is an HTTPS server on loopback that writes down everything its
// clients show, in the order in which they show it: what net/http would put into
// maps and interpret. It answers a GET with one page and other requests, of
// at most 64 KB together on a connection, with a word.
type Watcher struct {
	t        testing.TB
	listener net.Listener
	config   *tls.Config
	page     string
	work     sync.WaitGroup

	mu    sync.Mutex
	open  map[net.Conn]bool // nil: closed
	seen  []*Connection
	posts chan struct{} // holds one: there are more requests than before
}

// A Connection is what one connection showed.
type Connection struct {
	Hello    []byte // the TLS records of the ClientHello
	Protocol string // as ALPN chose it
	// Records are the kinds and lengths of the TLS records after the hello, as
	// whoever watches the line sees them.
	Records  []string
	Frames   []string // HTTP/2: one line each
	Requests []Request
}

// A Request is one request. Its fields stand as they were sent, the pseudo
// headers of HTTP/2 among them.
type Request struct {
	Method, Path string
	Fields       []string // "name: value"
	Frame        string   // HTTP/2: stream and priority of its HEADERS
	Coding       []string // HTTP/2: how each field was encoded, and in how many bytes
}

// NewWatcher starts a Watcher that speaks protocol, "h2" or "http/1.1", to those
// who offer it. It ends with the test.
func NewWatcher(t testing.TB, cert tls.Certificate, protocol, page string) *Watcher {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &Watcher{t: t, listener: l, page: page, open: make(map[net.Conn]bool), posts: make(chan struct{}, 1)}
	w.config = &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{protocol}}
	w.work.Go(w.accept)
	t.Cleanup(w.stop)
	return w
}

// Addr returns the server's host:port.
func (w *Watcher) Addr() string { return w.listener.Addr().String() }

// Connections returns what was seen so far: of each connection that finished
// its handshake, in the order of their beginning.
func (w *Watcher) Connections() []Connection {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []Connection
	for _, c := range w.seen {
		copied := *c
		copied.Records = append([]string(nil), c.Records...)
		copied.Frames = append([]string(nil), c.Frames...)
		copied.Requests = append([]Request(nil), c.Requests...)
		all = append(all, copied)
	}
	return all
}

// Await returns the connections once there were n POST requests.
func (w *Watcher) Await(ctx context.Context, n int) ([]Connection, error) {
	for {
		all, posts := w.Connections(), 0
		for _, c := range all {
			for _, r := range c.Requests {
				if r.Method == "POST" {
					posts++
				}
			}
		}
		if posts >= n {
			return all, nil
		}
		select {
		case <-w.posts:
		case <-ctx.Done():
			return all, fmt.Errorf("%d of %d requests: %w", posts, n, ctx.Err())
		}
	}
}

func (w *Watcher) stop() {
	_ = w.listener.Close()
	w.mu.Lock()
	for c := range w.open {
		_ = c.Close()
	}
	w.open = nil
	w.mu.Unlock()
	w.work.Wait()
}

func (w *Watcher) accept() {
	for {
		c, err := w.listener.Accept()
		if err != nil {
			return
		}
		w.mu.Lock()
		if w.open == nil {
			_ = c.Close()
		} else {
			w.open[c] = true
			w.work.Go(func() { w.serve(c) })
		}
		w.mu.Unlock()
	}
}

// serve serves one connection until it ends.
func (w *Watcher) serve(raw net.Conn) {
	defer func() {
		_ = raw.Close()
		w.mu.Lock()
		delete(w.open, raw)
		w.mu.Unlock()
	}()
	hello, err := readHello(raw)
	if err != nil {
		return // such as a connection opened ahead and not used
	}
	c := &Connection{Hello: hello}
	conn := tls.Server(&replayConn{Conn: raw, first: bytes.NewReader(hello), saw: func(record string) {
		w.mu.Lock()
		defer w.mu.Unlock()
		c.Records = append(c.Records, record)
	}}, w.config)
	if err := conn.HandshakeContext(context.Background()); err != nil {
		w.t.Logf("handshake with a client: %v", err)
		return
	}
	w.mu.Lock()
	c.Protocol = conn.ConnectionState().NegotiatedProtocol
	w.seen = append(w.seen, c)
	w.mu.Unlock()
	if c.Protocol == "h2" {
		w.serveHTTP2(c, conn)
	} else {
		w.serveHTTP1(c, conn)
	}
}

// note writes down a request.
func (w *Watcher) note(c *Connection, r Request) {
	w.mu.Lock()
	c.Requests = append(c.Requests, r)
	w.mu.Unlock()
	select {
	case w.posts <- struct{}{}:
	default:
	}
}

// frame writes down a frame.
func (w *Watcher) frame(c *Connection, format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c.Frames = append(c.Frames, fmt.Sprintf(format, args...))
}

func (w *Watcher) serveHTTP2(c *Connection, conn net.Conn) {
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(conn, preface); err != nil || string(preface) != http2.ClientPreface {
		return
	}
	f := http2.NewFramer(conn, bufio.NewReader(conn))
	var fields []hpack.HeaderField
	asked := make(map[uint32]Request)
	decoder := hpack.NewDecoder(4096, func(f hpack.HeaderField) { fields = append(fields, f) })
	if f.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 100}) != nil {
		return
	}
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return
		}
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if frame.IsAck() {
				w.frame(c, "SETTINGS acknowledged")
				continue
			}
			var all []string
			_ = frame.ForeachSetting(func(s http2.Setting) error {
				all = append(all, s.String())
				return nil
			})
			w.frame(c, "SETTINGS %s", strings.Join(all, " "))
			err = f.WriteSettingsAck()
		case *http2.WindowUpdateFrame:
			w.frame(c, "WINDOW_UPDATE stream %d: %d", frame.StreamID, frame.Increment)
		case *http2.PriorityFrame:
			w.frame(c, "PRIORITY stream %d: %+v", frame.StreamID, frame.PriorityParam)
		case *http2.PingFrame:
			w.frame(c, "PING")
			if !frame.IsAck() {
				err = f.WritePing(true, frame.Data)
			}
		case *http2.HeadersFrame:
			fields = nil
			block := bytes.Clone(frame.HeaderBlockFragment())
			if _, err := decoder.Write(block); err != nil || !frame.HeadersEnded() || decoder.Close() != nil {
				w.t.Errorf("headers cannot be read, or are longer than a browser's: %v", err)
				return
			}
			r := Request{Coding: codings(block)}
			for _, f := range fields {
				r.Fields = append(r.Fields, f.Name+": "+f.Value)
				switch f.Name {
				case ":method":
					r.Method = f.Value
				case ":path":
					r.Path = f.Value
				}
			}
			r.Frame = fmt.Sprintf("HEADERS stream %d, priority %v %+v", frame.StreamID, frame.HasPriority(), frame.Priority)
			w.frame(c, "%s", r.Frame)
			asked[frame.StreamID] = r
			if frame.StreamEnded() {
				err = w.replyHTTP2(c, f, frame.StreamID, r)
			}
		case *http2.DataFrame:
			w.frame(c, "DATA stream %d: %d bytes, end %v", frame.StreamID, frame.Length, frame.StreamEnded())
			if frame.StreamEnded() {
				err = w.replyHTTP2(c, f, frame.StreamID, asked[frame.StreamID])
			}
		default:
			w.frame(c, "%v", frame.Header())
		}
		if err != nil {
			return
		}
	}
}

// replyHTTP2 writes down a request that is complete, and answers it.
func (w *Watcher) replyHTTP2(c *Connection, f *http2.Framer, stream uint32, r Request) error {
	w.note(c, r)
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	_ = e.WriteField(hpack.HeaderField{Name: ":status", Value: "200"})
	_ = e.WriteField(hpack.HeaderField{Name: "content-type", Value: "text/html"})
	if err := f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: b.Bytes(), EndHeaders: true}); err != nil {
		return err
	}
	return f.WriteData(stream, true, []byte(w.reply(r.Method)))
}

func (w *Watcher) reply(method string) string {
	if method == "GET" {
		return w.page
	}
	return "answer"
}

func (w *Watcher) serveHTTP1(c *Connection, conn net.Conn) {
	reader := bufio.NewReader(conn)
	text := textproto.NewReader(reader)
	for {
		line, err := text.ReadLine()
		if err != nil {
			return
		}
		parts := strings.Split(line, " ")
		if len(parts) != 3 {
			return
		}
		r := Request{Method: parts[0], Path: parts[1], Fields: []string{line}}
		length := 0
		for {
			line, err := text.ReadLine()
			if err != nil {
				return
			}
			if line == "" {
				break
			}
			r.Fields = append(r.Fields, line)
			if name, value, _ := strings.Cut(line, ": "); strings.EqualFold(name, "content-length") {
				length, _ = strconv.Atoi(value)
			}
		}
		if _, err := io.CopyN(io.Discard, reader, int64(length)); err != nil {
			return
		}
		w.note(c, r)
		body := w.reply(r.Method)
		if _, err := fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n%s", len(body), body); err != nil {
			return
		}
	}
}
