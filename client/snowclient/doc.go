// Package snowclient is the client of the Snowflake transport as a library:
// Dial gives a net.Conn to a bridge, carried by volunteers' proxies that come
// and go while the connection stays.
//
// Its place among the layers, as a byte meets them on its way out:
//
//	Dial ─ net.Conn                     one stream; as many as you like per Transport
//	  └ turbotunnel.Session             smux over KCP; named by a ClientID
//	      └ multipath.Conn              spreads KCP packets over the live paths
//	          ├ path ─ carrier ─ proxy  pool.go keeps Config.Max of these alive,
//	          └ path ─ carrier ─ proxy  each won by one offer and answer (signal.go)
//	                                    over a Rendezvous with the broker
//
// A Transport is one configuration. It has no session until the first Dial,
// shares one session among all streams, and lets go of the volunteers soon
// after the last stream is closed. When a session is lost its streams fail, and
// the next Dial makes a new one under a new ClientID.
//
// The library never prints and never exits. It tells what it does through
// Config.Logger, Config.Trace and Config.Registerer, each of which may be nil.
package snowclient
