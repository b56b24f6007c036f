package interop

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// brokerName is the broker's name on the inside of a front. It resolves nowhere.
const brokerName = "broker.example"

// A front is an nginx that stands before the broker as a content network does: TLS with a certificate for its own name,
// and the Host header decides where a request goes.
type front struct {
	*program
	addr      string
	accessLog string
}

// startFront starts a front with this certificate before the broker.
func (l *lab) startFront(name string, id identity, brokerURL string) *front {
	l.t.Helper()
	f := &front{addr: fmt.Sprintf("127.0.0.1:%d", freePorts(l.t, 1)[0]), accessLog: filepath.Join(l.dir, name+".access")}
	dir := filepath.Join(l.dir, name)
	config := l.write(name+".conf", fmt.Sprintf(`
daemon off;
master_process off;
pid %[1]s/pid;
error_log stderr warn;
events {}
http {
	log_format names '"$ssl_server_name" "$http_host" $server_protocol $request_method $request_uri $status';
	access_log %[2]s names;
	client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/fastcgi;
	uwsgi_temp_path %[1]s/uwsgi; scgi_temp_path %[1]s/scgi;
	ssl_certificate %[3]s;
	ssl_certificate_key %[4]s;
	server {
		listen %[5]s ssl http2 default_server;
		location / { return 404 "the front's own pages\n"; }
	}
	server {
		listen %[5]s ssl http2;
		server_name %[6]s;
		location / { proxy_pass %[7]s; proxy_http_version 1.1; proxy_set_header X-Forwarded-For $remote_addr; }
	}
}
`, dir, f.accessLog, id.certFile, id.keyFile, f.addr, brokerName, brokerURL))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		l.t.Fatal(err)
	}
	f.program = l.start(name, nil, need(l.t, "nginx", "nginx-light"), "-p", dir, "-e", "stderr", "-c", config)
	eventually(l.t, startLimit, "nginx listens", f.output, func() bool {
		c, err := net.Dial("tcp", f.addr)
		if err == nil {
			c.Close()
		}
		return err == nil || !f.alive()
	})
	if !f.alive() {
		l.t.Fatalf("nginx has ended:\n%s", f.output())
	}
	return f
}

// A request is one line of a front's access log.
type request struct{ sni, host, protocol, method, uri, status string }

// requests are those that the front has served.
func (f *front) requests(t *testing.T) []request {
	t.Helper()
	b, err := os.ReadFile(f.accessLog)
	if err != nil {
		t.Fatal(err)
	}
	var all []request
	for line := range strings.Lines(string(b)) {
		w := strings.Fields(line)
		if len(w) != 6 {
			t.Fatalf("access log: %q", line)
		}
		all = append(all, request{strings.Trim(w[0], `"`), strings.Trim(w[1], `"`), w[2], w[3], w[4], w[5]})
	}
	return all
}

// An authority signs certificates.
type authority struct {
	l    *lab
	name string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string // its own certificate
}

// An identity is a certificate and its key, as files.
type identity struct{ certFile, keyFile string }

func (l *lab) newAuthority(name string) *authority {
	l.t.Helper()
	a := &authority{l: l, name: name}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), KeyUsage: x509.KeyUsageCertSign}
	a.key = l.newKey()
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	if err != nil {
		l.t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		l.t.Fatal(err)
	}
	a.file = l.writePEM(name+".pem", "CERTIFICATE", der)
	return a
}

// issue makes a certificate for one name.
func (a *authority) issue(dnsName string) identity {
	a.l.t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: dnsName}, DNSNames: []string{dnsName},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	key := a.l.newKey()
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		a.l.t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.l.t.Fatal(err)
	}
	base := a.name + "-" + dnsName
	return identity{a.l.writePEM(base+".pem", "CERTIFICATE", der), a.l.writePEM(base+".key", "PRIVATE KEY", keyDER)}
}

func (l *lab) newKey() *ecdsa.PrivateKey {
	l.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		l.t.Fatal(err)
	}
	return key
}

func (l *lab) writePEM(name, kind string, der []byte) string {
	l.t.Helper()
	return l.write(name, string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})))
}
