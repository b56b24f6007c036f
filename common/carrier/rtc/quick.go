package rtc

import (
	"encoding/base64"
	"strings"
	"sync/atomic"

	"flurry/common/sdp"

	"github.com/pion/ice/v4"
	"github.com/pion/stun/v4"
	"github.com/pion/webrtc/v4"
)

// What saves round trips between two ends of our making, and costs nothing with
// others:
//
//   - Both descriptions carry the sender's SCTP INIT chunk (SNAP, Internet-Draft
//     draft-hancke-tsvwg-snap): the association is up when DTLS is, two round
//     trips earlier. Whoever does not know a=sctp-init passes it over, and gets
//     the usual handshake.
//   - ICE does not wait for a nomination. The answerer, who is the DTLS client,
//     uses the first pair on which a check from the offerer arrives: that check
//     was signed with the password of our answer. The offerer, if the answer
//     says that the answerer is one of these, uses the first pair that works
//     both ways. RFC 8445, section 12.1, allows both to send on any valid pair.

// sctpInit is the attribute of draft-hancke-tsvwg-snap.
const sctpInit = "sctp-init"

// withSCTPInit adds our INIT chunk to an offer. The stack does so only for
// offers with a channel, and ours have none yet.
func (p *peer) withSCTPInit(text string) string {
	if strings.Contains(text, "\na="+sctpInit+":") {
		return text
	}
	chunk := p.pc.SCTP().GetSctpInit()
	if len(chunk) == 0 {
		return text
	}
	return text + "a=" + sctpInit + ":" + base64.StdEncoding.EncodeToString(chunk) + "\r\n" // of the only, and thus last, section
}

// A selection is what one connection knows of its ICE pair.
type selection struct {
	early    atomic.Bool // the other end does not wait for a nomination
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

// heed reads from the answer whether its author selects early.
func (s *selection) heed(d webrtc.SessionDescription) {
	if d.Type == webrtc.SDPTypeAnswer && sdp.SelectsEarly(d.SDP) {
		s.early.Store(true)
	}
}
