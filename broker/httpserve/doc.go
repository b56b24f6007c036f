// Package httpserve sets up the HTTP servers of the broker and of the probe
// service: a plain listener, one with certificate files, or one with
// certificates from an ACME authority, each bounded in time and memory against
// hostile peers, and ended without cutting off replies.
//
//	flags ─ RegisterFlags ─▶ Options ─ Listen ─▶ Server ─ Serve(ctx) ─▶ Handler
package httpserve
