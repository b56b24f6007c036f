package rtc

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"testing"

	"flurry/common/sdp"

	"github.com/pion/ice/v4"
	pionsdp "github.com/pion/sdp/v3"
)

// Descriptions as captured, but for what differs in each: Chromium 156, Firefox
// ESR 153 (a data channel, candidates left out) and pion/webrtc 4.2.
var capturedSDP = map[Profile]string{
	Chromium: "v=0|o=- # 2 IN IP4 127.0.0.1|s=-|t=0 0|a=group:BUNDLE 0|a=extmap-allow-mixed|a=msid-semantic: WMS|" +
		"m=application 9 UDP/DTLS/SCTP webrtc-datachannel|c=IN IP4 0.0.0.0|a=ice-ufrag:#|a=ice-pwd:#|a=ice-options:trickle|" +
		"a=fingerprint:sha-256 #|a=setup:?|a=mid:0|a=sctp-port:5000|a=max-message-size:262144|",
	Firefox: "v=0|o=mozilla...THIS_IS_SDPARTA-99.0 # 0 IN IP4 0.0.0.0|s=-|t=0 0|a=sendrecv|a=fingerprint:sha-256 #|a=group:BUNDLE 0|" +
		"a=ice-options:trickle|a=msid-semantic:WMS *|m=application 9 UDP/DTLS/SCTP webrtc-datachannel|c=IN IP4 0.0.0.0|a=sendrecv|" +
		"a=ice-pwd:#|a=ice-ufrag:#|a=mid:0|a=setup:?|a=sctp-port:5000|a=max-message-size:1073741823|",
	Pion: "v=0|o=- # IN IP4 0.0.0.0|s=-|t=0 0|a=msid-semantic:WMS *|a=fingerprint:sha-256 #|a=extmap-allow-mixed|a=group:BUNDLE 0|" +
		"m=application 9 UDP/DTLS/SCTP webrtc-datachannel|c=IN IP4 0.0.0.0|a=setup:?|a=mid:0|a=sendrecv|a=sctp-port:5000|" +
		"a=max-message-size:1073741823|a=ice-ufrag:#|a=ice-pwd:#|",
}

// credentialShapes are what ICE credentials look like.
var credentialShapes = map[Profile]string{
	Chromium: `a=ice-ufrag:[A-Za-z0-9+/]{4}\r\na=ice-pwd:[A-Za-z0-9+/]{24}\r\n`,
	Firefox:  `a=ice-pwd:[0-9a-f]{32}\r\na=ice-ufrag:[0-9a-f]{8}\r\n`,
	Pion:     `a=ice-ufrag:[A-Za-z]{16}\r\na=ice-pwd:[A-Za-z]{32}\r\n`,
}

// normal is text without what gathering adds and what differs each time.
func normal(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "a=candidate:"), line == "a=end-of-candidates":
			continue
		case line == "a=early-selection", line == "a=whole-messages":
			continue // ours, for peers of ours
		}
		b.WriteString(line + "|")
	}
	s := b.String()
	for _, r := range [][2]string{
		{`m=application \d+ `, "m=application 9 "}, {`c=IN IP[46] [^|]*`, "c=IN IP4 0.0.0.0"},
		{`(a=ice-ufrag|a=ice-pwd):[^|]*`, "$1:#"}, {`sha-256 [0-9A-F:]{95}`, "sha-256 #"}, {`a=setup:[a-z]+`, "a=setup:?"},
		{`(o=- |SDPARTA-99.0 )\d{19}`, "$1#"}, {`# \d{10} IN`, "# IN"},
	} {
		s = regexp.MustCompile(r[0]).ReplaceAllString(s, r[1])
	}
	return s
}

