// Package safelog keeps addresses out of logs.
//
//	program ─ slog.Logger ─ Handler ─ "2006/01/02 15:04:05 message key=value" ─▶ file
//	                            └ Scrub: 192.0.2.1:443 becomes [scrubbed]
//
// A program makes one Handler from its flags and gives the Logger to its
// libraries. Libraries wrap addresses in Addr; the Handler scrubs all other
// text as well, so that a slip does not leak. Only an operator's
// -unsafe-logging turns it off.
package safelog
