package snowproxy

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"

	"flurry/common/messages"
	"flurry/common/sdp"
)

// Reasons to refuse a relay that a broker names.
var (
	errPrivateRelay = errors.New("private addresses are not allowed")
	errPlainRelay   = errors.New("relays without TLS are not allowed")
	errRelayScheme  = errors.New("only WebSocket and WebTransport are allowed")
	errRelayPattern = errors.New("the host name does not match the allowed pattern")
)

// relayPolicy is what the operator accepts as a relay.
type relayPolicy struct {
	pattern      messages.RelayPattern
	allowPrivate bool
	allowNonTLS  bool
}

// check applies the tests of spec section 8.4, in its order, to a URL from the
// broker. Names are not resolved here: the dialler looks at the address that
// the connection really goes to (see guard).
func (p relayPolicy) check(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("relay URL refused: %w", err)
	}
	if err := p.checkParsed(u); err != nil {
		return nil, fmt.Errorf("relay URL %q refused: %w", text, err)
	}
	return u, nil
}

func (p relayPolicy) checkParsed(u *url.URL) error {
	if a, err := netip.ParseAddr(u.Hostname()); err == nil && !p.allowPrivate && isPrivate(a) {
		return errPrivateRelay
	}
	withTLS := u.Scheme == "wss" || u.Scheme == "https" // the latter is WebTransport (doc/wire.md, appendix H)
	if !withTLS && !p.allowNonTLS {
		return errPlainRelay
	}
	if !withTLS && u.Scheme != "ws" {
		return errRelayScheme
	}
	if !p.pattern.Matches(u.Hostname()) {
		return errRelayPattern
	}
	return nil
}

// isPrivate reports whether a must not be dialled for a stranger: the local
// addresses of spec section 5.3, those that name no single host, and either
// kind in the clothes of IPv6.
func isPrivate(a netip.Addr) bool {
	a = a.WithZone("").Unmap()
	if sdp.IsLocal(a) || a.IsLoopback() || a.IsUnspecified() || a.IsMulticast() {
		return true
	}
	if a.Is4() {
		b := a.As4()
		return b[0] == 0 || b == [4]byte{255, 255, 255, 255} // "this network" (RFC 1122), broadcast
	}
	b := a.As16()
	switch {
	case nat64Prefix().Contains(a):
		return isPrivate(netip.AddrFrom4([4]byte(b[12:16])))
	case b[0] == 0x20 && b[1] == 0x02: // 6to4, RFC 3056: 2002:V4ADDR::/48
		return isPrivate(netip.AddrFrom4([4]byte(b[2:6])))
	}
	return false
}

// nat64Prefix is the well-known prefix of RFC 6052.
func nat64Prefix() netip.Prefix { return netip.MustParsePrefix("64:ff9b::/96") }
