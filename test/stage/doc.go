// Package stage runs the whole system on one machine: the real programs client, broker, proxy and server as child
// processes that talk over loopback, with a STUN server and a small web site around them.
//
//	test or demo ── SOCKS ── client ══ WebRTC ══ proxy ══ WebSocket ══ server ── ORPort ── web site
//	                            └────── broker ──────┘         (STUN for both ends of the WebRTC hop)
//
// The web site stands where the ORPort of tor would be, so whatever an app sends into the SOCKS port reaches it, whatever
// destination the app names. What works here works through the program files that a user would install, and SIGKILL of a
// volunteer is a real one. Any program can be another build or a deployed one, see [Programs].
package stage
