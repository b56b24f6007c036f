package turbotunnel

import (
	"time"

	"github.com/xtaci/smux"
)

// Tuning holds the numbers of a session. Take one from ClientTuning or
// ServerTuning and change what you must.
type Tuning struct {
	// KeepAlive is the time between smux keepalives. A session that has heard
	// nothing for Timeout is over (up to twice that: the test is periodic).
	KeepAlive, Timeout time.Duration

	// StreamWindow is the least smux window announced for a stream, in bytes,
	// and StreamWindowMax the largest; see windows. SessionWindow is the bound
	// on what all streams together hold unread.
	StreamWindow, StreamWindowMax, SessionWindow int
}

// ClientTuning is for the end that opens streams.
func ClientTuning() Tuning {
	t := tuning()
	t.Timeout = 600 * time.Second
	return t
}

// ServerTuning is for the end that accepts them.
func ServerTuning() Tuning {
	t := tuning()
	t.Timeout = 240 * time.Second
	return t
}

// tuning is what both ends share: the deployed figures (spec section 7.4), but
// for windows that grow. The largest carries 8 MB/s over 170 ms with repairs
// under way.
func tuning() Tuning {
	return Tuning{
		KeepAlive:       10 * time.Second,
		StreamWindow:    1 << 20,
		StreamWindowMax: 4 << 20,
		SessionWindow:   4 << 20,
	}
}

func (t Tuning) smux() *smux.Config {
	c := smux.DefaultConfig()
	c.Version = 2
	c.KeepAliveInterval = t.KeepAlive
	c.KeepAliveTimeout = t.Timeout
	c.MaxStreamBuffer = renewWindow
	c.MaxReceiveBuffer = t.SessionWindow
	return c
}
