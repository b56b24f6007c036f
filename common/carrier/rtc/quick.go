package rtc

import (
	"sync/atomic"

	"github.com/pion/ice/v4"
	"github.com/pion/stun/v4"
)

// ICE does not wait for a nomination between two ends of our making. The
// answerer, who is the DTLS client, uses the first pair on which a check from the
// offerer arrives: that check was signed with the password of our answer. The
// offerer uses the first pair that works both ways, if the answer says that the
// answerer is one of these, and also if the checks that leave all nominate, as a
// browser's do. RFC 8445, section 12.1, allows both to send on any valid pair.
//
// SCTP shakes hands as ever, although INIT chunks in the descriptions could spare
// a round trip (Internet-Draft draft-hancke-tsvwg-snap): the four datagrams of
// its handshake show by their lengths, and no browser does without.

// A selection is what one connection knows of its ICE pair.
type selection struct {
	early    atomic.Bool // the other end does not wait for a nomination, or has one with each check
	selected atomic.Bool // a pair has been
}

// check sees each check that arrives, and reports whether its pair is the one
// to use from now on. The stack calls it from one goroutine.
func (s *selection) check(m *stun.Message, _, _ ice.Candidate, pair *ice.CandidatePair) bool {
	if m.Contains(stun.AttrICEControlling) {
		// The other end is the offerer, and its nominations count.
		return !s.selected.Swap(true) || m.Contains(stun.AttrUseCandidate)
	}
	// The offerer's own check must have been answered: one answerer's packet
	// does not tell that ours arrive.
	return s.early.Load() && pair.CurrentRoundTripTime() > 0 && !s.selected.Swap(true)
}
