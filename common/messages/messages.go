// Package messages is the language of the broker: what a client asks, what a
// proxy polls and answers, and what the broker replies.
//
//	client ─ ClientPollRequest ─▶ broker ─ ProxyPollResponse ──▶ proxy
//	client ◀ ClientPollResponse ─ broker ◀ ProxyPollRequest ──── proxy
//	                              broker ◀ ProxyAnswerRequest ── proxy
//
// Every message has an Encode method and a Decode function; a decoder checks
// all that the wire specification (sections 2 and 3) lets a receiver rely on,
// in its order, because the order decides the error a peer sees. Offers and
// answers are session descriptions in their JSON wrapper (spec section 5.1),
// carried as strings inside the JSON of the message. Member names of messages
// match without regard to case; those of the wrapper do not.
//
// The package has no state: everything may be called from any goroutine, and
// nothing keeps the slices it is given.
package messages

import (
	"encoding/hex"
	"slices"
	"strings"
)

// MaxBodyBytes is the largest request the broker reads and the largest
// response a client or proxy reads (spec sections 2.3 and 3.1).
const MaxBodyBytes = 100_000

// NATType says how a peer's network treats outgoing UDP (spec section 9.1).
type NATType string

// The NAT words. Only a restricted peer facing a restricted or unknown one is
// assumed to fail.
const (
	NATUnknown      NATType = "unknown"
	NATRestricted   NATType = "restricted"
	NATUnrestricted NATType = "unrestricted"
)

// ParseNATType reads a NAT word, case-sensitively. The empty word is
// NATUnknown; any other is ErrNATType.
func ParseNATType(word string) (NATType, error) {
	switch t := NATType(word); t {
	case "":
		return NATUnknown, nil
	case NATUnknown, NATRestricted, NATUnrestricted:
		return t, nil
	}
	return "", ErrNATType
}

// ProxyType says what kind of program a proxy is. It is used for statistics
// only and is never a reason to refuse one.
type ProxyType string

// The proxy types that have a name on the wire (spec section 3.1), and
// ProxyUnknown for all others.
const (
	ProxyStandalone ProxyType = "standalone"
	ProxyWebext     ProxyType = "webext"
	ProxyBadge      ProxyType = "badge"
	ProxyIPTProxy   ProxyType = "iptproxy"
	ProxyBloco      ProxyType = "bloco"
	ProxyUnknown    ProxyType = "unknown"
)

// KnownProxyTypes returns the types that have a name of their own, that is all
// but ProxyUnknown. The slice is the caller's.
func KnownProxyTypes() []ProxyType {
	return []ProxyType{ProxyStandalone, ProxyWebext, ProxyBadge, ProxyIPTProxy, ProxyBloco}
}

// ParseProxyType reads a type word, case-sensitively; a word it does not know
// is ProxyUnknown.
func ParseProxyType(word string) ProxyType {
	if t := ProxyType(word); slices.Contains(KnownProxyTypes(), t) {
		return t
	}
	return ProxyUnknown
}

// A Fingerprint is the identity of a bridge: the 20 raw bytes of an RSA
// fingerprint or the 32 of an ed25519 one. It is comparable.
type Fingerprint string

// DefaultFingerprint is the bridge meant by those who name none (spec section 2.1).
const DefaultFingerprint Fingerprint = "\x2B\x28\x0B\x23\xE1\x10\x7B\xB6\x2A\xBF\xC4\x0D\xDC\xC8\x82\x48\x14\xF8\x0A\x72"

// Lengths of a Fingerprint in bytes.
const (
	rsaFingerprintBytes     = 20 // SHA-1
	ed25519FingerprintBytes = 32 // SHA-256
)

// ParseFingerprint reads a fingerprint in hexadecimal, either case, as clients
// give it: the empty text is DefaultFingerprint. The error is ErrFingerprint.
func ParseFingerprint(text string) (Fingerprint, error) {
	if text == "" {
		return DefaultFingerprint, nil
	}
	return ParseBridgeFingerprint(text)
}

// ParseBridgeFingerprint is ParseFingerprint where there is no default, as in a
// bridge list: the empty text is ErrFingerprint too.
func ParseBridgeFingerprint(text string) (Fingerprint, error) {
	raw, err := hex.DecodeString(text)
	if err != nil || !Fingerprint(raw).valid() {
		return "", ErrFingerprint
	}
	return Fingerprint(raw), nil
}

func (f Fingerprint) valid() bool {
	return len(f) == rsaFingerprintBytes || len(f) == ed25519FingerprintBytes
}

// String returns f in upper-case hexadecimal.
func (f Fingerprint) String() string {
	return strings.ToUpper(hex.EncodeToString([]byte(f)))
}
