package main

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// bindAddressOnly lets the kernel choose the source port at connect instead of
// at bind, so that each source address has its own ports for each destination
// and many thousands of connections to one OR port fit. It is a Control of
// net.Dialer. Kernels without the option (before 4.2) do without.
func bindAddressOnly(_, _ string, raw syscall.RawConn) error {
	return raw.Control(func(fd uintptr) {
		unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
	})
}
