package system

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"flurry/test/stage"
)

// A bridge that the broker names with https is reached by WebTransport where it has that, and by WebSocket where not.
func TestSystemWebTransport(t *testing.T) {
	cert, key := certificate(t)
	for name, tc := range map[string]struct {
		args   []string
		overIP bool // the volunteer's traffic with the bridge is no TCP
	}{
		"WebTransport": {[]string{"-webtransport"}, true},
		"WebSocket":    {nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, stage.Options{
				Proxies: 1, RelayScheme: "https", Trust: cert,
				ServerArgs: append([]string{"-disable-tls=false", "-cert=" + cert, "-key=" + key}, tc.args...),
				ProxyArgs:  []string{"-allow-non-tls-relay=false"},
			})
			ctx := testContext(t)
			const size = 10_000_000
			get(t, ctx, s.Client(), 1, size)
			if err := stage.Put(ctx, dial(t, ctx, s.Client(), nil), 2, size); err != nil {
				t.Error(err)
			}
			if runtime.GOOS != "linux" {
				return // nobody tells what was read
			}
			u, err := s.Proxies()[0].Usage()
			if err != nil {
				t.Fatal(err)
			}
			if noTCP := u.Read < size/2; noTCP != tc.overIP {
				t.Errorf("the volunteer has read %d bytes from TCP", u.Read)
			}
		})
	}
}

// certificate makes a certificate for the stage's bridge, signed by itself, and returns the names of its files.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		BasicConstraintsValid: true, IsCA: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, kind string, bytes []byte) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: bytes}), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	return write("cert.pem", "CERTIFICATE", der), write("key.pem", "EC PRIVATE KEY", keyDER)
}
