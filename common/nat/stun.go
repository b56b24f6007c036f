package nat

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/pion/stun/v3"
)

// A binding is what a reply says.
type binding struct {
	mapped netip.AddrPort // our address as the server sees it
	other  netip.AddrPort // OTHER-ADDRESS; invalid if absent
}

// ask sends a binding request to a server, again and again until the reply is
// there or timeout has passed. Packets that are not the reply are ignored.
func ask(ctx context.Context, conn net.PacketConn, server netip.AddrPort, timeout time.Duration) (binding, error) {
	request, err := stun.Build(stun.TransactionID, stun.BindingRequest)
	if err != nil {
		return binding{}, err
	}
	to := net.UDPAddrFromAddrPort(server)
	deadline := time.Now().Add(timeout)
	for gap := firstRetransmit; ; gap *= 2 {
		if _, err := conn.WriteTo(request.Raw, to); err != nil {
			return binding{}, err
		}
		until := time.Now().Add(gap)
		if until.After(deadline) {
			until = deadline
		}
		reply, err := await(ctx, conn, server, request.TransactionID, until)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return reply, err
		}
		if until.Equal(deadline) {
			return binding{}, fmt.Errorf("no reply from %v within %v", server, timeout)
		}
	}
}

// await reads until the reply to transaction id comes from server. At the time
// until, it returns os.ErrDeadlineExceeded.
func await(ctx context.Context, conn net.PacketConn, server netip.AddrPort, id [stun.TransactionIDSize]byte, until time.Time) (binding, error) {
	if err := conn.SetReadDeadline(until); err != nil {
		return binding{}, err
	}
	if ctx.Err() != nil {
		// Asked after the deadline was set: the end of ctx may have set another
		// before, which is now overwritten.
		return binding{}, context.Cause(ctx)
	}
	buf := make([]byte, maxReply)
	for {
		n, from, err := conn.ReadFrom(buf)
		if ctx.Err() != nil {
			return binding{}, context.Cause(ctx)
		}
		if err != nil {
			return binding{}, err
		}
		if !sameAddr(from, server) {
			continue
		}
		reply := &stun.Message{Raw: buf[:n]}
		if reply.Decode() != nil || reply.TransactionID != id {
			continue
		}
		switch reply.Type {
		case stun.BindingSuccess:
			return parse(reply)
		case stun.BindingError:
			var code stun.ErrorCodeAttribute
			if err := code.GetFrom(reply); err != nil {
				return binding{}, errors.New("the server refused the request")
			}
			return binding{}, fmt.Errorf("the server refused the request: %v", code)
		}
	}
}

// sameAddr reports whether a packet came from the server it was expected from.
func sameAddr(from net.Addr, server netip.AddrPort) bool {
	udp, ok := from.(*net.UDPAddr)
	if !ok {
		return false
	}
	got := udp.AddrPort()
	return netip.AddrPortFrom(got.Addr().Unmap(), got.Port()) == server
}

// parse takes the two addresses from a reply.
func parse(reply *stun.Message) (binding, error) {
	var mapped stun.XORMappedAddress
	if err := mapped.GetFrom(reply); err != nil {
		return binding{}, fmt.Errorf("the reply has no usable mapped address: %w", err)
	}
	b := binding{mapped: addrPort(mapped.IP, mapped.Port)}
	if !b.mapped.IsValid() || !b.mapped.Addr().Is4() {
		return binding{}, errors.New("the reply has no usable mapped address")
	}
	var other stun.OtherAddress
	if err := other.GetFrom(reply); err == nil {
		b.other = addrPort(other.IP, other.Port)
	}
	return b, nil
}

// addrPort converts an address of package stun; the port has 16 bits there.
func addrPort(ip net.IP, port int) netip.AddrPort {
	addr, ok := netip.AddrFromSlice(ip)
	if !ok {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(addr.Unmap(), uint16(port))
}
