//go:build !linux

package main

import "syscall"

// bindAddressOnly does nothing where the socket option of Linux is not known.
func bindAddressOnly(_, _ string, _ syscall.RawConn) error { return nil }
