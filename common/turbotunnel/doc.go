// Package turbotunnel is the session that outlives every path: the ClientID
// that names it, the prelude and framing that put its packets on a carrier
// (spec sections 7.1 and 7.2, and appendix E), and KCP and smux above them (7.3 and 7.4).
//
//	smux streams            Session.OpenStream, AcceptStream
//	KCP conversation        Dial, Listen      over a net.PacketConn (package multipath)
//	packets                 Attach, Accept    one carrier.Conn of packets for each path
//	messages                carrier.Conn      WebRTC or WebSocket
//
// It holds the only copy of the tuning.
package turbotunnel
