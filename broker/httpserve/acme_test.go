package httpserve

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"flurry/common/safelog"
)

// fakeCA is an ACME authority (RFC 8555) that asks for one HTTP-01 challenge
// and believes signatures.
type fakeCA struct {
	*httptest.Server
	t    *testing.T
	key  *ecdsa.PrivateKey
	cert *x509.Certificate

	mu        sync.Mutex
	responder string // host:port of the challenge responder
	contact   string // of the account
	domain    string
	proven    bool   // the challenge was met
	issued    []byte // PEM
}

const challengeToken = "token-of-the-test"

func newFakeCA(t *testing.T) *fakeCA {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "fake authority"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	if cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	ca := &fakeCA{t: t, key: key, cert: cert}
	ca.Server = httptest.NewServer(ca.routes())
	t.Cleanup(ca.Close)
	return ca
}

func (ca *fakeCA) routes() http.Handler {
	mux := http.NewServeMux()
	handle := func(path string, f func(payload []byte, w http.ResponseWriter)) {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			var jws struct{ Payload string }
			if r.Method == http.MethodPost {
				if err := json.NewDecoder(r.Body).Decode(&jws); err != nil {
					ca.t.Errorf("%s: %v", path, err)
				}
			}
			payload, err := base64.RawURLEncoding.DecodeString(jws.Payload)
			if err != nil {
				ca.t.Errorf("%s: %v", path, err)
			}
			w.Header().Set("Replay-Nonce", rand.Text())
			ca.mu.Lock()
			defer ca.mu.Unlock()
			f(payload, w)
		})
	}
	handle("/directory", func(_ []byte, w http.ResponseWriter) {
		reply(w, 200, map[string]string{"newNonce": ca.URL + "/nonce", "newAccount": ca.URL + "/account", "newOrder": ca.URL + "/order"})
	})
	handle("/nonce", func([]byte, http.ResponseWriter) {})
	handle("/account", func(payload []byte, w http.ResponseWriter) {
		ca.contact = string(payload)
		w.Header().Set("Location", ca.URL+"/account/1")
		reply(w, 201, map[string]string{"status": "valid"})
	})
	handle("/order", func(payload []byte, w http.ResponseWriter) {
		var order struct{ Identifiers []struct{ Value string } }
		if err := json.Unmarshal(payload, &order); err != nil || len(order.Identifiers) != 1 {
			ca.t.Errorf("order %s: %v", payload, err)
			return
		}
		ca.domain = order.Identifiers[0].Value
		w.Header().Set("Location", ca.URL+"/order/1")
		reply(w, 201, ca.order())
	})
	handle("/order/1", func(_ []byte, w http.ResponseWriter) { reply(w, 200, ca.order()) })
	handle("/authorization", func(_ []byte, w http.ResponseWriter) {
		reply(w, 200, map[string]any{"status": ca.status("valid"), "challenges": []any{ca.challenge()},
			"identifier": map[string]string{"type": "dns", "value": ca.domain}})
	})
	handle("/challenge", func(_ []byte, w http.ResponseWriter) {
		ca.check()
		reply(w, 200, ca.challenge())
	})
	handle("/finalize", func(payload []byte, w http.ResponseWriter) {
		ca.issue(payload)
		reply(w, 200, ca.order())
	})
	handle("/certificate", func(_ []byte, w http.ResponseWriter) { _, _ = w.Write(ca.issued) })
	return mux
}

func reply(w http.ResponseWriter, status int, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	w.WriteHeader(status)
	_, _ = w.Write(text)
}

// status is done once the challenge was met.
func (ca *fakeCA) status(done string) string {
	if ca.proven {
		return done
	}
	return "pending"
}

func (ca *fakeCA) order() map[string]any {
	o := map[string]any{"status": ca.status("ready"), "authorizations": []string{ca.URL + "/authorization"},
		"identifiers": []map[string]string{{"type": "dns", "value": ca.domain}}, "finalize": ca.URL + "/finalize"}
	if ca.issued != nil {
		o["status"], o["certificate"] = "valid", ca.URL+"/certificate"
	}
	return o
}

