package rtc

import (
	"context"
	"crypto"
	_ "crypto/sha256" // digests that fingerprints may name
	_ "crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"flurry/common/dtls13"

	"github.com/pion/dtls/v3"
	"github.com/pion/logging"
)

// A securing is what the DTLS handshake of one connection needs.
type securing struct {
	client      bool
	certificate tls.Certificate
	expected    []fingerprint // of the other end's certificate: one must match
	profile     Profile
	roundTrip   func() time.Duration // nil: unknown
	wake        func(time.Time) time.Time
	loggers     logging.LoggerFactory
}

// do shakes hands over path and returns a connection of whole messages. It is
// the only place that knows which DTLS there is. After an error path is closed.
func (s securing) do(ctx context.Context, path *dtlsConn) (net.Conn, error) {
	if s.profile == Pion {
		return s.pion(ctx, path)
	}
	connect := dtls13.Server
	if s.client {
		connect = dtls13.Client
	}
	conn, err := connect(ctx, path, dtls13.Config{
		Profile:     s.profile.dtls(),
		Certificate: dtls13.Certificate{DER: s.certificate.Certificate[0], Key: signer(s.certificate)},
		VerifyPeer:  func(der []byte) error { return s.check([][]byte{der}) },
		RoundTrip:   s.roundTrip,
		Wake:        s.wake,
	})
	if err != nil {
		path.Close()
		return nil, err
	}
	return conn, nil
}

// dtlsRetransmit is pion's first wait for the other end's next flight, doubled
// each time. RFC 6347, section 4.2.4.1, recommends 1 s and allows less where
// the round trip is known to be: half a second is longer than most.
const dtlsRetransmit = 500 * time.Millisecond

// pion shakes hands as pion/webrtc does.
func (s securing) pion(ctx context.Context, path *dtlsConn) (net.Conn, error) {
	shared := []dtls.Option{
		dtls.WithCertificates(s.certificate),
		// Stacks that could carry media want a profile agreed on.
		dtls.WithSRTPProtectionProfiles(dtls.SRTP_AEAD_AES_256_GCM, dtls.SRTP_AEAD_AES_128_GCM, dtls.SRTP_AES128_CM_HMAC_SHA1_80),
		dtls.WithExtendedMasterSecret(dtls.RequestExtendedMasterSecret),
		dtls.WithInsecureSkipVerify(true), // check does
		dtls.WithVerifyPeerCertificate(func(raw [][]byte, _ [][]*x509.Certificate) error { return s.check(raw) }),
		dtls.WithLoggerFactory(s.loggers),
		dtls.WithFlightInterval(dtlsRetransmit),
	}
	conn, err := s.pionConn(path, shared)
	if err != nil {
		path.Close()
		return nil, err
	}
	if err := conn.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

func (s securing) pionConn(path *dtlsConn, shared []dtls.Option) (*dtls.Conn, error) {
	if s.client {
		options := make([]dtls.ClientOption, len(shared))
		for i, o := range shared {
			options[i] = o
		}
		return dtls.ClientWithOptions(path, pathAddr{}, options...)
	}
	options := []dtls.ServerOption{
		dtls.WithClientAuth(dtls.RequireAnyClientCert),
	}
	for _, o := range shared {
		options = append(options, o)
	}
	return dtls.ServerWithOptions(path, pathAddr{}, options...)
}

// check compares the other end's certificate with its description.
func (s securing) check(chain [][]byte) error {
	if len(chain) == 0 {
		return errors.New("the other end has no certificate")
	}
	for _, f := range s.expected {
		if f.matches(chain[0]) {
			return nil
		}
	}
	return errors.New("the certificate is not the one described")
}

// A fingerprint is one of the other end's description.
type fingerprint struct {
	hash crypto.Hash
	sum  string // bytes
}

// parseFingerprint reads the value of a=fingerprint (RFC 8122 section 5). ok is
// false for a digest that is unknown or too weak.
func parseFingerprint(value string) (f fingerprint, ok bool) {
	name, digits, _ := strings.Cut(strings.TrimSpace(value), " ")
	switch strings.ToLower(name) {
	case "sha-256":
		f.hash = crypto.SHA256
	case "sha-384":
		f.hash = crypto.SHA384
	case "sha-512":
		f.hash = crypto.SHA512
	default:
		return f, false
	}
	sum, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(digits), ":", ""))
	f.sum = string(sum)
	return f, err == nil && len(sum) == f.hash.Size()
}

func (f fingerprint) matches(certificate []byte) bool {
	h := f.hash.New()
	h.Write(certificate)
	return string(h.Sum(nil)) == f.sum
}

func (f fingerprint) String() string { return fmt.Sprintf("%v %x", f.hash, f.sum) }
