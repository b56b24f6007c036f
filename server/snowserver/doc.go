// Package snowserver is the bridge's end of Snowflake: it takes WebSockets and
// WebTransport sessions from volunteers' proxies and gives out the client streams
// that travel in them.
//
//	proxies ══ WebSocket ═════ edge (http.go) ── prelude ── Table ─┬─ shard 0 ─┐
//	proxies ══ WebTransport ══     ...                             ├─ shard 1 ─┼─ Accept ── your program
//	                                                               └─ shard n ─┘
//
// The edge upgrades requests, takes sessions (webtransport.go), and reads the 16
// bytes that open each carrier (spec section 7.1). The Table gives the carrier to the shard that owns the
// ClientID. A shard is a table of clients with a lock of its own. Each client has
// one KCP conversation (multipath.Conn) with an engine, a lock and a timer for
// itself, and once that has begun a smux session over it; clients share nothing
// but buffers. A client may have up to 64 carriers at a time; its session
// outlives all of them.
//
// Listen makes the whole of it a net.Listener whose connections are the
// clients' streams. Each stream's RemoteAddr is a ClientAddr, the text that
// tor's extended OR port takes as USERADDR (spec section 8.3).
//
// # Life of a session
//
// A session begins with the first data that comes for a ClientID, whose KCP
// conversation it takes, and ends
//
//   - when nothing has been heard from the client for the smux keepalive
//     timeout, 240 s (spec section 7.4);
//   - when it has had neither a stream nor a carrier for Config.IdleTimeout,
//     one minute by default;
//   - when the Listener is closed.
//
// Packets of another conversation that come for the same ClientID meanwhile are
// ignored: a ClientID alone does not replace a session. After its end the same
// ClientID may begin another.
//
// A client that closes its stream says so with a FIN; the stream's Read then
// returns io.EOF at once, whatever becomes of the session.
//
// A ClientID is a bearer secret: the wire format has no other proof of
// identity (spec section 13, number 10), so this package never logs one, and
// the choice of shard is keyed so that nobody can aim at one of them.
package snowserver
