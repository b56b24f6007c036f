//go:build !linux

package ws

import "net"

// sendQueue would tell what the kernel has not sent; not known on this system.
type sendQueue struct{}

func newSendQueue(net.Conn) *sendQueue { return &sendQueue{} }

func (*sendQueue) bytes() int { return 0 }
