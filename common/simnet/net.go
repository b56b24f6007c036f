package simnet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/pion/transport/v5"
)

var _ transport.Net = (*Host)(nil)

// errNoNames says that an address is not a literal IPv4 address.
var errNoNames = errors.New("no names here, and no IPv6")

// resolve takes "host:port"; an empty host is the host itself.
func (h *Host) resolve(network, address string) (netip.AddrPort, error) {
	name, service, err := net.SplitHostPort(address)
	if err != nil {
		return netip.AddrPort{}, err
	}
	if strings.HasSuffix(network, "6") {
		return netip.AddrPort{}, &net.AddrError{Err: errNoNames.Error(), Addr: address}
	}
	addr := h.addr
	if name != "" && name != "0.0.0.0" {
		if addr, err = netip.ParseAddr(name); err != nil || !addr.Is4() {
			return netip.AddrPort{}, &net.AddrError{Err: errNoNames.Error(), Addr: address}
		}
	}
	if addr.IsLoopback() {
		addr = h.addr
	}
	port, err := strconv.ParseUint(service, 10, 16)
	return netip.AddrPortFrom(addr, uint16(port)), err
}

// DialContext connects by TCP or makes a connected UDP socket.
func (h *Host) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	to, err := h.resolve(network, address)
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(network, "udp") {
		return h.bindUDP(0, to)
	}
	c, err := h.dialTCP(ctx, to)
	if err != nil {
		return nil, fmt.Errorf("dial tcp %v: %w", to, err)
	}
	return c, nil
}

// Listen takes TCP connections to port; 0 lets the host choose one.
func (h *Host) Listen(port uint16) (net.Listener, error) { return h.listenTCP(port) }

// The rest of transport.Net, in terms of the above.

// Dial implements transport.Net.
func (h *Host) Dial(network, address string) (net.Conn, error) {
	return h.DialContext(context.Background(), network, address)
}

// ListenPacket implements transport.Net, for UDP only.
func (h *Host) ListenPacket(network, address string) (net.PacketConn, error) {
	a, err := h.ResolveUDPAddr(network, address)
	if err != nil {
		return nil, err
	}
	return h.ListenUDP(network, a)
}

// ListenUDP implements transport.Net.
func (h *Host) ListenUDP(_ string, a *net.UDPAddr) (transport.UDPConn, error) {
	return h.listenOrDialUDP(a, netip.AddrPort{})
}

// DialUDP implements transport.Net.
func (h *Host) DialUDP(_ string, local, remote *net.UDPAddr) (transport.UDPConn, error) {
	return h.listenOrDialUDP(local, remote.AddrPort())
}

func (h *Host) listenOrDialUDP(local *net.UDPAddr, remote netip.AddrPort) (transport.UDPConn, error) {
	var port uint16
	if local != nil {
		port = uint16(local.Port)
	}
	c, err := h.bindUDP(port, remote)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// ListenTCP implements transport.Net: there is no TCP for WebRTC here.
func (h *Host) ListenTCP(string, *net.TCPAddr) (transport.TCPListener, error) {
	return nil, transport.ErrNotSupported
}

// DialTCP implements transport.Net: there is no TCP for WebRTC here.
func (h *Host) DialTCP(string, *net.TCPAddr, *net.TCPAddr) (transport.TCPConn, error) {
	return nil, transport.ErrNotSupported
}

// ResolveIPAddr implements transport.Net.
func (h *Host) ResolveIPAddr(network, address string) (*net.IPAddr, error) {
	a, err := h.resolve(network, net.JoinHostPort(address, "0"))
	return &net.IPAddr{IP: a.Addr().AsSlice()}, err
}

// ResolveUDPAddr implements transport.Net.
func (h *Host) ResolveUDPAddr(network, address string) (*net.UDPAddr, error) {
	a, err := h.resolve(network, address)
	if err != nil {
		return nil, err
	}
	return net.UDPAddrFromAddrPort(a), nil
}

// ResolveTCPAddr implements transport.Net.
func (h *Host) ResolveTCPAddr(network, address string) (*net.TCPAddr, error) {
	a, err := h.resolve(network, address)
	if err != nil {
		return nil, err
	}
	return net.TCPAddrFromAddrPort(a), nil
}

// Interfaces implements transport.Net: there is one.
func (h *Host) Interfaces() ([]*transport.Interface, error) {
	ifc := transport.NewInterface(net.Interface{Index: 1, MTU: 1500, Name: "eth0", Flags: net.FlagUp | net.FlagRunning | net.FlagMulticast})
	ifc.AddAddress(&net.IPNet{IP: h.addr.AsSlice(), Mask: net.CIDRMask(24, 32)})
	return []*transport.Interface{ifc}, nil
}

// InterfaceByIndex implements transport.Net.
func (h *Host) InterfaceByIndex(i int) (*transport.Interface, error) {
	if i != 1 {
		return nil, transport.ErrInterfaceNotFound
	}
	all, err := h.Interfaces()
	return all[0], err
}

// InterfaceByName implements transport.Net.
func (h *Host) InterfaceByName(name string) (*transport.Interface, error) {
	if name != "eth0" {
		return nil, transport.ErrInterfaceNotFound
	}
	return h.InterfaceByIndex(1)
}

// CreateDialer implements transport.Net. Nothing of d is used.
func (h *Host) CreateDialer(*net.Dialer) transport.Dialer { return h }

// CreateListenConfig implements transport.Net. Nothing of c is used.
func (h *Host) CreateListenConfig(*net.ListenConfig) transport.ListenConfig { return listenConfig{h} }

type listenConfig struct{ h *Host }

func (l listenConfig) Listen(_ context.Context, network, address string) (net.Listener, error) {
	a, err := l.h.resolve(network, address)
	if err != nil {
		return nil, err
	}
	return l.h.Listen(a.Port())
}

func (l listenConfig) ListenPacket(_ context.Context, network, address string) (net.PacketConn, error) {
	return l.h.ListenPacket(network, address)
}
