// Package wt carries messages over WebTransport, the other hop between a proxy
// and the bridge: https in a relay's URL, where wss would ask for a WebSocket
// (doc/wire.md, appendix H).
//
// The volunteer's end opens one session on a QUIC connection of its own, and in
// it one bidirectional stream, which is the Conn. Message edges need marks in a
// stream, so each message is a frame:
//
//	length, 4 bytes big-endian, 1 to 65536 | that many bytes
//
// Another length, or an end in the middle of a frame, is an error. Whoever has
// had enough ends its half of the stream; the other end reads what is left of it
// and does the same, and the connection is closed.
//
//	Dial ══ QUIC, HTTP/3, WebTransport ══ Server ── Handle
package wt
