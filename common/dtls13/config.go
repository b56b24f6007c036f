package dtls13

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"io"
	"time"
)

// Config is what Client and Server need. It is not changed, and may be used for
// any number of connections.
type Config struct {
	// Profile is the browser to be; Chromium() if it is the zero value.
	Profile Profile

	// Certificate is presented to the peer. It should come from
	// Profile.NewCertificate, so that it has the browser's shape too.
	Certificate Certificate

	// VerifyPeer judges the peer's certificate, in DER, by the fingerprint that
	// came with the SDP; the peer has then proven that it holds the key. It must
	// be set, and is called once, in the goroutine of Client or Server or of a
	// timer.
	VerifyPeer func(der []byte) error

	// MTU bounds the datagrams of the handshake; 0 is the profile's own. It is
	// changed at the price of being told apart.
	MTU int

	// RoundTrip is how long the other end takes to answer, 0 if it is not known
	// yet. It is asked for when the first flight leaves, and must return at once:
	// a browser that has measured it goes by it when to send a flight again. nil
	// is a function that knows nothing.
	RoundTrip func() time.Duration

	// Wake says when a timer that would end at a time ends in truth, not before:
	// of a browser that wakes for all its timers together. nil: when it would.
	Wake func(time.Time) time.Time

	// Rand is the source of what is random but no secret: hello randoms, session
	// ids, the order of extensions. Keys and signatures come from the system's
	// source always. crypto/rand.Reader if nil.
	Rand io.Reader
}

// A Certificate is a leaf without a chain, and its key.
type Certificate struct {
	DER []byte
	Key crypto.Signer // ECDSA on P-256
}

// Fingerprint is the SHA-256 of the certificate, for the SDP (RFC 8122 section 5).
func (c Certificate) Fingerprint() [sha256.Size]byte { return sha256.Sum256(c.DER) }

// State is what a completed handshake has agreed on.
type State struct {
	Version     uint16 // Version13 or Version12
	CipherSuite uint16 // of the TLS Cipher Suites registry
	Group       uint16 // of the TLS Supported Groups registry
	SRTPProfile uint16 // of the DTLS-SRTP Protection Profiles registry; 0: none agreed
	// PeerCertificate is the peer's leaf, in DER.
	PeerCertificate []byte
}

// Versions on the wire (RFC 9147 section 5.3).
const (
	Version13 uint16 = 0xfefc
	Version12 uint16 = 0xfefd
)

var (
	errNoCertificate = errors.New("dtls13: config without a certificate")
	errNoVerifyPeer  = errors.New("dtls13: config without VerifyPeer")
)

// filled checks c and fills in what is left out.
func (c Config) filled() (Config, error) {
	if c.Certificate.Key == nil || len(c.Certificate.DER) == 0 {
		return c, errNoCertificate
	}
	if c.VerifyPeer == nil {
		return c, errNoVerifyPeer
	}
	if c.Profile.name == "" {
		c.Profile = Chromium()
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	return c, nil
}
