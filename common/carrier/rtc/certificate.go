package rtc

import (
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
)

const (
	// certificateBefore and certificateAfter bound a browser's certificate. Both
	// ends see it, and with DTLS 1.2 everybody.
	certificateBefore = 24 * time.Hour
	certificateAfter  = 30 * 24 * time.Hour

	chromiumSerial = 8 // bytes
	firefoxSerial  = 4
	pionSerial     = 16
)

// newCertificate makes a key and a certificate as p makes them, for one
// connection.
func newCertificate(p Profile) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("key: %w", err)
	}
	name, serial := "WebRTC", chromiumSerial
	switch p {
	case Firefox:
		name, serial = randomText(hexAlphabet, 32), firefoxSerial
	case Pion:
		serial = pionSerial
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber:       randomSerial(serial),
		Subject:            pkix.Name{CommonName: name},
		NotBefore:          now.Add(-certificateBefore),
		NotAfter:           now.Add(certificateAfter),
		SignatureAlgorithm: x509.ECDSAWithSHA256,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// randomSerial returns a number of n bytes that is not 0.
func randomSerial(n int) *big.Int {
	b := make([]byte, n)
	for {
		rand.Read(b)
		if serial := new(big.Int).SetBytes(b); serial.Sign() > 0 {
			return serial
		}
	}
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
