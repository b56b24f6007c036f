// Package multipath is one KCP conversation over a changing set of carriers.
//
// A Conn is a reliable stream of bytes, on which package turbotunnel runs smux.
// Its paths come and go; the conversation stays:
//
//	Write ─▶ sender ── dispatch: Scheduler, controllers ──▶ path queue ── writer ──▶ carrier
//	Read ◀── receiver ◀──────── input ◀────────────────────────────────── reader ◀── carrier
//
// The wire is that of KCP (spec section 7.3), whose peer needs to know nothing
// of what is decided here: how many segments are under way, when each leaves,
// on which path, and what is sent again. The parts, one file each:
//
//	segment.go     the header on the wire
//	sender.go      segments from Write until they are acknowledged
//	receiver.go    segments until Read, and what is to be acknowledged
//	flight.go      what is under way on one path: round trip, delivery rate, loss
//	controller.go  how much one path may hold and how fast it is filled
//	scheduler.go   which path takes the next segment
//	liveness.go    when a path is in doubt, and what is done about it
//	dispatch.go    the turn of the wheel: time-outs, segments, acknowledgements
//	path.go        the two goroutines of a path
//	conn.go        what the package gives to others
//
// A carrier is either a framed byte stream, which delivers all that it takes as
// long as it lives, or lossy (carrier.Traits). Over a lossy one a segment is
// lost when later ones on the same path have been acknowledged (RACK, RFC
// 8985), and is sent again on whichever path is best. From a stream segments
// come free only when the path ends or is in doubt.
package multipath
