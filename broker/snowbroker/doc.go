// Package snowbroker is the broker: it introduces clients to proxies.
//
// Both sides come by HTTP. A proxy polls and is held until a client turns up; a
// client brings an offer, which goes out as the reply to the best waiting
// poll; the proxy posts its answer, which goes out as the reply to the client:
//
//	client ─ POST /client ─▶ ┌─ edges ──┬─ Matcher ─────────┐ ◀─ POST /proxy ── proxy
//	   offer                 │ http.go  │ Poll Offer Answer │    (held up to 10 s)
//	                         │          │      pool.go      │ ── offer, relay ─▶
//	       ◀──── answer ──── └──────────┴───────────────────┘ ◀─ POST /answer ─
//
// The edges read bytes, call the Matcher and write bytes. The Matcher's three
// calls block until they have their result; Memory is the one for a single
// process. The decisions are in pool.go, which is pure and tested by the text
// scenarios in testdata.
//
// The broker never looks into a session description beyond its JSON wrapper,
// and no byte of a client's traffic passes through it.
package snowbroker
