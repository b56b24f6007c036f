package messages

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"
)

// ProxyProtocolVersion is what our proxies state in polls and answers.
const ProxyProtocolVersion = "1.3"

// Statuses of a ProxyPollResponse.
const (
	StatusClientMatch           = "client match"
	StatusNoMatch               = "no match"
	StatusIncorrectRelayPattern = "incorrect relay pattern"
)

// Statuses of a ProxyAnswerResponse.
const (
	StatusSuccess    = "success"
	StatusClientGone = "client gone"
)

// A ProxyPollRequest is a proxy's wait for one client.
type ProxyPollRequest struct {
	SessionID    string    // opaque, new for every poll
	Version      string    // "" is encoded as ProxyProtocolVersion
	Type         ProxyType // after decoding one of the known types or ProxyUnknown
	NAT          NATType
	Clients      int     // active clients; the proxy rounds it down to a multiple of 8
	RelayPattern *string // nil: not stated, which is not the same as "" (any relay)
}

// wireProxyPollRequest is the JSON form of a ProxyPollRequest (spec section 3.1).
type wireProxyPollRequest struct {
	Sid                  string
	Version              string
	Type                 string
	NAT                  string
	Clients              int
	AcceptedRelayPattern *string `json:",omitempty"`
}

// Encode returns r as the body of a request.
func (r ProxyPollRequest) Encode() ([]byte, error) {
	return encode("proxy poll", wireProxyPollRequest{
		Sid:                  r.SessionID,
		Version:              orOurVersion(r.Version),
		Type:                 string(r.Type),
		NAT:                  string(r.NAT),
		Clients:              r.Clients,
		AcceptedRelayPattern: r.RelayPattern,
	})
}

// DecodeProxyPollRequest reads the body of a request. Every error means that
// the broker replies with status 400. Clients of the result is never negative.
func DecodeProxyPollRequest(body []byte) (ProxyPollRequest, error) {
	var wire wireProxyPollRequest
	if err := json.Unmarshal(body, &wire); err != nil {
		return ProxyPollRequest{}, fmt.Errorf("decode proxy poll: %w", err)
	}
	if err := checkProxyVersion(wire.Version); err != nil {
		return ProxyPollRequest{}, err
	}
	if wire.Sid == "" {
		return ProxyPollRequest{}, ErrNoSession
	}
	nat, err := ParseNATType(wire.NAT)
	if err != nil {
		return ProxyPollRequest{}, err
	}
	return ProxyPollRequest{
		SessionID:    wire.Sid,
		Version:      wire.Version,
		Type:         ParseProxyType(wire.Type),
		NAT:          nat,
		Clients:      max(wire.Clients, 0),
		RelayPattern: wire.AcceptedRelayPattern,
	}, nil
}

// A ProxyPollResponse is the broker's reply to a poll.
type ProxyPollResponse struct {
	Status   string        // a Status constant, or a broker's own reason
	Offer    string        // on a match: the client's session description in its wrapper
	NAT      NATType       // on a match: the client's NAT word, not checked
	NextPoll time.Duration // wish for the pause until the next poll, in whole milliseconds; <= 0: none
	RelayURL string        // the relay to dial; "": the proxy's own default
}

// wireProxyPollResponse is the JSON form of a ProxyPollResponse; all members
// are always there (spec section 3.1).
type wireProxyPollResponse struct {
	Status   string
	Offer    string
	NAT      string
	NextPoll int64 // milliseconds
	RelayURL string
}

// Encode returns r as the body of a response.
func (r ProxyPollResponse) Encode() ([]byte, error) {
	return encode("proxy poll response", wireProxyPollResponse{
		Status:   r.Status,
		Offer:    r.Offer,
		NAT:      string(r.NAT),
		NextPoll: r.NextPoll.Milliseconds(),
		RelayURL: r.RelayURL,
	})
}

