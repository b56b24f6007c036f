package covert

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"flurry/common/covert/coverttest"
	"flurry/common/vectors"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestHelloVectors(t *testing.T) {
	// The file's other operations belong to these packages.
	others := map[string]string{
		"fingerprint":     "messages",
		"scrub":           "safelog",
		"http_client_ip":  "snowbroker",
		"sqscreds_encode": "not built",
		"sqscreds_decode": "not built",
		"covertdtls":      "the client's flags",
	}
	ran := 0
	for _, c := range vectors.Load(t, "small_parsers").Cases {
		if c.Op != "utls_name" {
			if others[c.Op] == "" {
				t.Errorf("%s: unknown operation %q", c.ID, c.Op)
			}
			continue
		}
		ran++
		t.Run(c.ID, func(t *testing.T) {
			var in struct{ Text string }
			var out struct{ OK bool }
			c.Decode(t, &in, &out)
			if got := ValidHello(in.Text); got != out.OK {
				t.Errorf("ValidHello(%q) = %v", in.Text, got)
			}
		})
	}
	if ran == 0 {
		t.Error("no case of utls_name")
	}
}

func TestHelloNames(t *testing.T) {
	names := HelloNames()
	if len(names) != 18 || !slices.IsSorted(names) {
		t.Errorf("HelloNames() = %v", names)
	}
	if !ValidHello("") {
		t.Error("the empty name is refused")
	}
	if _, err := NewTransport(Options{Hello: "hellogolang"}); err == nil {
		t.Error("hellogolang is accepted")
	}
}

// newTransport returns a Transport that finds every name at addr.
func newTransport(t *testing.T, ca *coverttest.CA, addr string, o Options) *Transport {
	t.Helper()
	o.RootCAs = ca.Pool()
	if o.DialContext == nil {
		o.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, addr)
		}
	}
	tr, err := NewTransport(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tr.Close() })
	return tr
}

// post sends body and returns status and reply.
func post(t *testing.T, tr *Transport, url string, body []byte) (*http.Response, []byte, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	reply, err := io.ReadAll(resp.Body)
	return resp, reply, err
}

// Every imitation, and none, over both protocols: the exchange works, twice on
// one connection, with the name in the hello or without, and never looks like Go.
func TestEveryHello(t *testing.T) {
	ca := coverttest.NewCA(t)
	cert := ca.Certificate(t, "front.example", "127.0.0.1")
	body := bytes.Repeat([]byte("offer "), 15000) // more than an HTTP/2 window
	for _, name := range append(HelloNames(), "") {
		for _, http2 := range []bool{true, false} {
			for _, noSNI := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/http2=%v/nosni=%v", name, http2, noSNI), func(t *testing.T) {
					s := coverttest.NewServer(t, cert, http2, nil)
					tr := newTransport(t, ca, s.Addr(), Options{Hello: name, NoSNI: noSNI})
					var resp *http.Response
					for range 2 {
						var reply []byte
						var err error
						resp, reply, err = post(t, tr, "https://front.example/client", body)
						if err != nil {
							t.Fatal(err)
						}
						if resp.StatusCode != 200 || !bytes.Equal(reply, body) {
							t.Fatalf("status %d, %d bytes", resp.StatusCode, len(reply))
						}
					}
					wantProto := 1
					if http2 && name != "hellorandomizednoalpn" {
						wantProto = 2
					}
					if resp.ProtoMajor != wantProto {
						t.Errorf("protocol %d", resp.ProtoMajor)
					}
					sni := s.Names()
					want := "front.example"
					if noSNI {
						want = ""
					}
					if sni[len(sni)-1] != want {
						t.Errorf("server name %q", sni[len(sni)-1])
					}
					if !strings.HasPrefix(name, "hellorandom") && len(sni) != 1 {
						t.Errorf("%d connections for two requests", len(sni))
					}
					for _, r := range s.Requests() {
						checkHeaders(t, r)
					}
				})
			}
		}
	}
}

// checkHeaders fails if a request is a Go program's.
func checkHeaders(t *testing.T, r *http.Request) {
	t.Helper()
	agent := r.Header.Get("User-Agent")
	if !strings.HasPrefix(agent, "Mozilla/5.0 (") {
		t.Errorf("user agent %q", agent)
	}
	for name, values := range r.Header {
		if strings.Contains(fmt.Sprint(values), "Go-http-client") {
			t.Errorf("%s: %v", name, values)
		}
	}
	if enc := r.Header.Get("Accept-Encoding"); enc == "gzip" || enc == "" {
		t.Errorf("accept-encoding %q", enc)
	}
	if r.Header.Get("Accept-Language") == "" || r.Header.Get("Accept") != "*/*" {
		t.Errorf("headers %v", r.Header)
	}
}

