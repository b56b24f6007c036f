package covert

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"flurry/common/covert/coverttest"
)

// A fake is the server's side of one HTTP/2 connection, frame by frame.
type fake struct {
	*http2.Framer
	t      *testing.T
	frames []string // settings, window updates and priorities seen, as text
	encode bytes.Buffer
	hpack  *hpack.Encoder
}

// serveFake starts a TLS server of HTTP/2 whose connections are handled by
// serve, after the client's preface, and returns its address and CA.
func serveFake(t *testing.T, protocol string, serve func(n int, conn net.Conn)) (*coverttest.CA, string) {
	t.Helper()
	ca := coverttest.NewCA(t)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{ca.Certificate(t, "front.example")},
		NextProtos:   []string{protocol},
	})
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	var mu sync.Mutex
	var conns []net.Conn
	group.Go(func() {
		for n := 0; ; n++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, c)
			mu.Unlock()
			group.Go(func() {
				defer c.Close()
				serve(n, c)
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		for _, c := range conns {
			_ = c.Close()
		}
		mu.Unlock()
		group.Wait()
	})
	return ca, l.Addr().String()
}

// newFake reads the preface and sends settings.
func newFake(t *testing.T, conn net.Conn, settings ...http2.Setting) *fake {
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(conn, preface); err != nil || string(preface) != http2.ClientPreface {
		t.Errorf("preface %q, %v", preface, err)
	}
	f := &fake{Framer: http2.NewFramer(conn, conn), t: t}
	f.ReadMetaHeaders = hpack.NewDecoder(65536, nil)
	f.hpack = hpack.NewEncoder(&f.encode)
	_ = f.WriteSettings(settings...)
	return f
}

// request reads up to the end of the next request and returns it.
func (f *fake) request() (*http2.MetaHeadersFrame, []byte, bool) {
	var head *http2.MetaHeadersFrame
	var body []byte
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return nil, nil, false
		}
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if frame.IsAck() {
				continue
			}
			_ = frame.ForeachSetting(func(s http2.Setting) error {
				f.frames = append(f.frames, fmt.Sprintf("%d:%d", s.ID, s.Val))
				return nil
			})
		case *http2.WindowUpdateFrame:
			f.frames = append(f.frames, fmt.Sprintf("window %d+%d", frame.StreamID, frame.Increment))
		case *http2.PriorityFrame:
			f.frames = append(f.frames, fmt.Sprintf("priority %d %+v", frame.StreamID, frame.PriorityParam))
		case *http2.MetaHeadersFrame:
			head = frame
			if frame.StreamEnded() {
				return head, nil, true
			}
		case *http2.DataFrame:
			body = append(body, frame.Data()...)
			if n := uint32(len(frame.Data())); n > 0 {
				_ = f.WriteWindowUpdate(0, n)
				_ = f.WriteWindowUpdate(frame.StreamID, n)
			}
			if frame.StreamEnded() {
				return head, body, true
			}
		}
	}
}

// headers sends a block of header fields, given as name, value, ...
func (f *fake) headers(stream uint32, end bool, fields ...string) {
	f.encode.Reset()
	for i := 0; i < len(fields); i += 2 {
		_ = f.hpack.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: f.encode.Bytes(), EndHeaders: true, EndStream: end})
}

// reply sends a complete reply.
func (f *fake) reply(stream uint32, text string) {
	f.headers(stream, false, ":status", "200")
	_ = f.WriteData(stream, true, []byte(text))
}

