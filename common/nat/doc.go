// Package nat finds out how the network maps this machine's UDP ports.
//
// A client asks a STUN server twice from one socket, at two of the server's
// addresses (RFC 5780, tests I and II of section 4.3):
//
//	socket ── binding request ─▶ server            ─▶ mapped address A, other address
//	       ── binding request ─▶ its other address ─▶ mapped address B
//
// A = B means that peers anywhere can use the mapped address: unrestricted.
// Otherwise each destination sees another address, which peers cannot guess:
// restricted. The words are explained in the wire specification, section 9.
package nat
