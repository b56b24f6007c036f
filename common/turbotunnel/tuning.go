package turbotunnel

import (
	"time"

	"github.com/xtaci/kcp-go/v5"
	"github.com/xtaci/smux"
)

// Tuning holds every number of KCP and smux. Take one from ClientTuning or
// ServerTuning and change what you must.
type Tuning struct {
	// SendWindow and ReceiveWindow are in KCP segments. The receive window is
	// what the wire announces; the send window also bounds what a stream's
	// Write runs ahead of the network, and memory with it.
	SendWindow, ReceiveWindow int

	// KeepAlive is the time between smux keepalives. A session that has heard
	// nothing for Timeout is over (up to twice that: the test is periodic).
	KeepAlive, Timeout time.Duration

	// StreamWindow is the smux window announced for each stream, SessionWindow
	// the bound on what all streams together hold unread; both in bytes.
	StreamWindow, SessionWindow int
}

// ClientTuning is for the end that opens streams. It announces a larger window
// than the deployed client. A stream's window is renewed when half of it has
// been read, so that a round trip brings as little as a half: 1 MiB limits a
// path of 170 ms to 2.9 MB/s, 1.25 MiB carry 3.2, and more only makes longer
// queues before the volunteer (measured).
func ClientTuning() Tuning {
	t := tuning()
	t.Timeout = 600 * time.Second
	t.StreamWindow = 1280 << 10
	return t
}

// ServerTuning is for the end that accepts them.
func ServerTuning() Tuning {
	t := tuning()
	t.Timeout = 240 * time.Second
	return t
}

// tuning is what both ends share: the deployed figures (spec sections 7.3 and
// 7.4) but for the send window. The deployed one, 65535 segments, lets 90 MB
// run ahead; 2048 segments (2.8 MB) already carry 14 MB/s over 200 ms.
func tuning() Tuning {
	return Tuning{
		SendWindow:    2048,
		ReceiveWindow: 65535,
		KeepAlive:     10 * time.Second,
		StreamWindow:  1 << 20,
		SessionWindow: 4 << 20,
	}
}

// apply sets a KCP conversation up: stream mode, no congestion window, the
// interval that clamps to 10 ms, and no fast resend (spec section 7.3).
func (t Tuning) apply(s *kcp.UDPSession) {
	//lint:ignore SA1019 the wire asks for stream mode, and there is no other way to set it
	s.SetStreamMode(true)
	s.SetWindowSize(t.SendWindow, t.ReceiveWindow)
	s.SetNoDelay(0, 0, 0, 1)
}

func (t Tuning) smux() *smux.Config {
	c := smux.DefaultConfig()
	c.Version = 2
	c.KeepAliveInterval = t.KeepAlive
	c.KeepAliveTimeout = t.Timeout
	c.MaxStreamBuffer = t.StreamWindow
	c.MaxReceiveBuffer = t.SessionWindow
	return c
}
