// Package multipath makes one net.PacketConn of a changing set of carriers.
//
// KCP above it writes packets to a peer and does not know that paths come and
// go. Each peer, named by its address, has a set of paths and a queue that
// outlives them:
//
//	KCP ── WriteTo ──▶ peer queue ── Scheduler ──▶ path queue ── writer ──▶ carrier
//	KCP ◀─ ReadFrom ── inbox ◀────────────────────────────────── reader ◀── carrier
//
// Packets may be dropped in WriteTo and nowhere below: a carrier is a framed
// byte stream, in which a missing piece would ruin all that follows, so a full
// carrier blocks its path's writer, the packets wait above, and the peer's
// queue is bounded in bytes.
//
// The layer reads the KCP headers that pass through it (spec section 7.3), in
// both directions and without changing what they mean. That tells it which
// segments are still unacknowledged, so that it can say when all has arrived
// (Drained), and which retransmissions are of no use: those of a segment that
// still waits here, or that a reliable path has only just taken. They are
// dropped. After a time without any path there is therefore no burst of
// duplicates. Packets are given the time at which they really leave as their
// timestamp, so that KCP measures the network and not this queue.
package multipath