// The opening of a connection and the headers of a request, in order.
func TestHTTP2LooksLikeTheBrowser(t *testing.T) {
	cases := map[string]struct {
		frames   []string
		stream   uint32
		priority http2.PriorityParam
		names    string
	}{
		"hellochrome_auto": {
			[]string{"1:65536", "2:0", "4:6291456", "6:262144", "window 0+15663105"}, 1,
			http2.PriorityParam{Exclusive: true, Weight: 219},
			":method :authority :scheme :path content-length sec-ch-ua-platform user-agent sec-ch-ua content-type sec-ch-ua-mobile accept " +
				"origin sec-fetch-site sec-fetch-mode sec-fetch-dest referer accept-encoding accept-language priority",
		},
		"hellofirefox_auto": {
			[]string{"1:65536", "4:131072", "5:16384", "window 0+12517377",
				"priority 3 {StreamDep:0 Exclusive:false Weight:200 urgency:0 incremental:0}",
				"priority 5 {StreamDep:0 Exclusive:false Weight:100 urgency:0 incremental:0}",
				"priority 7 {StreamDep:0 Exclusive:false Weight:0 urgency:0 incremental:0}",
				"priority 9 {StreamDep:7 Exclusive:false Weight:0 urgency:0 incremental:0}",
				"priority 11 {StreamDep:3 Exclusive:false Weight:0 urgency:0 incremental:0}",
				"priority 13 {StreamDep:0 Exclusive:false Weight:240 urgency:0 incremental:0}"}, 15,
			http2.PriorityParam{StreamDep: 13, Weight: 41},
			":method :path :authority :scheme user-agent accept accept-language accept-encoding referer content-type content-length origin " +
				"sec-fetch-dest sec-fetch-mode sec-fetch-site te",
		},
		"helloios_auto": {
			[]string{"4:2097152", "3:100", "window 0+10485760"}, 1,
			http2.PriorityParam{Weight: 254},
			":method :scheme :path :authority accept content-type origin content-length accept-language user-agent referer accept-encoding",
		},
	}
	for hello, want := range cases {
		t.Run(hello, func(t *testing.T) {
			ca, addr := serveFake(t, "h2", func(_ int, conn net.Conn) {
				f := newFake(t, conn)
				head, body, ok := f.request()
				if !ok {
					return
				}
				var names []string
				for _, field := range head.Fields {
					names = append(names, field.Name)
				}
				if got := strings.Join(names, " "); got != want.names {
					t.Errorf("headers\n got %s\nwant %s", got, want.names)
				}
				if !reflect.DeepEqual(f.frames, want.frames) {
					t.Errorf("opening\n got %q\nwant %q", f.frames, want.frames)
				}
				if head.StreamID != want.stream || head.Priority != want.priority {
					t.Errorf("stream %d, priority %+v", head.StreamID, head.Priority)
				}
				if head.PseudoValue("authority") != "broker.example" || head.PseudoValue("path") != "/a/client?b" || string(body) != "offer" {
					t.Errorf("request %v, body %q", head.PseudoFields(), body)
				}
				f.reply(head.StreamID, "answer")
				f.request()
			})
			tr := newTransport(t, ca, addr, Options{Hello: hello})
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://broker.example/a/client?b", strings.NewReader("offer"))
			if err != nil {
				t.Fatal(err)
			}
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

// A caller's headers take the place of the browser's.
func TestOwnHeaders(t *testing.T) {
	heads := make(chan *http2.MetaHeadersFrame, 1)
	ca, addr := serveFake(t, "h2", func(_ int, conn net.Conn) {
		f := newFake(t, conn)
		head, _, ok := f.request()
		if !ok {
			return
		}
		heads <- head
		f.reply(head.StreamID, "")
		f.request()
	})
	tr := newTransport(t, ca, addr, Options{})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://front.example/", nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{"User-Agent": "Mine/1", "Accept-Language": "", "X-Zed": "z", "X-Able": "a", "Connection": "close"} {
		req.Header.Set(name, value)
	}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	var got []string
	for _, f := range (<-heads).RegularFields() {
		switch f.Name {
		case "user-agent", "accept-language", "x-zed", "x-able", "connection", "origin", "content-length":
			got = append(got, f.Name+"="+f.Value)
		}
	}
	if want := []string{"user-agent=Mine/1", "x-able=a", "x-zed=z"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// The client keeps to the windows of a mean server, and reads on through the
// frames that a server may send.
func TestHTTP2FlowControl(t *testing.T) {
	body := bytes.Repeat([]byte("0123456789"), 9000)
	big := bytes.Repeat([]byte("a"), 3<<20)
	ca, addr := serveFake(t, "h2", func(_ int, conn net.Conn) {
		f := newFake(t, conn, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 10}, http2.Setting{ID: http2.SettingHeaderTableSize, Val: 0})
		_ = f.WritePing(false, [8]byte{1})
		head, got, ok := f.request()
		if !ok || !bytes.Equal(got, body) {
			t.Errorf("%d bytes arrived", len(got))
			return
		}
		id := head.StreamID
		f.headers(id, false, ":status", "103", "link", "x")
		f.headers(id, false, ":status", "200")
		_ = f.WriteRawFrame(0xfb, 0, id, []byte("unknown frames are ignored"))
		// Firefox's window of a stream is 131072: more needs its updates.
		window := 131072
		for rest := big; len(rest) > 0; {
			for window == 0 {
				frame, err := f.ReadFrame()
				if err != nil {
					t.Error("no window update")
					return
				}
				if w, ok := frame.(*http2.WindowUpdateFrame); ok && w.StreamID == id {
					window += int(w.Increment)
				}
			}
			n := min(len(rest), 16384-6, window-6)
			if n <= 0 {
				n = min(len(rest), window)
				_ = f.WriteData(id, false, rest[:n])
				window -= n
			} else {
				_ = f.WriteDataPadded(id, false, rest[:n], make([]byte, 5))
				window -= n + 6
			}
			rest = rest[n:]
		}
		f.headers(id, true, "trailer", "ignored")
		f.request()
	})
	tr := newTransport(t, ca, addr, Options{Hello: "hellofirefox_auto"})
	_, reply, err := post(t, tr, "https://front.example/", body)
	if err != nil || !bytes.Equal(reply, big) {
		t.Errorf("%d bytes, %v", len(reply), err)
	}
}

// A request that the server did not touch is sent again on a new connection.
func TestHTTP2Retries(t *testing.T) {
	for what, refuse := range map[string]func(f *fake, id uint32){
		"refused stream": func(f *fake, id uint32) { _ = f.WriteRSTStream(id, http2.ErrCodeRefusedStream) },
		"going away":     func(f *fake, id uint32) { _ = f.WriteGoAway(0, http2.ErrCodeNo, nil) },
	} {
		t.Run(what, func(t *testing.T) {
			ca, addr := serveFake(t, "h2", func(n int, conn net.Conn) {
				f := newFake(t, conn)
				head, _, ok := f.request()
				for first := true; ok; first = false {
					if n == 0 && first {
						refuse(f, head.StreamID)
					} else {
						f.reply(head.StreamID, "answer")
					}
					head, _, ok = f.request()
				}
			})
			tr := newTransport(t, ca, addr, Options{})
			_, reply, err := post(t, tr, "https://front.example/", []byte("x"))
			if err != nil || string(reply) != "answer" {
				t.Errorf("%q, %v", reply, err)
			}
		})
	}
}

// What a hostile or broken server does costs the request, nothing more.
func TestHTTP2BadServers(t *testing.T) {
	for what, act := range map[string]func(f *fake, id uint32, conn net.Conn){
		"data first":     func(f *fake, id uint32, _ net.Conn) { _ = f.WriteData(id, true, []byte("x")) },
		"no status":      func(f *fake, id uint32, _ net.Conn) { f.headers(id, true, "a", "b") },
		"bad status":     func(f *fake, id uint32, _ net.Conn) { f.headers(id, true, ":status", "abc") },
		"only interim":   func(f *fake, id uint32, _ net.Conn) { f.headers(id, true, ":status", "100") },
		"reset":          func(f *fake, id uint32, _ net.Conn) { _ = f.WriteRSTStream(id, http2.ErrCodeInternal) },
		"bad window":     func(f *fake, _ uint32, _ net.Conn) { _ = f.WriteWindowUpdate(0, 1<<31-1) },
		"bad stream win": func(f *fake, id uint32, _ net.Conn) { _ = f.WriteWindowUpdate(id, 1<<31-1) },
		"push": func(f *fake, id uint32, _ net.Conn) {
			_ = f.WritePushPromise(http2.PushPromiseParam{StreamID: id, PromiseID: 2, EndHeaders: true})
		},
		"frame too large": func(f *fake, _ uint32, conn net.Conn) {
			_, _ = conn.Write([]byte{0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1})
		},
		"not HTTP/2": func(_ *fake, _ uint32, conn net.Conn) { _, _ = conn.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")) },
		"headers too long": func(f *fake, id uint32, _ net.Conn) {
			f.headers(id, false, ":status", "200", "a", strings.Repeat("x", 9000), "b", strings.Repeat("y", 6000))
			for range 20 { // 15 kB each
				_ = f.WriteRawFrame(http2.FrameContinuation, 0, id, make([]byte, 15000))
			}
		},
		"more than the window": func(f *fake, id uint32, _ net.Conn) {
			f.headers(id, false, ":status", "200")
			for range 600 { // 9.8 MB against 6.3
				if f.WriteData(id, false, make([]byte, 16384)) != nil {
					return
				}
			}
		},
		"close": func(_ *fake, _ uint32, conn net.Conn) { _ = conn.Close() },
		"half a body": func(f *fake, id uint32, conn net.Conn) {
			f.headers(id, false, ":status", "200", "content-length", "10")
			_ = f.WriteData(id, false, []byte("half"))
			_ = conn.Close()
		},
	} {
		t.Run(what, func(t *testing.T) {
			reset := make(chan struct{}, 8)
			ca, addr := serveFake(t, "h2", func(_ int, conn net.Conn) {
				f := newFake(t, conn)
				head, _, ok := f.request()
				if !ok {
					return
				}
				act(f, head.StreamID, conn)
				for {
					frame, err := f.ReadFrame()
					if err != nil {
						return
					}
					if _, ok := frame.(*http2.RSTStreamFrame); ok {
						reset <- struct{}{}
					}
				}
			})
			tr := newTransport(t, ca, addr, Options{})
			resp, err := tr.RoundTrip(request(t, "https://front.example/"))
			if err == nil {
				if what == "more than the window" {
					<-reset // nobody has read: the window ended it
				}
				_, err = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
			}
			if err == nil || errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func request(t *testing.T, url string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader("offer"))
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// A reply's body that is closed early cancels its stream and frees its room.
func TestHTTP2CloseBodyEarly(t *testing.T) {
	cancelled := make(chan http2.ErrCode, 1)
	ca, addr := serveFake(t, "h2", func(_ int, conn net.Conn) {
		f := newFake(t, conn)
		head, _, ok := f.request()
		if !ok {
			return
		}
		f.headers(head.StreamID, false, ":status", "200")
		_ = f.WriteData(head.StreamID, false, []byte("begin"))
		for {
			frame, err := f.ReadFrame()
			if err != nil {
				return
			}
			switch frame := frame.(type) {
			case *http2.RSTStreamFrame:
				cancelled <- frame.ErrCode
			case *http2.MetaHeadersFrame:
				f.reply(frame.StreamID, "second")
			}
		}
	})
	tr := newTransport(t, ca, addr, Options{})
	resp, err := tr.RoundTrip(request(t, "https://front.example/"))
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil {
		t.Error(err)
	}
	if _, err := resp.Body.Read(make([]byte, 1)); !errors.Is(err, http.ErrBodyReadAfterClose) {
		t.Errorf("read after close: %v", err)
	}
	if code := <-cancelled; code != http2.ErrCodeCancel {
		t.Errorf("cancelled with %v", code)
	}
	if _, reply, err := post(t, tr, "https://front.example/", nil); err != nil || string(reply) != "second" {
		t.Errorf("%q, %v", reply, err)
	}
}
