package interop

import "syscall"

// childAttr makes the kernel end a child whose parent dies without a word.
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
