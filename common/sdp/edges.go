package sdp

import (
	"strings"

	"github.com/pion/sdp/v3"
)

// wholeMessages is the session-level attribute by which a proxy says that it
// hands on each message whole, both ways. It is our own: deployed clients ignore
// attributes that they do not know (RFC 8866 section 5.13).
const wholeMessages = "whole-messages"

// MarkEdges adds to text, an answer, that whoever sends it hands on messages
// whole.
func MarkEdges(text string) string { return addAttribute(text, wholeMessages) }

// KeepsEdges reports whether the peer who wrote text, an answer, is known to
// hand on messages whole: one that says so, or a browser, but not one of ours
// that looks like a browser and does not say so. The deployed standalone proxies
// cut what comes from the bridge. Whoever answers can claim anything, so that the
// promise has still to be watched.
func KeepsEdges(text string) bool {
	var session sdp.SessionDescription
	if err := session.UnmarshalString(text); err != nil {
		return false
	}
	if _, ok := session.Attribute(wholeMessages); ok {
		return true
	}
	if _, ours := session.Attribute(earlySelection); ours {
		return false
	}
	return isFirefox(&session) || isChromium(&session)
}

// isFirefox knows Firefox by its origin, which begins with a name and ends with
// a joke, in all releases that have WebRTC.
func isFirefox(s *sdp.SessionDescription) bool {
	return strings.HasPrefix(s.Origin.Username, "mozilla...")
}

// isChromium knows Chromium, and every browser with the same WebRTC library,
// among them Safari, by three habits that pion has not: the address in the
// origin, the space in a=msid-semantic, and a fingerprint for each media section
// in place of one for the session.
func isChromium(s *sdp.SessionDescription) bool {
	if s.Origin.Username != "-" || s.Origin.UnicastAddress != "127.0.0.1" {
		return false
	}
	if semantic, _ := s.Attribute("msid-semantic"); !strings.HasPrefix(semantic, " WMS") {
		return false
	}
	if _, ok := s.Attribute("fingerprint"); ok {
		return false
	}
	for _, m := range s.MediaDescriptions {
		if _, ok := m.Attribute("fingerprint"); !ok {
			return false
		}
	}
	return len(s.MediaDescriptions) > 0
}
