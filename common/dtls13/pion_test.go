package dtls13

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/pion/dtls/v3"
)

const testLimit = 20 * time.Second

// pionOptions are as pion/webrtc has them.
func pionOptions(t testing.TB) []dtls.Option {
	t.Helper()
	cert, err := Chromium().NewCertificate()
	if err != nil {
		t.Fatal(err)
	}
	return []dtls.Option{
		dtls.WithCertificates(tls.Certificate{Certificate: [][]byte{cert.DER}, PrivateKey: cert.Key}),
		dtls.WithSRTPProtectionProfiles(dtls.SRTP_AEAD_AES_256_GCM, dtls.SRTP_AEAD_AES_128_GCM, dtls.SRTP_AES128_CM_HMAC_SHA1_80),
		dtls.WithExtendedMasterSecret(dtls.RequireExtendedMasterSecret),
		dtls.WithInsecureSkipVerify(true),
	}
}

// pionClient starts a client of pion's with more options.
func pionClient(ctx context.Context, conn net.PacketConn, to net.Addr, shared []dtls.Option, more ...dtls.ClientOption) (*dtls.Conn, error) {
	var options []dtls.ClientOption
	for _, o := range shared {
		options = append(options, o)
	}
	c, err := dtls.ClientWithOptions(conn, to, append(options, more...)...)
	if err != nil {
		return nil, err
	}
	return c, c.HandshakeContext(ctx)
}

func pionServer(ctx context.Context, conn net.PacketConn, to net.Addr, shared []dtls.Option, more ...dtls.ServerOption) (*dtls.Conn, error) {
	options := []dtls.ServerOption{dtls.WithClientAuth(dtls.RequireAnyClientCert)}
	for _, o := range shared {
		options = append(options, o)
	}
	c, err := dtls.ServerWithOptions(conn, to, append(options, more...)...)
	if err != nil {
		return nil, err
	}
	return c, c.HandshakeContext(ctx)
}

type result struct {
	conn *dtls.Conn
	err  error
}

// Towards pion/dtls, which has only 1.2, in either role; as a server it always
// sends a HelloVerifyRequest.
func TestPion(t *testing.T) {
	suites := map[string]dtls.CipherSuiteID{
		"AES":    dtls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
		"ChaCha": dtls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
	}
	for _, p := range profiles() {
		for name, suite := range suites {
			for _, client := range []bool{true, false} {
				t.Run(fmt.Sprintf("%s %s client %v", p.name, name, client), func(t *testing.T) {
					ctx, cancel := context.WithTimeout(t.Context(), testLimit)
					defer cancel()
					a, b := newPipe()
					shake, other := Server, make(chan result, 1)
					options := append(pionOptions(t), dtls.WithCipherSuites(suite))
					if client {
						shake = Client
					}
					go func() {
						var r result
						if client {
							r.conn, r.err = pionServer(ctx, b, b.RemoteAddr(), options)
						} else {
							r.conn, r.err = pionClient(ctx, b, b.RemoteAddr(), options)
						}
						other <- r
					}()
					ours, err := shake(ctx, a, testConfig(t, p))
					theirs := <-other
					if err != nil || theirs.err != nil {
						t.Fatal(err, theirs.err)
					}
					defer theirs.conn.Close()
					defer ours.Close()
					compare(t, ours, theirs.conn)
				})
			}
		}
	}
}

func compare(t *testing.T, ours *Conn, theirs *dtls.Conn) {
	t.Helper()
	s := ours.State()
	state, _ := theirs.ConnectionState()
	if s.Version != Version12 || s.CipherSuite != uint16(state.CipherSuiteID) {
		t.Errorf("agreed on %+v", s)
	}
	if p, ok := theirs.SelectedSRTPProtectionProfile(); !ok || uint16(p) != s.SRTPProfile {
		t.Errorf("SRTP profiles %04x, %v %04x", s.SRTPProfile, ok, p)
	}
	const label = "EXTRACTOR-dtls_srtp"
	a, errA := ours.Export(label, nil, 60)
	b, errB := state.ExportKeyingMaterial(label, nil, 60)
	if errA != nil || errB != nil || !bytes.Equal(a, b) {
		t.Errorf("exporters differ: %v %v", errA, errB)
	}
	pass(t, ours, theirs)
	pass(t, theirs, ours)
	theirs.Close()
	if _, err := ours.Read(make([]byte, 10)); !errors.Is(err, io.EOF) {
		t.Errorf("after close_notify: %v", err)
	}
}

// pass sends messages of all sizes that a datagram takes.
func pass(t *testing.T, from, to net.Conn) {
	t.Helper()
	buf := make([]byte, 2000)
	for n := 1; n < 1500; n += 7 {
		want := bytes.Repeat([]byte{byte(n)}, n)
		if _, err := from.Write(want); err != nil {
			t.Fatal(err)
		}
		got, err := to.Read(buf)
		if err != nil || !bytes.Equal(buf[:got], want) {
			t.Fatalf("%d bytes came as %d, %v", n, got, err)
		}
	}
}
