package messages

import (
	"encoding/json"
	"fmt"
)

// A descriptionFault says what is wrong with the wrapper of a session
// description. The broker sends the text to the client, worded as deployed
// brokers word it.
type descriptionFault string

func (f descriptionFault) Error() string { return string(f) }

const (
	faultNoType      descriptionFault = "cannot deserialize SessionDescription without type field"
	faultNoSDP       descriptionFault = "cannot deserialize SessionDescription without sdp field"
	faultTypeNoText  descriptionFault = "invalid SDP type"
	faultSDPNoText   descriptionFault = "invalid SDP"
	faultTypeUnknown descriptionFault = "Unknown SDP type"
)

// checkDescription checks the JSON wrapper of a session description (spec
// section 5.1) and nothing inside it. Package sdp has the same rules in its
// Parse; the two stand on one floor, and the vectors hold them together.
func checkDescription(text string) error {
	if err := checkWrapper([]byte(text)); err != nil {
		return fmt.Errorf("%w: %w", ErrDescription, err)
	}
	return nil
}

func checkWrapper(text []byte) error {
	// A map, unlike a struct, matches member names case-sensitively.
	var members map[string]any
	if err := json.Unmarshal(text, &members); err != nil {
		return err
	}
	kind, ok := members["type"]
	if !ok {
		return faultNoType
	}
	body, ok := members["sdp"]
	if !ok {
		return faultNoSDP
	}
	kindText, ok := kind.(string)
	if !ok {
		return faultTypeNoText
	}
	switch kindText {
	case "offer", "answer", "pranswer", "rollback":
	default:
		return faultTypeUnknown
	}
	if _, ok := body.(string); !ok {
		return faultSDPNoText
	}
	return nil
}
