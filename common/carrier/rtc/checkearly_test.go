package rtc

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/stun/v4"
)

// A controlled end's check is answered before the agent reads; what else comes is the agent's.
func TestEarlyAnswers(t *testing.T) {
	look, err := Chromium.look()
	if err != nil {
		t.Fatal(err)
	}
	listen := func() *net.UDPConn {
		c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	s := newShaper(look.checks, ticks{})
	ours, other := listen(), listen()
	shaped := newShapedConn(ours, s)
	s.conns = append(s.conns, shaped)
	local := credentials{"abcd", "our password of some length"}
	s.answerEarly(local)

	to := ours.LocalAddr().(*net.UDPAddr).AddrPort()
	send := func(p []byte) {
		if _, err := other.WriteToUDPAddrPort(p, to); err != nil {
			t.Fatal(err)
		}
	}
	forged := agentsCheck(t, false, "abcd:wxyz", "another password")
	controlling := agentsCheck(t, true, "abcd:wxyz", local.pwd)
	send(forged)
	send(controlling)
	send([]byte{22, 1, 2, 3})
	check := agentsCheck(t, false, "abcd:wxyz", local.pwd)
	send(check)

	buf := make([]byte, earlySize)
	other.SetReadDeadline(time.Now().Add(5 * time.Second))
	n, _, err := other.ReadFromUDPAddrPort(buf)
	if err != nil {
		t.Fatal(err)
	}
	asked, answer := &stun.Message{Raw: check}, &stun.Message{Raw: buf[:n]}
	if err := asked.Decode(); err != nil {
		t.Fatal(err)
	}
	if err := answer.Decode(); err != nil {
		t.Fatal(err)
	}
	var addr stun.XORMappedAddress
	if answer.Type != stun.BindingSuccess || answer.TransactionID != asked.TransactionID || n != 64 || addr.GetFrom(answer) != nil ||
		netip.AddrPortFrom(netip.MustParseAddr(addr.IP.String()), uint16(addr.Port)) != other.LocalAddr().(*net.UDPAddr).AddrPort() {
		t.Errorf("%d bytes, %v", n, answer)
	}
	if err := stun.NewShortTermIntegrity(local.pwd).Check(answer); err != nil {
		t.Error(err)
	}

	s.stopEarly()
	s.stopEarly()
	if kept := s.takeStash(); len(kept) != 1 || string(kept[0]) != "\x16\x01\x02\x03" {
		t.Errorf("of DTLS %x was kept", kept)
	}
	for _, want := range [][]byte{forged, controlling} {
		n, from, err := shaped.ReadFromAddrPort(buf)
		if err != nil || string(buf[:n]) != string(want) || from.Port() != other.LocalAddr().(*net.UDPAddr).AddrPort().Port() {
			t.Fatalf("%x from %v, %v; want %x", buf[:n], from, err, want)
		}
	}
	send([]byte{23, 1})
	if n, _, err := shaped.ReadFromAddrPort(buf); err != nil || n != 2 {
		t.Errorf("%d bytes later, %v", n, err)
	}
}
