// Package carrier is the seam between the session and the hops that carry it.
//
// A Conn moves whole messages over one hop: a WebRTC data channel between
// client and proxy, a WebSocket between proxy and bridge, or a pair of queues
// in a test. Both hops and both of their ends use it, and so does the packet
// framing of package turbotunnel, which turns a Conn of messages into a Conn of
// KCP packets.
//
//	client ══ Conn (rtc) ══ proxy ══ Conn (ws) ══ server
package carrier

import "context"

// A Conn is a two-way pipe of whole messages. Any two methods may run at once,
// but not two Sends or two Recvs.
type Conn interface {
	// Send blocks while the pipe is full: that is the backpressure. It does
	// not keep msg. A message longer than Traits().MaxMessage is refused with
	// ErrTooLong and harms nothing.
	Send(ctx context.Context, msg []byte) error

	// Recv waits for one message and copies it into buf. After a clean end it
	// returns io.EOF. What a Conn does with a message longer than buf depends
	// on its Traits: with Stream set the rest comes with the next Recv,
	// otherwise the rest is lost.
	Recv(buf []byte) (int, error)

	// Queued reports bytes accepted by Send that have not left this machine,
	// as far as the Conn can tell.
	Queued() int

	Traits() Traits

	// Done is closed when the Conn has ended, for whatever reason. That the
	// other end has closed it may show only in Recv, after all that was sent
	// before: a Conn wants a Recv under way.
	Done() <-chan struct{}

	// Err says why the Conn ended: nil while it lives, io.EOF after a clean end.
	Err() error

	// Close ends the Conn and frees its waiters and goroutines. Messages
	// that Send has accepted are given a short, bounded time to leave. Close
	// may be called twice.
	Close() error
}

// Traits are promises that a Conn makes for its whole life.
type Traits struct {
	Kind       string // "rtc-reliable", "ws", "mem", ...
	Stream     bool   // ordered and lossless, message edges may move: frame it as a byte stream
	Lossy      bool   // messages arrive whole or not at all, in any order; never together with Stream
	MaxMessage int    // largest message, in bytes, that Send accepts
	Fit        int    // largest message, in bytes, that leaves as one packet of the network; 0 if that does not matter
}

// A BatchSender is a Conn that can send several messages for less than the
// price of so many Sends, in order. It is an optional power of a Conn.
type BatchSender interface {
	SendBatch(ctx context.Context, msgs [][]byte) error
}