// DecodeProxyPollResponse reads the body of a response. A status that is
// neither a match nor "no match" comes as a *StatusError together with the
// response, whose NextPoll still counts. Only a match has an Offer.
func DecodeProxyPollResponse(body []byte) (ProxyPollResponse, error) {
	var wire wireProxyPollResponse
	if err := json.Unmarshal(body, &wire); err != nil {
		return ProxyPollResponse{}, fmt.Errorf("decode proxy poll response: %w", err)
	}
	if wire.Status == "" {
		return ProxyPollResponse{}, ErrNoStatus
	}
	r := ProxyPollResponse{
		Status:   wire.Status,
		NAT:      NATType(wire.NAT),
		NextPoll: milliseconds(wire.NextPoll),
		RelayURL: wire.RelayURL,
	}
	if r.NAT == "" {
		r.NAT = NATUnknown
	}
	switch r.Status {
	case StatusClientMatch:
		if wire.Offer == "" {
			return ProxyPollResponse{}, ErrNoOffer
		}
		r.Offer = wire.Offer
		return r, nil
	case StatusNoMatch:
		return r, nil
	}
	return r, &StatusError{Status: r.Status}
}

// milliseconds returns n milliseconds, or the nearest Duration there is.
func milliseconds(n int64) time.Duration {
	const limit = math.MaxInt64 / int64(time.Millisecond)
	return time.Duration(min(max(n, -limit), limit)) * time.Millisecond
}

// A ProxyAnswerRequest brings a proxy's answer to the offer it was given.
type ProxyAnswerRequest struct {
	SessionID string // of the poll that brought the offer
	Version   string // "" is encoded as ProxyProtocolVersion
	Answer    string // session description in its wrapper
}

// wireProxyAnswerRequest is the JSON form of a ProxyAnswerRequest.
type wireProxyAnswerRequest struct {
	Version string
	Sid     string
	Answer  string
}

// Encode returns r as the body of a request.
func (r ProxyAnswerRequest) Encode() ([]byte, error) {
	return encode("proxy answer", wireProxyAnswerRequest{
		Version: orOurVersion(r.Version),
		Sid:     r.SessionID,
		Answer:  r.Answer,
	})
}

// DecodeProxyAnswerRequest reads the body of a request. Every error means that
// the broker replies with status 400. That the answer has a candidate, which
// the broker demands of the raw body, is not checked here.
func DecodeProxyAnswerRequest(body []byte) (ProxyAnswerRequest, error) {
	var wire wireProxyAnswerRequest
	if err := json.Unmarshal(body, &wire); err != nil {
		return ProxyAnswerRequest{}, fmt.Errorf("decode proxy answer: %w", err)
	}
	if err := checkProxyVersion(wire.Version); err != nil {
		return ProxyAnswerRequest{}, err
	}
	if wire.Sid == "" || wire.Answer == "" {
		return ProxyAnswerRequest{}, ErrNoSessionOrAnswer
	}
	if err := checkDescription(wire.Answer); err != nil {
		return ProxyAnswerRequest{}, err
	}
	return ProxyAnswerRequest{SessionID: wire.Sid, Version: wire.Version, Answer: wire.Answer}, nil
}

// A ProxyAnswerResponse says whether the answer reached the client. With any
// status but StatusSuccess the client is lost and the proxy closes its end.
type ProxyAnswerResponse struct {
	Status string
}

// Encode returns r as the body of a response.
func (r ProxyAnswerResponse) Encode() ([]byte, error) {
	return encode("proxy answer response", r)
}

// DecodeProxyAnswerResponse reads the body of a response. One without status
// is ErrNoStatus.
func DecodeProxyAnswerResponse(body []byte) (ProxyAnswerResponse, error) {
	var r ProxyAnswerResponse
	if err := json.Unmarshal(body, &r); err != nil {
		return ProxyAnswerResponse{}, fmt.Errorf("decode proxy answer response: %w", err)
	}
	if r.Status == "" {
		return ProxyAnswerResponse{}, ErrNoStatus
	}
	return r, nil
}

// checkProxyVersion accepts every version whose major part is 1.
func checkProxyVersion(version string) error {
	if major, _, _ := strings.Cut(version, "."); major != "1" {
		return ErrProxyVersion
	}
	return nil
}

func orOurVersion(version string) string {
	if version == "" {
		return ProxyProtocolVersion
	}
	return version
}

// encode returns the JSON of v; what names it in an error.
func encode(what string, v any) ([]byte, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", what, err)
	}
	return text, nil
}
