package messages

import "errors"

// Errors of the decoders. The text of those that DecodeClientPollRequest
// returns goes to the client as it stands (spec section 2.2).
var (
	// ErrVersion: the version line of a client request is not "1.0".
	ErrVersion = errors.New("unsupported message version")
	// ErrNoOffer: a client request, or a match told to a proxy, lacks the offer.
	ErrNoOffer = errors.New("no supplied offer")
	// ErrDescription: an offer or answer is not a session description.
	// What is wrong with it is wrapped beside it.
	ErrDescription = errors.New("malformed session description")
	// ErrFingerprint: not the hexadecimal form of 20 or 32 bytes.
	ErrFingerprint = errors.New("cannot decode fingerprint")
	// ErrNATType: none of the three NAT words.
	ErrNATType = errors.New("invalid NAT type")
	// ErrEmptyResponse: a broker response has neither answer nor error.
	ErrEmptyResponse = errors.New("received empty broker response")
	// ErrProxyVersion: the major part of a proxy's version is not 1.
	ErrProxyVersion = errors.New("using unknown version")
	// ErrNoSession: a proxy poll lacks the session id.
	ErrNoSession = errors.New("no supplied session id")
	// ErrNoSessionOrAnswer: a proxy answer lacks its session id or the answer.
	ErrNoSessionOrAnswer = errors.New("no supplied sid or answer")
	// ErrNoStatus: a broker response to a proxy lacks the status.
	ErrNoStatus = errors.New("received invalid data")
)

// Texts of the member error in a ClientPollResponse that no decoder makes
// (spec section 2.2). Other implementations compare the first two.
const (
	ErrTextNoProxies       = "no snowflake proxies currently available"
	ErrTextTimedOut        = "timed out waiting for answer!"
	ErrTextUnknownBridge   = "bridge with requested fingerprint is unknown to the broker"
	ErrTextUndecodablePath = "cannot decode URL path"
	ErrTextSealed          = "cannot open sealed message" // our own: the broker has another key
)

// A StatusError reports a poll response whose status is neither a match nor
// "no match", such as StatusIncorrectRelayPattern.
type StatusError struct {
	Status string // as the broker sent it
}

// Error returns the status.
func (e *StatusError) Error() string { return e.Status }
