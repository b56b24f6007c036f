package snowserver

import (
	"net"
	"net/netip"
)

// ClientAddr is the address of the client behind a stream, as far as the
// proxy told it. It is a net.Addr; String gives the form that tor takes as
// USERADDR. Nothing proves that the address is true.
type ClientAddr struct {
	// IP is the client's address; the zero Addr when it is unknown.
	IP netip.Addr
}

var _ net.Addr = ClientAddr{}

// Network implements net.Addr.
func (ClientAddr) Network() string { return "snowflake" }

// String returns "ip:1" ("[ip]:1" for IPv6), or nothing when the address is
// unknown. The port says nothing; tor wants one (spec section 8.3).
func (a ClientAddr) String() string {
	if !a.IP.IsValid() {
		return ""
	}
	return netip.AddrPortFrom(a.IP, 1).String()
}

// parseClientIP reads the client_ip parameter of an upgrade request: a bare
// address, neither unspecified nor with a zone (spec section 8.3). Everything
// else is the zero Addr.
func parseClientIP(text string) netip.Addr {
	ip, err := netip.ParseAddr(text)
	if err != nil || ip.Zone() != "" {
		return netip.Addr{}
	}
	ip = ip.Unmap()
	if ip.IsUnspecified() {
		return netip.Addr{}
	}
	return ip
}
