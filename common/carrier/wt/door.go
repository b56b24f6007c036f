package wt

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"
)

const (
	// uniStreams are HTTP/3's control, QPACK encoder and QPACK decoder; fewer must
	// not be allowed (RFC 9114, section 6.2).
	uniStreams = 3

	// initialWindow is how much a connection may send before anything is read:
	// as much as Linux gives a TCP connection.
	initialWindow = 128 << 10

	// maxWindow is what that may grow to: 80 Mbit/s at a round trip of 100 ms,
	// above what one client sends up.
	maxWindow = 1 << 20

	// totalWindows bounds what all windows together have grown by. It is memory
	// that hostile ends could fill and hold; the kernel has such a bound for TCP.
	totalWindows = 256 << 20

	// maxHellos bounds connections whose TLS hello is not complete. Each has an
	// address that answers, half of OpenTimeout, and less than the 100 KB that a
	// session takes.
	maxHellos = 2048
)

// errFull refuses a connection. Its end reads CONNECTION_REFUSED.
var errFull = errors.New("wt: too many connections")

// A door counts connections from their first packet that comes with an address
// that answers.
type door struct {
	maxConns int64 // fixed

	// atomic
	conns, hellos, grown atomic.Int64
}

func newDoor(maxConns int) *door { return &door{maxConns: int64(maxConns)} }

// A guest is what the door knows of one connection.
type guest struct {
	door  *door
	in    func()       // the hello is complete; only the first call counts
	grown atomic.Int64 // of its window

	// set before the connection is served
	waits *halfOpen
	late  *time.Timer // ends the connection unless it becomes a carrier
}

type guestKey struct{}

// enter lets a connection in, as quic.Transport.ConnContext, or refuses it. ctx
// ends with the connection.
func (d *door) enter(ctx context.Context, _ *quic.ClientInfo) (context.Context, error) {
	if d.conns.Load() >= d.maxConns || d.hellos.Load() >= maxHellos {
		return nil, errFull
	}
	d.conns.Add(1)
	d.hellos.Add(1)
	g := &guest{door: d, in: sync.OnceFunc(func() { d.hellos.Add(-1) })}
	context.AfterFunc(ctx, g.leave)
	return context.WithValue(ctx, guestKey{}, g), nil
}

// leave gives back what the connection has taken.
func (g *guest) leave() {
	g.in()
	g.door.grown.Add(-g.grown.Swap(0))
	g.door.conns.Add(-1)
}

// guestOf is the guest of a connection that has entered.
func guestOf(conn *quic.Conn) *guest { return conn.Context().Value(guestKey{}).(*guest) }

// widen says whether the connection's window may grow by delta.
func (g *guest) widen(delta int64) bool {
	if g.door.grown.Add(delta) > totalWindows {
		g.door.grown.Add(-delta)
		return false
	}
	g.grown.Add(delta)
	return true
}
