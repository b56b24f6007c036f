package covert

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	utls "github.com/refraction-networking/utls"

	"flurry/common/covert/coverttest"
)

// watched posts body twice to a Watcher under the name hello and returns the one
// connection that this took.
func watched(t *testing.T, hello, protocol string, body []byte) coverttest.Connection {
	t.Helper()
	ca := coverttest.NewCA(t)
	w := coverttest.NewWatcher(t, ca.Certificate(t, "front.example"), protocol, "")
	tr := newTransport(t, ca, w.Addr(), Options{Hello: hello})
	for range 2 {
		if _, _, err := post(t, tr, "https://front.example/client", body); err != nil {
			t.Fatal(err)
		}
	}
	all := w.Connections()
	if len(all) != 1 || len(all[0].Requests) != 2 {
		t.Fatalf("%d connections: %+v", len(all), all)
	}
	return all[0]
}

// What a connection of the current browsers shows, where the browsers that
// test/browser compares with are missing.
func TestCurrentBrowsers(t *testing.T) {
	body := bytes.Repeat([]byte("o"), 10000)
	for _, c := range []struct {
		hello string

		frames   []string
		records  []string // of the second request
		records1 []string // the same in HTTP/1.1
	}{
		{Chromium, []string{
			"SETTINGS [HEADER_TABLE_SIZE = 65536] [ENABLE_PUSH = 0] [INITIAL_WINDOW_SIZE = 6291456] [MAX_HEADER_LIST_SIZE = 262144]",
			"WINDOW_UPDATE stream 0: 15663105",
			"HEADERS stream 1, priority true {StreamDep:0 Exclusive:true Weight:219 urgency:0 incremental:0}",
			"DATA stream 1: 10000 bytes, end true",
			"HEADERS stream 3, priority true {StreamDep:0 Exclusive:true Weight:219 urgency:0 incremental:0}",
			"DATA stream 3: 10000 bytes, end true",
		}, []string{"23 of 56 bytes", "23 of 10026 bytes"}, []string{"23 of 10017 bytes"}},
		{Firefox, []string{
			"SETTINGS [HEADER_TABLE_SIZE = 65536] [ENABLE_PUSH = 0] [INITIAL_WINDOW_SIZE = 131072] [MAX_FRAME_SIZE = 16384]",
			"WINDOW_UPDATE stream 0: 12517377",
			"HEADERS stream 3, priority true {StreamDep:0 Exclusive:false Weight:21 urgency:0 incremental:0}",
			"WINDOW_UPDATE stream 3: 12451840",
			"DATA stream 3: 1580 bytes, end false",
			"DATA stream 3: 8420 bytes, end true",
			"HEADERS stream 5, priority true {StreamDep:0 Exclusive:false Weight:21 urgency:0 incremental:0}",
			"WINDOW_UPDATE stream 5: 12451840",
			"DATA stream 5: 1580 bytes, end false",
			"DATA stream 5: 8420 bytes, end true",
		}, []string{"23 of 67 bytes", "23 of 1606 bytes", "23 of 8446 bytes"}, []string{"23 of 10485 bytes"}},
	} {
		t.Run(c.hello, func(t *testing.T) {
			h2 := watched(t, c.hello, "h2", body)
			frames := slices.DeleteFunc(h2.Frames, func(f string) bool { return f == "SETTINGS acknowledged" })
			if !slices.Equal(frames, c.frames) {
				t.Errorf("frames:\n%s", strings.Join(frames, "\n"))
			}
			last := h2.Records[max(0, len(h2.Records)-len(c.records)):]
			if !slices.Equal(last, c.records) {
				t.Errorf("records: %s", h2.Records)
			}
			for i, coding := range h2.Requests[1].Coding {
				path := strings.HasPrefix(h2.Requests[1].Fields[i], ":path")
				if path && coding != "not added, 7 bytes" || !path && !strings.HasPrefix(coding, "indexed") {
					t.Errorf("%s is %s", h2.Requests[1].Fields[i], coding)
				}
			}
			h1 := watched(t, c.hello, "http/1.1", body)
			if !slices.Equal(h1.Records[max(0, len(h1.Records)-len(c.records1)):], c.records1) {
				t.Errorf("records of HTTP/1.1: %s", h1.Records)
			}
		})
	}
}

