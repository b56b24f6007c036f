package nat

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/pion/stun/v3"

	"flurry/common/messages"
)

const (
	// defaultTimeout is how long one reply is waited for: requests at 0, 0.5, 1.5
	// and 3.5 s. A probe that fails quickly leaves time for the next server.
	defaultTimeout = 5 * time.Second
	// firstRetransmit is the first gap between copies of a request, doubled each
	// time (RFC 8489, section 6.2.1).
	firstRetransmit = 500 * time.Millisecond
	// maxReply is the size of the read buffer; a longer reply is cut and thus
	// refused. STUN over UDP stays below the path MTU.
	maxReply = 1500
)

// Options are for tests and unusual networks. The zero value is right otherwise.
type Options struct {
	// Timeout bounds the wait for each of the two replies of a server; 0 means 5 s.
	Timeout time.Duration
	// Listen makes the UDP socket of a probe, which Probe closes; nil means any
	// free IPv4 port.
	Listen func(ctx context.Context) (net.PacketConn, error)
	// Lookup resolves a server's name to IPv4 addresses; nil means the system's
	// resolver.
	Lookup func(ctx context.Context, host string) ([]netip.Addr, error)
}

// Probe measures the mapping behaviour with the first of the servers that takes
// part, in the given order. A server is a "stun:" URL or host:port; it must
// support RFC 5780 with a second address. When all fail, or ctx ends, the
// result is messages.NATUnknown with an error that has each server's reason.
func Probe(ctx context.Context, servers []string, o Options) (messages.NATType, error) {
	o = o.withDefaults()
	var reasons []error
	for _, server := range servers {
		if ctx.Err() != nil {
			break
		}
		kind, err := probeServer(ctx, server, o)
		if err == nil {
			return kind, nil
		}
		reasons = append(reasons, fmt.Errorf("%s: %w", server, err))
	}
	if ctx.Err() != nil {
		reasons = append(reasons, context.Cause(ctx))
	}
	if len(reasons) == 0 {
		reasons = append(reasons, errors.New("no STUN server is configured"))
	}
	return messages.NATUnknown, fmt.Errorf("NAT probe: %w", errors.Join(reasons...))
}

func (o Options) withDefaults() Options {
	if o.Timeout <= 0 {
		o.Timeout = defaultTimeout
	}
	if o.Listen == nil {
		o.Listen = func(ctx context.Context) (net.PacketConn, error) {
			return new(net.ListenConfig).ListenPacket(ctx, "udp4", "0.0.0.0:0")
		}
	}
	if o.Lookup == nil {
		o.Lookup = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return new(net.Resolver).LookupNetIP(ctx, "ip4", host)
		}
	}
	return o
}

// probeServer runs both tests with one server from a fresh socket.
func probeServer(ctx context.Context, server string, o Options) (messages.NATType, error) {
	primary, err := resolve(ctx, server, o)
	if err != nil {
		return messages.NATUnknown, err
	}
	conn, err := o.Listen(ctx)
	if err != nil {
		return messages.NATUnknown, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })()

	first, err := ask(ctx, conn, primary, o.Timeout)
	if err != nil {
		return messages.NATUnknown, err
	}
	if err := checkOther(primary, first.other); err != nil {
		return messages.NATUnknown, err
	}
	second, err := ask(ctx, conn, first.other, o.Timeout)
	if err != nil {
		return messages.NATUnknown, fmt.Errorf("other address: %w", err)
	}
	if first.mapped == second.mapped {
		return messages.NATUnrestricted, nil
	}
	return messages.NATRestricted, nil
}

// resolve finds the IPv4 address of a server.
func resolve(ctx context.Context, server string, o Options) (netip.AddrPort, error) {
	if !strings.HasPrefix(strings.ToLower(server), "stun:") {
		server = "stun:" + server
	}
	uri, err := stun.ParseURI(server)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("not a STUN server: %w", err)
	}
	if uri.Port < 1 || uri.Port > 65535 {
		return netip.AddrPort{}, fmt.Errorf("not a STUN server: port %d", uri.Port)
	}
	port := uint16(uri.Port)
	if addr, err := netip.ParseAddr(uri.Host); err == nil {
		if addr = addr.Unmap(); !addr.Is4() {
			return netip.AddrPort{}, errors.New("the probe needs an IPv4 server")
		}
		return netip.AddrPortFrom(addr, port), nil
	}
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	addrs, err := o.Lookup(ctx, uri.Host)
	if err != nil {
		return netip.AddrPort{}, err
	}
	for _, addr := range addrs {
		if addr = addr.Unmap(); addr.Is4() {
			return netip.AddrPortFrom(addr, port), nil
		}
	}
	return netip.AddrPort{}, errors.New("the server has no IPv4 address")
}

// checkOther refuses an other address with which the test would say nothing, or
// which the server has no business sending us to.
func checkOther(primary, other netip.AddrPort) error {
	a := other.Addr()
	switch {
	case !other.IsValid():
		return errors.New("the server has no other address (it does not support RFC 5780)")
	case a == primary.Addr() || other.Port() == primary.Port():
		return fmt.Errorf("the server's other address %v does not differ in both address and port", other)
	case other.Port() == 0, !a.IsGlobalUnicast() && !a.IsLoopback(), a.IsLoopback() && !primary.Addr().IsLoopback(),
		a.IsPrivate() && !primary.Addr().IsPrivate() && !primary.Addr().IsLoopback():
		return fmt.Errorf("the server names the unusable other address %v", other)
	}
	return nil
}
