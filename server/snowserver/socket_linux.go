package snowserver

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// dropDead makes the kernel give up on a connection whose peer has
// acknowledged nothing for deadAfter; without it a proxy that vanished would
// be retried for some 15 minutes (tcp_retries2). It is a Control of
// net.ListenConfig; accepted connections inherit the option.
func dropDead(_, _ string, raw syscall.RawConn) error {
	var failed error
	err := raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(deadAfter.Milliseconds()))
	})
	if err != nil {
		return err
	}
	return failed
}
