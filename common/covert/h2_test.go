package covert

import (
	"bytes"
	"crypto/tls"
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
			[]string{"1:65536", "2:0", "4:131072", "5:16384", "window 0+12517377", "window 3+12451840"}, 3,
			http2.PriorityParam{Weight: 21},
			":method :path :authority :scheme user-agent accept accept-language accept-encoding referer content-type content-length origin " +
				"sec-fetch-dest sec-fetch-mode sec-fetch-site priority te",
		},
		"hellofirefox_65": {
			[]string{"1:65536", "4:131072", "5:16384", "window 0+12517377",
				"priority 3 {StreamDep:0 Exclusive:false Weight:200 urgency:0 incremental:0}",
				"priority 5 {StreamDep:0 Exclusive:false Weight:100 urgency:0 incremental:0}",
				"priority 7 {StreamDep:0 Exclusive:false Weight:0 urgency:0 incremental:0}",
				"priority 9 {StreamDep:7 Exclusive:false Weight:0 urgency:0 incremental:0}",
				"priority 11 {StreamDep:3 Exclusive:false Weight:0 urgency:0 incremental:0}",
				"priority 13 {StreamDep:0 Exclusive:false Weight:240 urgency:0 incremental:0}"}, 15,
			http2.PriorityParam{StreamDep: 13, Weight: 41},
			":method :path :authority :scheme user-agent accept accept-language accept-encoding referer content-type origin content-length te",
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

func request(t *testing.T, url string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader("offer"))
	if err != nil {
		t.Fatal(err)
	}
	return req
}
