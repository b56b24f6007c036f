// Package rtc carries messages over a WebRTC data channel, the hop between a
// client and a volunteer's proxy (spec sections 5 and 6).
//
// The client is always the offerer and calls Endpoint.Dial; the proxy, and the
// NAT probe service, call Endpoint.Answer and then Pending.Wait. Descriptions
// enter and leave as the wrapper text that the broker passes on (package sdp).
// There is no trickle: a description holds every candidate that it will have.
//
// A channel is of one of two kinds, and the client chooses when it has read the
// answer: an ordered one, which is a byte stream, or an unordered one, which keeps
// the edges of messages and where no loss holds up what came after it (spec
// appendix E). What Send takes ahead of the other end's acknowledgements follows
// the line's rate and round trip.
//
// A connection looks like a browser's, see Profile. It is made of parts of which
// nothing shows in what the package offers:
//
//	socket                udp_linux.go: bursts in one system call
//	STUN's shape and time checkconn.go, checkshape.go, checkpace.go
//	ICE                   agent.go, pion/ice; quick.go chooses the pair
//	first byte            demux.go
//	DTLS                  secure.go, package dtls13
//	SCTP, data channel    peer.go, pion/sctp, pion/datachannel
//	Conn                  conn.go, window.go
//
// Descriptions are sdptext.go's and sdpread.go's. pion/webrtc is in tests only,
// as an independent peer.
package rtc
