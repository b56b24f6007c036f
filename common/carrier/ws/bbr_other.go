//go:build !linux

package ws

import (
	"net"
	"time"
)

// bbr has something to do on Linux only.
type bbr struct{}

func newBBR(net.Conn, time.Time) bbr { return bbr{} }

func (*bbr) renew(time.Time) {}
