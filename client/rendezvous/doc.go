// Package rendezvous carries one request to the broker and one reply back, past
// a censor who would block the broker if it saw whom the client talks to.
//
//	snowclient ── Exchange(offer) ─▶ rendezvous.HTTP ─▶ front ─▶ broker
//	           ◀── reply ───────────
//
// A method is a type with Exchange. HTTP is the one built here: direct, or
// through a front, a host of a large provider that is too useful to block and
// that passes the request on by its Host header (domain fronting). Race and
// InTurn make one method of several.
//
// Methods know nothing of what they carry; the messages are of package
// flurry/common/messages. To add one, write a type with Exchange, that ends with
// its context, bounds the reply to MaxReplyBytes, and says in its error what to
// look at.
package rendezvous

import "context"

// An Exchanger is a rendezvous method. It takes one request to the broker and
// brings back the reply, in the time that ctx leaves and its own limit. Calls
// may run at once. It does not keep request.
type Exchanger interface {
	Exchange(ctx context.Context, request []byte) (reply []byte, err error)
}

// MaxReplyBytes is the longest reply a client takes (wire specification,
// section 2.3).
const MaxReplyBytes = 100_000
