// Package sdp reads session descriptions: the JSON wrapper in which offers and
// answers travel, and the few things in their text that are of interest without
// a WebRTC stack, which are the addresses.
//
//	offer (wrapper) ─ Parse ─▶ Description{Type, SDP}
//	                            SDP ─ StripLocal ─▶ what is safe to show
//	                            SDP ─ RemoteAddr ─▶ client_ip for the bridge
//
// The texts come from strangers. Nothing here panics on them, and the work is
// proportional to their length, which the caller bounds.
package sdp

import (
	"encoding/json"
	"fmt"
)

// A Description is a session description and its role.
type Description struct {
	Type string // "offer", "answer", "pranswer" or "rollback"
	SDP  string // the text of RFC 8866; may be empty
}

// A fault says what is wrong with a wrapper, worded as the deployed programs
// word it.
type fault string

func (f fault) Error() string { return string(f) }

const (
	faultNoType      fault = "cannot deserialize SessionDescription without type field"
	faultNoSDP       fault = "cannot deserialize SessionDescription without sdp field"
	faultTypeNoText  fault = "invalid SDP type"
	faultSDPNoText   fault = "invalid SDP"
	faultTypeUnknown fault = "Unknown SDP type"
)

// Parse reads the wrapper: a JSON object with the string members type and sdp,
// matched case-sensitively (spec section 5.1). The text inside is not read.
func Parse(text string) (Description, error) {
	// A map, unlike a struct, matches member names case-sensitively.
	var members map[string]any
	if err := json.Unmarshal([]byte(text), &members); err != nil {
		return Description{}, fmt.Errorf("session description: %w", err)
	}
	d, err := fromMembers(members)
	if err != nil {
		return Description{}, fmt.Errorf("session description: %w", err)
	}
	return d, nil
}

func fromMembers(members map[string]any) (d Description, err error) {
	kind, ok := members["type"]
	if !ok {
		return d, faultNoType
	}
	body, ok := members["sdp"]
	if !ok {
		return d, faultNoSDP
	}
	if d.Type, ok = kind.(string); !ok {
		return d, faultTypeNoText
	}
	switch d.Type {
	case "offer", "answer", "pranswer", "rollback":
	default:
		return d, faultTypeUnknown
	}
	if d.SDP, ok = body.(string); !ok {
		return d, faultSDPNoText
	}
	return d, nil
}

// String returns d in its wrapper, as it is sent.
func (d Description) String() string {
	text, err := json.Marshal(struct {
		Type string `json:"type"`
		SDP  string `json:"sdp"`
	}{d.Type, d.SDP})
	if err != nil {
		return "" // two strings always have a JSON form
	}
	return string(text)
}
