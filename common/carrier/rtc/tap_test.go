package rtc

import (
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/pion/transport/v5"
)

// A tapNet keeps what leaves its sockets.
type tapNet struct {
	transport.Net

	mu   sync.Mutex
	left []tapped
}

type tapped struct {
	at   time.Time
	to   netip.AddrPort
	data []byte
}

func (n *tapNet) packets() []tapped {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.left)
}

func (n *tapNet) ListenUDP(network string, laddr *net.UDPAddr) (transport.UDPConn, error) {
	c, err := n.Net.ListenUDP(network, laddr)
	if err != nil {
		return nil, err
	}
	return tapConn{c, n}, nil
}

type tapConn struct {
	transport.UDPConn
	tap *tapNet
}

func (c tapConn) WriteTo(p []byte, to net.Addr) (int, error) {
	c.tap.mu.Lock()
	c.tap.left = append(c.tap.left, tapped{time.Now(), to.(*net.UDPAddr).AddrPort(), slices.Clone(p)})
	c.tap.mu.Unlock()
	return c.UDPConn.WriteTo(p, to)
}
