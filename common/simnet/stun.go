package simnet

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/pion/stun/v3"
)

// ServeSTUN answers binding requests on a port of h until stop is called, which
// returns when the server has ended.
func (h *Host) ServeSTUN(port uint16) (stop func(), err error) {
	c, err := h.bindUDP(port, netip.AddrPort{})
	if err != nil {
		return nil, err
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		serveSTUN(c)
	}()
	return func() { c.Close(); <-done }, nil
}

func serveSTUN(c *udpConn) {
	buf := make([]byte, 1500)
	for {
		n, from, err := c.ReadFromAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		m := &stun.Message{Raw: append([]byte(nil), buf[:n]...)}
		if err != nil || m.Decode() != nil || m.Type != stun.BindingRequest {
			continue
		}
		reply, err := stun.Build(m, stun.BindingSuccess,
			&stun.XORMappedAddress{IP: from.Addr().AsSlice(), Port: int(from.Port())}, stun.Fingerprint)
		if err == nil {
			c.WriteToAddrPort(reply.Raw, from) // a closed socket shows above
		}
	}
}

// STUN is the URL of a server started on this host's port.
func (h *Host) STUN(port uint16) string { return fmt.Sprintf("stun:%v:%d", h.addr, port) }
