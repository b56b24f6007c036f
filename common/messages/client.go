package messages

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// clientVersionLine precedes the JSON of a client request (spec section 2.1).
const clientVersionLine = "1.0\n"

// A ClientPollRequest is a client's wish for one proxy.
type ClientPollRequest struct {
	Offer       string      // session description in its wrapper
	NAT         NATType     // what the client knows or claims about itself
	Fingerprint Fingerprint // the bridge to reach; "" is DefaultFingerprint
}

// Encode returns r as the body of a request. The only error is ErrFingerprint,
// for a Fingerprint that is not 20 or 32 bytes long.
func (r ClientPollRequest) Encode() ([]byte, error) {
	fingerprint := r.Fingerprint
	if fingerprint == "" {
		fingerprint = DefaultFingerprint
	}
	if !fingerprint.valid() {
		return nil, ErrFingerprint
	}
	text, err := json.Marshal(struct {
		Offer       string  `json:"offer"`
		NAT         NATType `json:"nat"`
		Fingerprint string  `json:"fingerprint"`
	}{r.Offer, r.NAT, fingerprint.String()})
	if err != nil {
		return nil, fmt.Errorf("encode client poll: %w", err)
	}
	return append([]byte(clientVersionLine), text...), nil
}

// DecodeClientPollRequest reads the body of a request. The text of its errors
// is what spec section 2.2 has the broker tell the client; the result has a
// valid NAT word and a fingerprint, the defaults where the client gave none.
func DecodeClientPollRequest(body []byte) (ClientPollRequest, error) {
	body, ok := bytes.CutPrefix(body, []byte(clientVersionLine))
	if !ok {
		return ClientPollRequest{}, ErrVersion
	}
	offer, nat, fingerprint, err := clientMembers(body)
	if err != nil {
		return ClientPollRequest{}, err
	}
	return newClientPollRequest(offer, nat, fingerprint)
}

// clientMembers reads the JSON of a request. The library's error text quotes
// the name of the type below and goes to the client: hence the same name as
// the exported type's.
func clientMembers(text []byte) (offer, nat, fingerprint string, err error) {
	type ClientPollRequest struct {
		Offer       string `json:"offer"`
		NAT         string `json:"nat"`
		Fingerprint string `json:"fingerprint"`
	}
	var wire ClientPollRequest
	err = json.Unmarshal(text, &wire)
	return wire.Offer, wire.NAT, wire.Fingerprint, err
}

// DecodeLegacyClientPollRequest reads a request of the form before versions
// (spec section 2.4): the body is the offer, nat comes from a header, and the
// bridge is the default one.
func DecodeLegacyClientPollRequest(body []byte, nat string) (ClientPollRequest, error) {
	return newClientPollRequest(string(body), nat, "")
}

// IsLegacyClientPollRequest reports whether body is in the form before versions.
func IsLegacyClientPollRequest(body []byte) bool {
	return len(body) > 0 && body[0] == '{'
}

// newClientPollRequest checks the members of a request in the order of spec
// section 2.1.
func newClientPollRequest(offer, nat, fingerprint string) (ClientPollRequest, error) {
	if offer == "" {
		return ClientPollRequest{}, ErrNoOffer
	}
	if err := checkDescription(offer); err != nil {
		return ClientPollRequest{}, err
	}
	f, err := ParseFingerprint(fingerprint)
	if err != nil {
		return ClientPollRequest{}, err
	}
	n, err := ParseNATType(nat)
	if err != nil {
		return ClientPollRequest{}, err
	}
	return ClientPollRequest{Offer: offer, NAT: n, Fingerprint: f}, nil
}

// A ClientPollResponse is the broker's reply to a client. With an Error the
// attempt has failed and Answer means nothing.
type ClientPollResponse struct {
	Answer string `json:"answer,omitempty"` // session description in its wrapper
	Error  string `json:"error,omitempty"`  // reason, for the log
	Key    string `json:"key,omitempty"`    // sealed.PublicKey of the broker, with an Answer; older peers pass over it
}

// Encode returns r as the body of a response.
func (r ClientPollResponse) Encode() ([]byte, error) {
	text, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode client response: %w", err)
	}
	return text, nil
}

// DecodeClientPollResponse reads the body of a response. One without answer and
// error is ErrEmptyResponse. A response with an Error decodes without error.
func DecodeClientPollResponse(body []byte) (ClientPollResponse, error) {
	var r ClientPollResponse
	if err := json.Unmarshal(body, &r); err != nil {
		return ClientPollResponse{}, fmt.Errorf("decode client response: %w", err)
	}
	if r.Answer == "" && r.Error == "" {
		return ClientPollResponse{}, ErrEmptyResponse
	}
	return r, nil
}
