//go:build !linux

package snowserver

import "syscall"

// dropDead does nothing where the socket option of Linux is not known.
func dropDead(_, _ string, _ syscall.RawConn) error { return nil }
