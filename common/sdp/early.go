package sdp

import (
	"strings"

	"github.com/pion/sdp/v3"
)

// earlySelection is the session-level attribute by which an answerer says that
// it sends on the first pair on which a check of the offerer's arrives, without
// a nomination. It is our own, like wholeMessages.
const earlySelection = "early-selection"

// MarkEarly adds to text, an answer, that whoever sends it selects early.
func MarkEarly(text string) string { return addAttribute(text, earlySelection) }

// addAttribute adds a session-level attribute to text.
func addAttribute(text, name string) string {
	line := "a=" + name + "\r\n"
	// Attributes of the session stand before its first media section.
	if head, media, ok := strings.Cut(text, "\nm="); ok {
		return head + "\n" + line + "m=" + media
	}
	return text + line
}

// SelectsEarly reports whether the author of text, an answer, says so.
func SelectsEarly(text string) bool {
	var session sdp.SessionDescription
	if err := session.UnmarshalString(text); err != nil {
		return false
	}
	_, ok := session.Attribute(earlySelection)
	return ok
}