// The parts of a hello of the current browsers that are drawn, are drawn for
// each connection; and Firefox has one key of X25519, Chromium two.
func TestCurrentHellosAreDrawn(t *testing.T) {
	for name, same := range map[string]bool{Chromium: false, Firefox: true} {
		orders, ciphers, grease := map[string]bool{}, map[string]bool{}, map[string]bool{}
		const n = 24
		for range n {
			h, _ := lookupHello(name)
			conn := utls.UClient(&net.TCPConn{}, &utls.Config{ServerName: "front.example"}, h.id)
			if err := h.apply(conn, false); err != nil {
				t.Fatal(err)
			}
			if err := conn.BuildHandshakeState(); err != nil {
				t.Fatal(err)
			}
			var order []string
			for _, e := range conn.Extensions {
				order = append(order, fmt.Sprintf("%T", e))
				switch e := e.(type) {
				case *utls.KeyShareExtension:
					keys := map[utls.CurveID][]byte{}
					for _, k := range e.KeyShares {
						keys[k.Group] = k.Data
					}
					hybrid := keys[utls.X25519MLKEM768]
					if got := bytes.Equal(hybrid[len(hybrid)-32:], keys[utls.X25519]); got != same {
						t.Errorf("%s: one key of X25519: %v", name, got)
					}
				case *utls.SignatureAlgorithmsExtension:
					grease[fmt.Sprint(e.SupportedSignatureAlgorithms[0])] = true
				case *utls.GREASEEncryptedClientHelloExtension:
					b := make([]byte, e.Len())
					_, _ = e.Read(b)
					ciphers[fmt.Sprintf("%x of %d", b[4:9], len(b))] = true
				}
			}
			orders[strings.Join(order, " ")] = true
		}
		if name == Chromium && (len(orders) < n-1 || len(grease) < 8 || len(ciphers) < 3) {
			t.Errorf("Chromium: %d orders, %d values of GREASE, ECH %v", len(orders), len(grease), ciphers)
		}
		if name == Firefox && (len(orders) != 1 || len(ciphers) != 2) {
			t.Errorf("Firefox: %d orders, ECH %v", len(orders), ciphers)
		}
	}
}

// Servers that know less than the browsers are served: those that take the second
// or third key share, ask for another, or speak TLS 1.2.
func TestCurrentBrowsersWithOldServers(t *testing.T) {
	ca := coverttest.NewCA(t)
	cert := ca.Certificate(t, "front.example")
	for what, config := range map[string]*tls.Config{
		"X25519":  {CurvePreferences: []tls.CurveID{tls.X25519}},
		"P-256":   {CurvePreferences: []tls.CurveID{tls.CurveP256}},
		"P-384":   {CurvePreferences: []tls.CurveID{tls.CurveP384}},
		"TLS 1.2": {MaxVersion: tls.VersionTLS12},
	} {
		for _, name := range []string{Chromium, Firefox} {
			t.Run(what+" "+name, func(t *testing.T) {
				config := config.Clone()
				config.Certificates = []tls.Certificate{cert}
				l, err := tls.Listen("tcp", "127.0.0.1:0", config)
				if err != nil {
					t.Fatal(err)
				}
				s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }), ErrorLog: log.New(io.Discard, "", 0)}
				done := make(chan struct{})
				go func() { defer close(done); _ = s.Serve(l) }()
				t.Cleanup(func() { _ = s.Close(); <-done })
				tr := newTransport(t, ca, l.Addr().String(), Options{Hello: name})
				for range 2 {
					if _, reply, err := post(t, tr, "https://front.example/", []byte("offer")); err != nil || string(reply) != "offer" {
						t.Fatalf("%q, %v", reply, err)
					}
					tr.CloseIdleConnections()
				}
			})
		}
	}
}

// Requests at the same time share a connection, and Chromium's depend on one
// another.
func TestRequestsAtOnce(t *testing.T) {
	for name, want := range map[string][]uint32{Chromium: {0, 1, 3}, Firefox: {0, 0, 0}} {
		depend := make(chan uint32, len(want))
		ca, addr := serveFake(t, "h2", func(_ int, conn net.Conn) {
			f := newFake(t, conn)
			var streams []uint32
			for range want {
				head, _, ok := f.request()
				if !ok {
					return
				}
				streams = append(streams, head.StreamID)
				depend <- head.Priority.StreamDep
			}
			for _, s := range streams {
				f.reply(s, "answer")
			}
			f.request()
		})
		tr := newTransport(t, ca, addr, Options{Hello: name})
		var all sync.WaitGroup
		for range want {
			all.Go(func() {
				if _, reply, err := post(t, tr, "https://front.example/", []byte("x")); err != nil || string(reply) != "answer" {
					t.Errorf("%q, %v", reply, err)
				}
			})
		}
		all.Wait()
		for i, stream := range want {
			if got := <-depend; got != stream {
				t.Errorf("%s: request %d depends on stream %d, want %d", name, i, got, stream)
			}
		}
	}
}
