package rtc

import (
	"crypto/rand"
	"fmt"
	"time"

	"github.com/pion/sctp"
)

// A Profile says whose WebRTC a connection looks like to whoever watches the
// line, to the broker and to the other end.
type Profile string

// The profiles. Each browser is the release whose calls were captured, see
// doc/threats.md.
const (
	AnyBrowser Profile = ""         // one of the browsers, at random
	Chromium   Profile = "chromium" // Chromium 156
	Firefox    Profile = "firefox"  // Firefox ESR 153
	Pion       Profile = "pion"     // pion/webrtc 4.2, for comparison: no disguise, and a cookie exchange (HelloVerifyRequest)
)

// firefoxShare is in how many of a hundred endpoints AnyBrowser is Firefox.
// Counts of web traffic (StatCounter, desktop) have some 80 to 85 of a hundred
// with a browser of Chromium's family and 6 with Firefox; Safari, which looks
// like neither, is not counted here. Those who use circumvention tools lean to
// Firefox.
const firefoxShare = 10

// Pick makes AnyBrowser one of them, and leaves what is chosen.
func (p Profile) Pick() Profile {
	if p != AnyBrowser {
		return p
	}
	if randomBelow(100) < firefoxShare {
		return Firefox
	}
	return Chromium
}

// A look is all that a Profile decides, but for the handshake of DTLS.
type look struct {
	profile Profile

	ufragLen, pwdLen int
	alphabet         string // of both

	checks *checkShape   // nil: what the ICE agent sends leaves as it is
	ticks  time.Duration // between the times at which timers end; 0: at any time
	late   time.Duration // then how much later they end than they are set to
	sdp    sdpShape

	eager bool // the DTLS client does not wait until a pair is nominated
	slow  bool // SCTP begins a little after DTLS

	patient      bool          // nothing is said on a channel before its ACK
	resets       bool          // a channel is reset before the connection is closed
	channelPause time.Duration // before the ACK of a channel that the other end opens, if nothing more comes

	mtu          uint32 // of SCTP packets
	interleaving bool   // I-DATA chunks are offered
	init         sctp.InitShape
	priority     uint16 // of a data channel, in its OPEN message
}

const (
	base64Alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	hexAlphabet    = "0123456789abcdef"
	letters        = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

	// browserMTU is the size of a browser's SCTP packet in bulk: its datagrams
	// of DTLS 1.3 have 1210 bytes, 22 of them DTLS's. Nothing that carries data
	// is smaller than with pion's 1191, which are no multiple of four.
	browserMTU = 1188

	// pionMTU is that of pion/webrtc.
	pionMTU = 1191

	// normalPriority is a data channel's if a page does not say otherwise (RFC
	// 8831 section 6.4).
	normalPriority = 256

	// dcSCTP is the cookie's beginning of the SCTP library in both browsers.
	dcSCTP = "dcSCTP00"
)

// look returns what p looks like. The sizes are those of doc/threats.md.
func (p Profile) look() (look, error) {
	switch p {
	case Chromium:
		return look{
			profile: p, ufragLen: 4, pwdLen: 24, alphabet: base64Alphabet,
			checks: chromiumChecks(), sdp: sdpShape{text: chromiumSDP, candidate: chromiumCandidate},
			ticks: chromiumTicks,
			eager: true,

			// As long as it takes to hand the channel to the page (measured). What came
			// right behind the OPEN is read by then, and acknowledged with the ACK.
			channelPause: 300 * time.Microsecond,
			mtu:          browserMTU,
			init:         sctp.InitShape{Window: 5 << 20, ForwardTSN: true, Cookie: 48, CookiePrefix: dcSCTP},
			priority:     normalPriority,
		}, nil
	case Firefox:
		return look{
			profile: p, ufragLen: 8, pwdLen: 32, alphabet: hexAlphabet,
			checks: firefoxChecks(), sdp: sdpShape{text: firefoxSDP, candidate: firefoxCandidate},
			late: 250 * time.Microsecond,
			slow: true, patient: true, resets: true,
			mtu: browserMTU, interleaving: true,
			init: sctp.InitShape{Window: 16 << 20, ForwardTSN: true, Cookie: 44, CookiePrefix: dcSCTP},
		}, nil
	case Pion:
		return look{
			profile: p, ufragLen: 16, pwdLen: 32, alphabet: letters,
			sdp:    sdpShape{text: pionSDP, candidate: pionCandidate},
			resets: true,
			mtu:    pionMTU, interleaving: true,
			priority: normalPriority,
		}, nil
	}
	return look{}, fmt.Errorf("profile %q is none of %q, %q and %q", p, Chromium, Firefox, Pion)
}

// randomText returns n characters of alphabet, each as likely as any other.
func randomText(alphabet string, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = alphabet[randomBelow(len(alphabet))]
	}
	return string(b)
}

// randomBelow returns a number from 0 to n-1; n is at most 256.
func randomBelow(n int) int {
	limit := byte(256 - 256%n - 1)
	var b [1]byte
	for {
		rand.Read(b[:])
		if b[0] <= limit {
			return int(b[0]) % n
		}
	}
}

// randomBetween returns a time from a to b, in steps of their 256th part.
func randomBetween(a, b time.Duration) time.Duration {
	return a + (b-a)*time.Duration(randomBelow(256))/256
}
