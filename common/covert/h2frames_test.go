package covert

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

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
	tr := newTransport(t, ca, addr, Options{Hello: "hellofirefox_65"})
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

// A kept connection that has gone silent is not tried again for ever.
func TestHTTP2SilentConnectionIsLeft(t *testing.T) {
	ca, addr := serveFake(t, "h2", func(n int, conn net.Conn) {
		f := newFake(t, conn)
		head, _, ok := f.request()
		for first := true; ok; first = false {
			if n > 0 || first {
				f.reply(head.StreamID, fmt.Sprint("connection ", n))
			}
			head, _, ok = f.request()
		}
	})
	tr := newTransport(t, ca, addr, Options{})
	if _, reply, err := post(t, tr, "https://front.example/", nil); err != nil || string(reply) != "connection 0" {
		t.Fatalf("%q, %v", reply, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	req := request(t, "https://front.example/").WithContext(ctx)
	req.Body = nil // the fake server acknowledges bodies
	if _, err := tr.RoundTrip(req); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	if _, reply, err := post(t, tr, "https://front.example/", nil); err != nil || string(reply) != "connection 1" {
		t.Errorf("%q, %v", reply, err)
	}
}
