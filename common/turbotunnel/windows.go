package turbotunnel

import (
	"encoding/binary"
	"sync/atomic"
	"time"

	"flurry/common/multipath"
)

// The frame by which smux says what a stream may send (spec section 7.4):
// version, command, length and stream, then bytes consumed and the window.
const (
	frameHeader  = 8
	updateFrame  = 4
	updateLength = 8
)

// windows makes the windows that smux announces follow the bandwidth-delay
// product. smux itself knows one size, of which half must be consumed before it
// is renewed: too little of it bounds a long path, too much lets a stream that
// nobody reads fill the memory. So smux is told a small one, which it renews
// often, and what goes out in its place is what the stream needs at the pace at
// which it is being read.
type windows struct {
	*multipath.Conn
	least, most int
	now         atomic.Int64 // the window announced last

	last time.Time // of the last renewal; used by smux's sender only
}

func newWindows(c *multipath.Conn, t Tuning) *windows {
	w := &windows{Conn: c, least: t.StreamWindow, most: t.StreamWindowMax}
	w.now.Store(int64(w.least))
	return w
}

// WriteBuffers takes one frame of smux: its header and its data.
func (w *windows) WriteBuffers(v [][]byte) (int, error) {
	if len(v) == 2 && len(v[0]) == frameHeader && v[0][1] == updateFrame && len(v[1]) == updateLength {
		binary.LittleEndian.PutUint32(v[1][4:], uint32(w.renew(time.Now())))
	}
	return w.Conn.WriteBuffers(v)
}

// renew returns the window to announce. A step of it has been read since the
// last time; in the time that one round trip takes and the repair of a loss
// another, the reader gets as far as the window must reach, and the step behind
// which smux renews it comes on top.
func (w *windows) renew(now time.Time) int {
	took := now.Sub(w.last)
	w.last = now
	want := w.least
	if took > 0 {
		rate := float64(renewStep) / took.Seconds()
		want = int(rate*windowTrips*w.RTT().Seconds()) + renewStep
	}
	old := int(w.now.Load())
	if want < old {
		want = old - (old-want)/8 // one slow step is no slow stream
	}
	want = min(max(want, w.least), w.most)
	w.now.Store(int64(want))
	return want
}

const (
	// renewWindow is what smux is told, and renewStep what it lets be read
	// before it renews the window: half.
	renewWindow = 512 << 10
	renewStep   = renewWindow / 2

	// windowTrips is how many round trips of data a window holds: one for the
	// way, one for a loss on it and its repair, one to spare.
	windowTrips = 3
)
