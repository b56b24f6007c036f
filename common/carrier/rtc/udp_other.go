//go:build !linux

package rtc

import "github.com/pion/transport/v5"

// newBatchConn returns c: sockets of other systems move packets one by one.
func newBatchConn(c transport.UDPConn) transport.UDPConn { return c }
