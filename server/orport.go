package main

import (
	"crypto/rand"
	"fmt"
	"net"
	"time"

	pt "gitlab.torproject.org/tpo/anti-censorship/pluggable-transports/goptlib"
)

// orTimeout bounds the connection to tor. What follows on an extended OR port
// (authentication, USERADDR, TRANSPORT, DONE) has another five seconds, by
// goptlib (spec section 8.3).
const orTimeout = 5 * time.Second

// orReadBuffer bounds what tor has written and we have not read. Left to
// itself the kernel lets it grow to megabytes, all of which an answer to the
// user has to wait for: 0.6 s in place of 0.4 on a path of 3 MB/s (measured).
const orReadBuffer = 64 << 10

// orDialer connects to tor: to the extended OR port where there is one.
type orDialer struct {
	info   *pt.ServerInfo
	source *net.IPNet // where connections come from; nil leaves that to the system
}

// dial connects to tor for a client with the given USERADDR, which may be empty.
func (d *orDialer) dial(userAddr string) (*net.TCPConn, error) {
	dialer := &net.Dialer{Timeout: orTimeout, Control: bindAddressOnly}
	if d.source != nil {
		dialer.LocalAddr = &net.TCPAddr{IP: randomIP(d.source)}
	}
	c, err := pt.DialOrWithDialer(dialer, d.info, userAddr, methodName)
	if err != nil {
		return nil, fmt.Errorf("connect to tor: %w", err)
	}
	tcp := c.(*net.TCPConn)
	_ = tcp.SetReadBuffer(orReadBuffer) // refused, it only costs time
	return tcp, nil
}

// parseSource reads orport-srcaddr, an address or a range in CIDR notation.
// One address is a range of 128 bits in either family.
func parseSource(text string) (*net.IPNet, error) {
	if ip := net.ParseIP(text); ip != nil {
		return &net.IPNet{IP: ip.To16(), Mask: net.CIDRMask(128, 128)}, nil
	}
	_, source, err := net.ParseCIDR(text)
	return source, err
}

// randomIP draws an address of a range, each as likely as any other.
func randomIP(source *net.IPNet) net.IP {
	ip := make(net.IP, len(source.IP))
	rand.Read(ip) // never fails, says its documentation
	for i, mask := range source.Mask {
		ip[i] = source.IP[i]&mask | ip[i]&^mask
	}
	return ip
}
