package browser

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// A packet is one datagram as it passed the host of whoever offered.
type packet struct {
	at time.Time
	up bool   // the offerer has sent it
	ip []byte // with its IPv4 header
}

// udpHeader is the length of UDP's header, RFC 768.
const udpHeader = 8

// payload is what UDP carries.
func (p packet) payload() []byte {
	return p.ip[int(p.ip[0]&15)*4+udpHeader:]
}

// ends returns both ends of a UDP packet: the host's own first.
func ends(up bool, ip []byte) (f [2]netip.AddrPort, ok bool) {
	head := int(ip[0]&15) * 4
	if ip[9] != 17 || len(ip) < head+udpHeader { // RFC 791 section 3.1, protocol
		return f, false
	}
	from := netip.AddrPortFrom(netip.AddrFrom4([4]byte(ip[12:16])), binary.BigEndian.Uint16(ip[head:]))
	to := netip.AddrPortFrom(netip.AddrFrom4([4]byte(ip[16:20])), binary.BigEndian.Uint16(ip[head+2:]))
	if up {
		return [2]netip.AddrPort{from, to}, true
	}
	return [2]netip.AddrPort{to, from}, true
}

// A tap sorts what it sees by call.
type tap struct {
	board *switchboard

	mu    sync.Mutex
	flows map[[2]netip.AddrPort]*call
}

func newTap(board *switchboard) *tap {
	return &tap{board: board, flows: map[[2]netip.AddrPort]*call{}}
}

// watch is for netlab.HostConfig.
func (t *tap) watch(up bool, ip []byte) bool {
	now := time.Now()
	f, ok := ends(up, ip)
	if !ok {
		return true
	}
	p := packet{now, up, slices.Clone(ip)}
	c := t.callOf(f, p)
	if c == nil || !c.offers(f[0].Addr()) {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.packets = append(c.packets, p)
	return c.drop == nil || !c.drop(c, dissect(p))
}

// offers tells the host of a call's offerer.
func (c *call) offers(addr netip.Addr) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.home == addr
}

// callOf finds the call of a flow: by the username of its first check, or by the server that it asks.
func (t *tap) callOf(f [2]netip.AddrPort, p packet) *call {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c := t.flows[f]; c != nil {
		return c
	}
	var c *call
	if d := dissect(p); d.stun != nil {
		c = t.board.find(d.stun.username, f[1].String())
	}
	if c != nil {
		t.flows[f] = c
	}
	return c
}

// pcap is a file of packets in libpcap's format, with link type 101: IP without anything below.
func pcap(packets []packet) []byte {
	const magic, snap, raw = 0xa1b2c3d4, 65535, 101
	var b bytes.Buffer
	put := func(v ...any) {
		for _, v := range v {
			binary.Write(&b, binary.LittleEndian, v) //nolint:errcheck // Into memory.
		}
	}
	put(uint32(magic), uint16(2), uint16(4), uint32(0), uint32(0), uint32(snap), uint32(raw))
	for _, p := range packets {
		put(uint32(p.at.Unix()), uint32(p.at.Nanosecond()/1000), uint32(len(p.ip)), uint32(len(p.ip)))
		b.Write(p.ip)
	}
	return b.Bytes()
}
