package snowbroker

import (
	"context"
	"errors"

	"flurry/common/messages"
)

// A Matcher pairs client offers with waiting proxies. Each call blocks until
// it has its result or ctx ends; no caller is ever left waiting on another's
// timing. When ctx ends first the call returns ctx's error and leaves nothing
// behind: a proxy that went away gets no client, a client that went away takes
// no answer. All methods may be called at once.
type Matcher interface {
	// Poll registers a waiting proxy and returns the offer of the client it
	// is given. It returns ErrNoClient when nobody came in time,
	// ErrDuplicateID when another poll holds the same ID, and ErrFull when
	// too many polls wait already.
	Poll(ctx context.Context, p Poll) (Offer, error)

	// Offer gives a client to the best waiting proxy and returns that proxy's
	// answer. It returns ErrNoProxies at once when no proxy suits,
	// ErrTimedOut when the chosen proxy did not answer in time, and ErrFull
	// when too many clients wait already.
	Offer(ctx context.Context, o Offer) (Answer, error)

	// Answer hands a proxy's answer to the client it was matched with. It
	// returns ErrClientGone if that client no longer waits or never existed.
	Answer(ctx context.Context, id ProxyID, a Answer) error

	// Stats counts who is registered now.
	Stats() Stats
}

// ProxyID is the session id ("Sid") a proxy chose for one poll. It is opaque.
type ProxyID string

// Poll is what a proxy says of itself while it waits for a client.
type Poll struct {
	ID      ProxyID
	Type    messages.ProxyType
	NAT     messages.NATType
	Clients int // clients it serves already, by its own account
}

// Offer is a client's request for one proxy.
type Offer struct {
	SDP         string // the wrapped session description, passed on unchanged
	NAT         messages.NATType
	Fingerprint messages.Fingerprint // the bridge the client wants to reach
}

// Answer is a proxy's reply to an offer.
type Answer struct {
	SDP string // the wrapped session description, passed on unchanged

	// Type is the kind of the proxy that answered. The Matcher fills it in;
	// what a caller of Matcher.Answer puts here is ignored.
	Type messages.ProxyType
}

// Kind is what the broker counts proxies by.
type Kind struct {
	Type messages.ProxyType
	NAT  messages.NATType
}

// Stats counts the polls a Matcher has registered, by kind.
type Stats struct {
	Waiting   map[Kind]int // waiting for a client
	Answering map[Kind]int // given a client whose answer is still due
}

// What a Matcher's calls return.
var (
	// ErrNoClient ends a poll that no client came for.
	ErrNoClient = errors.New("no client came")
	// ErrDuplicateID refuses a poll whose ID is registered already.
	ErrDuplicateID = errors.New("proxy id is already registered")
	// ErrNoProxies refuses an offer that no waiting proxy suits.
	ErrNoProxies = errors.New("no suitable proxy is waiting")
	// ErrTimedOut ends an offer whose proxy did not answer.
	ErrTimedOut = errors.New("the proxy did not answer in time")
	// ErrClientGone refuses an answer that no client waits for.
	ErrClientGone = errors.New("no client waits for this answer")
	// ErrFull refuses a call because too many of its kind are pending.
	ErrFull = errors.New("too many pending requests")
)
