package dtls13

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha256" // the hashes of the signatures below
	_ "crypto/sha512"
	"crypto/x509"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Signature algorithms (RFC 8446 section 4.2.3).
const (
	sigECDSAP256 uint16 = 0x0403
	sigECDSAP384 uint16 = 0x0503
	sigPSS256    uint16 = 0x0804
	sigPSS384    uint16 = 0x0805
	sigPSS512    uint16 = 0x0806
	sigRSA256    uint16 = 0x0401 // 1.2 only
	sigRSA384    uint16 = 0x0501 // 1.2 only
	sigRSA512    uint16 = 0x0601 // 1.2 only
)

// What a CertificateVerify of 1.3 signs begins with (RFC 8446 section 4.4.3). The
// text is TLS's, also here (RFC 9147 section 5.10).
const (
	signedByClient = "TLS 1.3, client CertificateVerify"
	signedByServer = "TLS 1.3, server CertificateVerify"
)

// signedContent is what a CertificateVerify of 1.3 signs.
func signedContent(label string, transcript []byte) []byte {
	b := slices.Repeat([]byte{' '}, 64)
	b = append(b, label...)
	b = append(b, 0)
	return append(b, transcript...)
}

func hashOf(alg uint16) crypto.Hash {
	switch alg {
	case sigECDSAP256, sigPSS256, sigRSA256:
		return crypto.SHA256
	case sigECDSAP384, sigPSS384, sigRSA384:
		return crypto.SHA384
	case sigPSS512, sigRSA512:
		return crypto.SHA512
	}
	return 0
}

func digest(h crypto.Hash, content []byte) []byte {
	sum := h.New()
	sum.Write(content)
	return sum.Sum(nil)
}

// sign signs content with the certificate's key, if the peer takes what it makes.
func (c Certificate) sign(content []byte, peerTakes []uint16) (alg uint16, signature []byte, err error) {
	alg = sigECDSAP256
	if !slices.Contains(peerTakes, alg) {
		return 0, nil, fault(alertHandshakeFailure, "the peer does not take signatures of ECDSA on P-256")
	}
	signature, err = c.Key.Sign(rand.Reader, digest(crypto.SHA256, content), crypto.SHA256)
	return alg, signature, err
}

// verify checks a signature of the peer's, which chose alg out of what it was
// offered. In 1.2 an algorithm of ECDSA does not name a curve (RFC 8446 section
// 4.2.3), and PKCS #1 is allowed.
func verify(key crypto.PublicKey, v12 bool, offered []uint16, alg uint16, content, signature []byte) error {
	h := hashOf(alg)
	if h == 0 || !slices.Contains(offered, alg) {
		return fault(alertIllegalParameter, "signature algorithm that was not offered")
	}
	sum, ok := digest(h, content), false
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		fits := alg == sigECDSAP256 && (v12 || k.Curve == elliptic.P256()) || alg == sigECDSAP384 && (v12 || k.Curve == elliptic.P384())
		ok = fits && ecdsa.VerifyASN1(k, sum, signature)
	case *rsa.PublicKey:
		switch alg {
		case sigPSS256, sigPSS384, sigPSS512:
			ok = rsa.VerifyPSS(k, h, sum, signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
		case sigRSA256, sigRSA384, sigRSA512:
			ok = v12 && rsa.VerifyPKCS1v15(k, h, sum, signature) == nil
		}
	}
	if !ok {
		return fault(alertDecryptError, "signature does not verify")
	}
	return nil
}

// publicKey takes the key out of a certificate. Nothing else of it counts, the
// fingerprint says whose it is; and crypto/x509 refuses some that browsers make,
// whose serial number is negative.
func publicKey(der []byte) (crypto.PublicKey, error) {
	s := cryptobyte.String(der)
	var cert, tbs, spki cryptobyte.String
	ok := s.ReadASN1(&cert, casn1.SEQUENCE) && s.Empty() && cert.ReadASN1(&tbs, casn1.SEQUENCE) &&
		tbs.SkipOptionalASN1(casn1.Tag(0).Constructed().ContextSpecific()) && // version
		tbs.SkipASN1(casn1.INTEGER) && // serial number
		tbs.SkipASN1(casn1.SEQUENCE) && // signature algorithm
		tbs.SkipASN1(casn1.SEQUENCE) && // issuer
		tbs.SkipASN1(casn1.SEQUENCE) && // validity
		tbs.SkipASN1(casn1.SEQUENCE) && // subject
		tbs.ReadASN1Element(&spki, casn1.SEQUENCE)
	if !ok {
		return nil, fault(alertBadCertificate, "certificate is not X.509")
	}
	key, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		return nil, fault(alertUnsupportedCertificate, "key of the certificate is of no known kind")
	}
	// Larger ones would only cost time; browsers make 2048 bits where a page asks.
	if k, ok := key.(*rsa.PublicKey); ok && (k.N.BitLen() < 1024 || k.N.BitLen() > 8192) {
		return nil, fault(alertUnsupportedCertificate, "RSA key of an odd size")
	}
	return key, nil
}
