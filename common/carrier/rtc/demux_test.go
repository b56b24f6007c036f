package rtc

import (
	"net/netip"
	"testing"
)

// RFC 7983 section 7.
func TestClassify(t *testing.T) {
	want := func(b int) packetClass {
		switch {
		case b <= 3:
			return stunPacket
		case b >= 20 && b <= 63:
			return dtlsPacket
		case b >= 128 && b <= 191:
			return mediaPacket
		}
		return otherPacket
	}
	for b := range 256 {
		if got := classify([]byte{byte(b), 1, 2}); got != want(b) {
			t.Errorf("%d: %d", b, got)
		}
	}
	if classify(nil) != otherPacket {
		t.Error("nothing is something")
	}
}

// loopSocket gives back what was written to it last.
type loopSocket struct{ last []byte }

func (s *loopSocket) ReadFromAddrPort(p []byte) (int, netip.AddrPort, error) {
	return copy(p, s.last), netip.AddrPort{}, nil
}

func (s *loopSocket) WriteToAddrPort(p []byte, _ netip.AddrPort) (int, error) {
	s.last = p
	return len(p), nil
}

// Data passes the shaper without garbage.
func TestDataCostsNothing(t *testing.T) {
	look, err := Chromium.look()
	if err != nil {
		t.Fatal(err)
	}
	socket := &loopSocket{}
	c := &shapedConn{below: socket, requests: newRequests(newShaper(look.checks, ticks{}), socket)}
	packet, buf := make([]byte, 1210), make([]byte, 2000)
	packet[0] = 0x2f
	to := netip.MustParseAddrPort("192.0.2.1:1")
	allocations := testing.AllocsPerRun(100, func() {
		if n, err := c.WriteToAddrPort(packet, to); n != len(packet) || err != nil {
			t.Fatal(n, err)
		}
		if n, _, err := c.ReadFromAddrPort(buf); n != len(packet) || err != nil {
			t.Fatal(n, err)
		}
	})
	if allocations != 0 {
		t.Errorf("%v allocations for each packet", allocations)
	}
}
