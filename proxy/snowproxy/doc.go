// Package snowproxy is the volunteer's part of Snowflake: it asks the broker
// for clients and carries each one's bytes to a bridge, without looking into
// them. Step 7 of the walk of a byte happens here, in both directions.
//
//	               poll ┌────────┐ answer
//	     ┌─────────────▶│ broker │◀───────────┐
//	     │              └────────┘            │
//	┌────┴──────┐ match  ┌─────────┐ open  ┌──┴───┐
//	│ poll loop ├───────▶│ session ├──────▶│ pump │  one session and one pump
//	└───────────┘        └─────────┘       └─┬──┬─┘  for each client
//	                      client ══ rtc ═════╝  ╚════ ws or wt ══ bridge
//
// A Proxy owns everything that happens in it: Run starts all goroutines and
// returns when they have ended. There are no package variables, so any number
// of proxies may live in one process.
//
// What a session does, in order: check the relay URL that the broker named
// (policy.go), answer the client's offer, post the answer, then dial the relay
// while ICE still looks for a path to the client (leg.go), and when both
// carriers stand, pump (pump.go) until one of them ends.
package snowproxy