// Offers and answers are what the profile's own stack writes.
func TestDescriptions(t *testing.T) {
	for _, profile := range profiles {
		cfg := Config{KeepLocalAddresses: true, KeepsEdges: true, Profile: profile}
		offer, answer := descriptions(t, cfg)
		for kind, text := range map[string]string{"offer": offer, "answer": answer} {
			if got := normal(text); got != capturedSDP[profile] {
				t.Errorf("%s, %s:\ngot  %s\nwant %s", profile, kind, got, capturedSDP[profile])
			}
			if !regexp.MustCompile(credentialShapes[profile]).MatchString(text) {
				t.Errorf("%s, %s: credentials in %s", profile, kind, text)
			}
			var parsed pionsdp.SessionDescription
			if err := parsed.UnmarshalString(text); err != nil {
				t.Errorf("%s, %s: %v", profile, kind, err)
			}
		}
		if !strings.Contains(offer, "a=setup:actpass\r\n") || !strings.Contains(answer, "a=setup:active\r\n") {
			t.Errorf("%s: roles in %s and %s", profile, offer, answer)
		}
		again, _ := descriptions(t, cfg)
		for _, line := range strings.Split(offer, "\r\n") {
			secret := regexp.MustCompile(`^(o=|a=ice-ufrag|a=ice-pwd|a=fingerprint)`).MatchString(line)
			if secret && strings.Contains(again, line) {
				t.Errorf("%s: twice %q", profile, line)
			}
		}
	}
}

// descriptions returns an offer and an answer to it.
func descriptions(t *testing.T, cfg Config) (offer, answer string) {
	t.Helper()
	endpoint(t, cfg).Dial(context.Background(), "", func(ctx context.Context, o string) (string, error) {
		p, err := endpoint(t, cfg).Answer(ctx, o)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		a, _ := sdp.Parse(p.Answer())
		d, _ := sdp.Parse(o)
		offer, answer = d.SDP, a.SDP
		return "", errors.New("enough")
	})
	return offer, answer
}

// An answer keeps the offer's mid, and takes the other role where the offer has
// taken one.
func TestAnswerFollowsTheOffer(t *testing.T) {
	e := endpoint(t, Config{KeepLocalAddresses: true})
	offer := strings.NewReplacer("a=mid:0", "a=mid:data", "a=setup:actpass", "a=setup:active").Replace(offerOf(e))
	p, err := e.Answer(t.Context(), offer)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if a := p.Answer(); !strings.Contains(a, "a=mid:data") || !strings.Contains(a, "a=setup:passive") {
		t.Error(a)
	}
}

// Candidates have the words and the priorities of the browser.
func TestCandidateText(t *testing.T) {
	host := func(addr string) ice.Candidate {
		c, err := ice.NewCandidateHost(&ice.CandidateHostConfig{Network: "udp", Address: addr, Port: 4711, Component: 1})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	reflexive, err := ice.NewCandidateServerReflexive(&ice.CandidateServerReflexiveConfig{Network: "udp", Address: "192.0.2.9", Port: 4712,
		Component: 1, RelAddr: "0.0.0.0", RelPort: 4711})
	if err != nil {
		t.Fatal(err)
	}
	d := description{candidates: []ice.Candidate{host("192.0.2.1"), host("2001:db8::1"), reflexive}}
	for profile, want := range map[Profile][]string{
		Chromium: {
			" 1 udp 2122260223 192.0.2.1 4711 typ host generation 0 network-id 1\r\n",
			" 1 udp 2122197247 2001:db8::1 4711 typ host generation 0 network-id 2\r\n",
			" 1 udp 1686052607 192.0.2.9 4712 typ srflx raddr 0.0.0.0 rport 0 generation 0 network-id 1\r\n",
			"m=application 4712 UDP", "c=IN IP4 192.0.2.9\r\n",
		},
		Firefox: {
			"a=candidate:0 1 UDP 2122252543 192.0.2.1 4711 typ host\r\n",
			"a=candidate:1 1 UDP 2122187007 2001:db8::1 4711 typ host\r\n",
			"a=candidate:2 1 UDP 1686052863 192.0.2.9 4712 typ srflx raddr 0.0.0.0 rport 0\r\n",
			"m=application 4712 UDP", "c=IN IP4 192.0.2.9\r\n",
		},
		Pion: {" 1 udp 2130706431 192.0.2.1 4711 typ host\r\n", " typ srflx raddr 0.0.0.0 rport 4711\r\n"},
	} {
		look, err := profile.look()
		if err != nil {
			t.Fatal(err)
		}
		text := look.sdp.write(d)
		for _, line := range want {
			if !strings.Contains(text, line) {
				t.Errorf("%s: no %q in %s", profile, line, text)
			}
		}
	}
}
