// Package snowclient is the client of the Snowflake transport as a library:
// Dial gives a net.Conn to a bridge, carried by volunteers' proxies that come
// and go while the connection stays.
//
// Its place among the layers, as a byte meets them on its way out:
//
//	Dial ─ net.Conn                     one stream; as many as you like per Transport
//	  └ turbotunnel.Session             smux; named by a ClientID
//	      └ multipath.Conn              one KCP conversation over all live paths
//	          ├ path ─ carrier ─ proxy  pool.go keeps Config.Max of these alive,
//	          └ path ─ carrier ─ proxy  each won by one offer and answer (signal.go)
//	                                    over a Rendezvous with the broker
//
// A Transport is one configuration. It has no session until the first Dial,
// shares one session among all streams, and lets go of the volunteers soon
// after the last stream is closed. When a session is lost its streams fail, and
// the next Dial makes a new one under a new ClientID.
//
// What a path is worth multipath finds out: how fast it is, what it has lost,
// whether it lives. The pool acts on it and asks for another volunteer as soon as
// a path is in doubt; an attempt that is slow gets a second one beside it
// (hedge.go). Where the bridge and the broker offer it, requests for volunteers
// go through the session itself, sealed (inband.go), so that the censor mostly
// sees the first of them only.
//
// The library never prints and never exits. It tells what it does through
// Config.Logger, Config.Trace and Config.Registerer, each of which may be nil.
package snowclient
