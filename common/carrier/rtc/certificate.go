package rtc

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"fmt"
	"math/big"
	"strings"
	"time"

	"flurry/common/dtls13"
)

// newCertificate makes a key and a certificate as p makes them, for one
// connection.
func newCertificate(p Profile) (tls.Certificate, error) {
	if p == Pion {
		return pionCertificate()
	}
	c, err := p.dtls().NewCertificate()
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{c.DER}, PrivateKey: c.Key}, nil
}

// pionCertificate is as pion/webrtc's.
func pionCertificate() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("key: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 130))
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("serial number: %w", err)
	}
	begin := time.Now().AddDate(0, 0, -1)
	template := &x509.Certificate{
		SerialNumber:       serial,
		Subject:            pkix.Name{CommonName: "WebRTC"},
		NotBefore:          begin,
		NotAfter:           begin.AddDate(0, 1, 0),
		SignatureAlgorithm: x509.ECDSAWithSHA256,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// dtls is the browser as package dtls13 knows it.
func (p Profile) dtls() dtls13.Profile {
	if p == Firefox {
		return dtls13.Firefox()
	}
	return dtls13.Chromium()
}

// signer is the certificate's key.
func signer(c tls.Certificate) crypto.Signer {
	key, _ := c.PrivateKey.(crypto.Signer)
	return key
}

// fingerprintOf is the certificate's fingerprint as a description has it.
func fingerprintOf(c tls.Certificate) string {
	sum := sha256.Sum256(c.Certificate[0])
	pairs := make([]string, len(sum))
	for i, b := range sum {
		pairs[i] = strings.ToUpper(hex.EncodeToString([]byte{b}))
	}
	return "sha-256 " + strings.Join(pairs, ":")
}
