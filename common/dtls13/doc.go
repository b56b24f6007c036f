// Package dtls13 is DTLS 1.3 (RFC 9147), client and server, that a passive
// observer cannot tell from a browser's WebRTC call: hello bytes, the cut into
// fragments and datagrams, retransmission times, acknowledgements and the
// certificate are those of a Profile. Towards a peer that has only DTLS 1.2 it
// goes on in 1.2 behind the same first flight, as the browser does.
//
// It is for use under WebRTC: ICE below has confirmed the peer's address and so
// keeps amplification from strangers, SCTP or SRTP stands above, and the peer's
// certificate is checked against the fingerprint that came with the SDP.
//
// The parts, from the wire up: record.go, unified.go, window.go (records),
// messages*.go, reassembly.go (handshake messages), schedule.go, suite.go,
// group.go (keys), flight.go, ack.go (what is sent, again and when), machine.go
// with client13.go, server13.go, client12.go and server12.go (state machines,
// pure: datagrams, time and calls in, datagrams, a deadline and events out), and
// conn.go (sockets, goroutines, time). doc/dtls13.md maps them to the RFCs.
package dtls13
