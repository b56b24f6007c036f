package main

import (
	"net"
	"testing"

	pt "gitlab.torproject.org/tpo/anti-censorship/pluggable-transports/goptlib"
	"golang.org/x/sys/unix"
)

func TestBindAddressNoPort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := (&orDialer{info: &pt.ServerInfo{OrAddr: l.Addr().(*net.TCPAddr)}}).dial("")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) {
		if v, err := unix.GetsockoptInt(int(fd), unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT); err != nil || v != 1 {
			t.Errorf("IP_BIND_ADDRESS_NO_PORT is %d, %v", v, err)
		}
	})
}