func (ca *fakeCA) challenge() map[string]string {
	return map[string]string{"type": "http-01", "url": ca.URL + "/challenge", "token": challengeToken, "status": ca.status("valid")}
}

// check fetches the response to the challenge, as an authority does.
func (ca *fakeCA) check() {
	req, err := http.NewRequest(http.MethodGet, "http://"+ca.responder+"/.well-known/acme-challenge/"+challengeToken, nil)
	if err != nil {
		ca.t.Error(err)
		return
	}
	req.Host = ca.domain
	tr := &http.Transport{DisableKeepAlives: true}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		ca.t.Error(err)
		return
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || !strings.HasPrefix(string(body), challengeToken+".") {
		ca.t.Errorf("challenge: %d %q, %v", resp.StatusCode, body, err)
		return
	}
	ca.proven = true
}

// issue makes the certificate that was asked for.
func (ca *fakeCA) issue(payload []byte) {
	var in struct{ CSR string }
	if err := json.Unmarshal(payload, &in); err != nil {
		ca.t.Error(err)
		return
	}
	der, err := base64.RawURLEncoding.DecodeString(in.CSR)
	if err != nil {
		ca.t.Error(err)
		return
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		ca.t.Error(err)
		return
	}
	der, err = x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2),
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(90 * 24 * time.Hour),
		DNSNames:     csr.DNSNames,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, ca.cert, csr.PublicKey, ca.key)
	if err != nil {
		ca.t.Error(err)
		return
	}
	ca.issued = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// TestACME gets a certificate from an authority that looks for the challenge on
// the responder's port, and serves with it. Other names get none, and the
// responder sends everyone else to HTTPS.
func TestACME(t *testing.T) {
	ca := newFakeCA(t)
	cache := t.TempDir()
	o := Options{Addr: "127.0.0.1:0", ACMEHostnames: "a.example, b.example", ACMEEmail: "who@a.example", ACMECertCache: cache}
	s, err := listen(o, http.HandlerFunc(hello), safelog.Discard(), authority{directory: ca.URL + "/directory", challengePort: "0"})
	if err != nil {
		t.Fatal(err)
	}
	ca.mu.Lock()
	ca.responder = s.challengesAddr.Addr().String()
	ca.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Serve(ctx, func() {}) }()

	roots := x509.NewCertPool()
	roots.AddCert(ca.cert)
	for _, c := range []struct {
		name string
		ok   bool
	}{{"a.example", true}, {"a.example", true}, {"evil.example", false}} {
		conn, err := tls.Dial("tcp", s.Addr().String(), &tls.Config{ServerName: c.name, RootCAs: roots})
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
		if err == nil {
			conn.Close()
		}
	}
	ca.mu.Lock()
	if !strings.Contains(ca.contact, "mailto:who@a.example") {
		t.Errorf("account %s", ca.contact)
	}
	ca.mu.Unlock()
	if files, err := os.ReadDir(cache); err != nil || len(files) == 0 {
		t.Errorf("nothing is kept: %v", err)
	}

	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	req, err := http.NewRequest(http.MethodGet, "http://"+s.challengesAddr.Addr().String()+"/x", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "a.example"
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if got := resp.Header.Get("Location"); got != "https://a.example/x" {
		t.Errorf("redirected to %q", got)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestACMENeedsItsPort: without the responder there would be no certificate.
func TestACMENeedsItsPort(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, err := net.SplitHostPort(taken.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Addr: "127.0.0.1:0", ACMEHostnames: "a.example", ACMECertCache: t.TempDir()}
	s, err := listen(o, nil, safelog.Discard(), authority{directory: "http://127.0.0.1:1/", challengePort: port})
	if err == nil {
		s.Close()
		t.Error("the challenge port is taken and nobody noticed")
	} else if !strings.Contains(fmt.Sprint(err), "ACME challenges") {
		t.Error(err)
	}
}
