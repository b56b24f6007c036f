// Package turbotunnel is the session that outlives every path: the ClientID
// that names it, the prelude and framing that put its packets on a carrier
// (spec sections 7.1 and 7.2, and appendix E), and smux (7.4) over the KCP
// conversation of package multipath (7.3).
//
//	smux streams            Session.OpenStream, AcceptStream
//	KCP conversation        multipath.Conn    a stream of bytes; Client and Server put smux on it
//	packets                 Attach, Accept    one carrier.Conn of packets for each path
//	messages                carrier.Conn      WebRTC or WebSocket
//
// Framing follows the carrier: a byte stream has each packet with its length in
// front behind one prelude, a lossy carrier messages that each stand for
// themselves. Of smux's numbers this package holds the only copy (Tuning), and
// the windows that smux announces are made to follow the path (windows.go). It
// also has the frames of the control stream, by which a client asks for
// volunteers through the tunnel (control.go, appendix D).
package turbotunnel
