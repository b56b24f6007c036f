package dtls13

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"fmt"
	"math/big"
	"time"
)

// A browser's certificate is valid from a day ago for 31 days (measured).
const (
	validBefore = 24 * time.Hour
	validFor    = 30 * 24 * time.Hour
)

// hexName is Firefox's common name: 32 hex digits of random bytes.
func hexName(random []byte) string { return hex.EncodeToString(random[:16]) }

// NewCertificate makes a key and a self-signed certificate of the browser's
// shape: subject, serial number and lifetime. A browser makes one for each
// RTCPeerConnection.
func (p Profile) NewCertificate() (Certificate, error) {
	if p.name == "" {
		p = Chromium()
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Certificate{}, fmt.Errorf("dtls13: make a key: %w", err)
	}
	random := make([]byte, 32)
	if _, err := rand.Read(random); err != nil {
		return Certificate{}, fmt.Errorf("dtls13: make a certificate: %w", err)
	}
	serial := new(big.Int).SetBytes(random[16 : 16+p.serialSize])
	if serial.Sign() == 0 {
		serial.SetUint64(1)
	}
	name := pkix.Name{CommonName: p.commonName(random)}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber:       serial,
		Subject:            name,
		NotBefore:          now.Add(-validBefore),
		NotAfter:           now.Add(validFor),
		SignatureAlgorithm: x509.ECDSAWithSHA256,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return Certificate{}, fmt.Errorf("dtls13: make a certificate: %w", err)
	}
	return Certificate{DER: der, Key: key}, nil
}
