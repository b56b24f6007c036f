package browser

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"testing"
	"time"

	"flurry/common/carrier/wt"
)

// anyNumber is a waiting room for a server that has no strangers.
type anyNumber struct{}

func (anyNumber) Add(io.Closer)    {}
func (anyNumber) Remove(io.Closer) {}

// TestWebTransport has browsers open sessions with a server that sends each message back: what they take for WebTransport is
// what ours takes for it, and both read the framing alike.
func TestWebTransport(t *testing.T) {
	for _, b := range allBrowsers() {
		t.Run(b.Name, func(t *testing.T) {
			b.find(t)
			p := newPage(t, http.NewServeMux())
			cert, hash := shortCertificate(t)
			ends := make(chan error, 2)
			relay := echoWebTransport(t, cert, ends)
			ctx := p.open(t, b, p.srv.URL+"/webtransport.html?"+url.Values{"url": {relay}, "hash": {hash}}.Encode())
			for _, want := range []string{"EOF", "wt: frame with a length that is not allowed"} {
				select {
				case err := <-ends:
					if err.Error() != want {
						t.Errorf("the session ended with %v, want %s", err, want)
					}
				case <-ctx.Done():
					t.Fatal(ctx.Err())
				}
			}
			for len(p.told("end")) == 0 {
				select {
				case <-ctx.Done():
					t.Fatal(ctx.Err())
				case <-time.After(10 * time.Millisecond):
				}
			}
			if down := p.told("end")[0].Down; down.Count != 2000 || down.Longest <= 2048 {
				t.Errorf("the page got %+v", down)
			}
		})
	}
}

// echoWebTransport serves until the test ends, and tells how each session ended. It returns the server's URL.
func echoWebTransport(t *testing.T, cert tls.Certificate, ends chan<- error) string {
	t.Helper()
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s, err := wt.Listen(socket, wt.ServerConfig{
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}}, Waiting: anyNumber{}, MaxConns: 10,
		OpenTimeout: limit, IdleTimeout: limit, MaxHeaderBytes: 8 << 10,
		Failed: func(err error) { t.Errorf("no more connections come: %v", err) },
		Handle: func(c *wt.Conn, u *url.URL) {
			defer c.Close()
			if got := u.Query().Get("client_ip"); got != "192.0.2.1" {
				t.Errorf("client_ip is %q", got)
			}
			buf := make([]byte, 1<<16)
			for {
				n, err := c.Recv(buf)
				if err == nil {
					err = c.Send(context.Background(), buf[:n])
				}
				if err != nil {
					ends <- err
					return
				}
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return "https://" + socket.LocalAddr().String() + "/path?client_ip=192.0.2.1"
}

// shortCertificate makes one that browsers take without an authority if they are told its hash: of a curve, and for less than
// two weeks.
func shortCertificate(t *testing.T) (cert tls.Certificate, hash string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(7 * 24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(der)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, base64.StdEncoding.EncodeToString(sum[:])
}