// A host that is an address has no server name, whatever the imitation.
func TestAddressHasNoSNI(t *testing.T) {
	ca := coverttest.NewCA(t)
	s := coverttest.NewServer(t, ca.Certificate(t, "127.0.0.1"), true, nil)
	for _, name := range []string{"", "hellochrome_auto", "hellofirefox_auto", "hellorandomizedalpn"} {
		tr := newTransport(t, ca, s.Addr(), Options{Hello: name})
		if _, _, err := post(t, tr, "https://"+s.Addr()+"/", []byte("x")); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	for _, name := range s.Names() {
		if name != "" {
			t.Errorf("server name %q", name)
		}
	}
	for _, hello := range s.Hellos() {
		if slices.Contains(parseHello(t, hello).extensions, 0) {
			t.Error("the hello has an empty server name extension")
		}
	}
}

func TestCertificateRefused(t *testing.T) {
	ca, stranger := coverttest.NewCA(t), coverttest.NewCA(t)
	cases := map[string]*coverttest.Server{
		"other name":   coverttest.NewServer(t, ca.Certificate(t, "other.example"), true, nil),
		"other issuer": coverttest.NewServer(t, stranger.Certificate(t, "front.example"), true, nil),
	}
	for what, s := range cases {
		for _, name := range []string{"", "hellochrome_auto", "hellofirefox_auto", "helloios_auto", "hellorandomizedalpn"} {
			for _, noSNI := range []bool{false, true} {
				tr := newTransport(t, ca, s.Addr(), Options{Hello: name, NoSNI: noSNI})
				_, _, err := post(t, tr, "https://front.example/", nil)
				var refused *CertificateError
				var dial *DialError
				if !errors.As(err, &refused) || refused.Host != "front.example" || !errors.As(err, &dial) {
					t.Errorf("%s, %q, no SNI %v: %v", what, name, noSNI, err)
				}
			}
		}
		if n := len(s.Requests()); n != 0 {
			t.Errorf("%s: the server got %d requests", what, n)
		}
	}
}

// The roots of SSL_CERT_FILE are trusted by both TLS stacks.
func TestSystemRootsFromEnvironment(t *testing.T) {
	const url = "COVERT_TEST_URL"
	if target := os.Getenv(url); target != "" {
		for _, name := range []string{"", "hellochrome_auto"} {
			tr, err := NewTransport(Options{Hello: name})
			if err != nil {
				t.Fatal(err)
			}
			_, _, err = post(t, tr, target, nil)
			_ = tr.Close()
			if err != nil {
				t.Errorf("%q: %v", name, err)
			}
		}
		return
	}
	ca := coverttest.NewCA(t)
	s := coverttest.NewServer(t, ca.Certificate(t, "127.0.0.1"), true, nil)
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, ca.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(certFile string) error {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestSystemRootsFromEnvironment$")
		cmd.Env = append(os.Environ(), url+"=https://"+s.Addr()+"/", "SSL_CERT_FILE="+certFile, "HTTPS_PROXY=http://127.0.0.1:1")
		out, err := cmd.CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w\n%s", err, out)
		}
		return nil
	}
	if err := run(file); err != nil {
		t.Error(err)
	}
	if run(filepath.Join(t.TempDir(), "missing.pem")) == nil {
		t.Error("an unknown authority is trusted")
	}
}

func TestRootsHaveISRG(t *testing.T) {
	pool := Roots()
	if pool == nil {
		t.Fatal("no pool")
	}
	if bytes.Count(isrgRootX1, []byte("BEGIN CERTIFICATE")) != 1 {
		t.Error("the embedded file is not one certificate")
	}
}

func TestBadRequests(t *testing.T) {
	tr, err := NewTransport(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	for what, change := range map[string]func(*http.Request){
		"method":        func(r *http.Request) { r.Method = "GET / HTTP/1.1\r\nX" },
		"connect":       func(r *http.Request) { r.Method = "CONNECT" },
		"host":          func(r *http.Request) { r.Host = "a\r\nb" },
		"header name":   func(r *http.Request) { r.Header["a\r\nb"] = []string{"c"} },
		"header value":  func(r *http.Request) { r.Header["A"] = []string{"c\r\nd: e"} },
		"scheme":        func(r *http.Request) { r.URL.Scheme = "ftp" },
		"no host":       func(r *http.Request) { r.URL.Host = "" },
		"body too long": func(r *http.Request) { r.Body = io.NopCloser(io.LimitReader(zeros{}, maxRequestBody+1)) },
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://127.0.0.1:1/", nil)
		if err != nil {
			t.Fatal(err)
		}
		change(req)
		var dial *DialError
		if resp, err := tr.RoundTrip(req); err == nil || errors.As(err, &dial) {
			t.Errorf("%s: sent, %v %v", what, resp, err)
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// Example values of the profiles are all valid header text.
func TestProfilesAreComplete(t *testing.T) {
	for name, h := range hellos() {
		data, err := json.Marshal(h.profile.h2.settings)
		if err != nil || len(h.profile.h2.pseudo) != 4 || h.profile.h2.firstStream%2 != 1 {
			t.Errorf("%s: %s", name, data)
		}
	}
}
