package sdp_test

import (
	"encoding/json"
	"strings"
	"testing"

	"flurry/common/sdp"
	"flurry/common/vectors"
)

// Answers to a data channel's offer, as captured; addresses and keys are made up.
var (
	chromiumAnswer = lines("v=0", "o=- 5298212846574528197 2 IN IP4 127.0.0.1", "s=-", "t=0 0", "a=group:BUNDLE 0",
		"a=extmap-allow-mixed", "a=msid-semantic: WMS", "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
		"c=IN IP4 0.0.0.0", "a=candidate:1 1 udp 2113937151 192.0.2.1 40000 typ host generation 0 network-cost 999",
		"a=ice-ufrag:LInP", "a=ice-pwd:pDhN8qf7neHXQ3pUVtIVGqal", "a=ice-options:trickle",
		"a=fingerprint:sha-256 0E:3E:59:95:23:AC:2B:C5:C7:C4:01:A0:5C:58:02:72:44:F4:0E:FE:36:5E:49:CD:6A:8B:3D:9A:CE:D9:F3:C5",
		"a=setup:active", "a=mid:0", "a=sctp-port:5000", "a=max-message-size:262144")
	firefoxAnswer = lines("v=0", "o=mozilla...THIS_IS_SDPARTA-99.0 1196590488691571698 0 IN IP4 0.0.0.0", "s=-", "t=0 0",
		"a=fingerprint:sha-256 2F:61:79:CD:35:E3:A3:39:2B:9A:C8:74:43:F1:58:55:56:D5:44:2C:0E:B2:EF:84:43:FF:F1:3E:C8:FA:35:6C",
		"a=group:BUNDLE 0", "a=ice-options:trickle", "a=msid-semantic:WMS *",
		"m=application 9 UDP/DTLS/SCTP webrtc-datachannel", "c=IN IP4 0.0.0.0",
		"a=candidate:0 1 UDP 2122252543 192.0.2.1 40000 typ host", "a=sendrecv", "a=end-of-candidates",
		"a=ice-pwd:866ec613199eafe1890d6f775131762e", "a=ice-ufrag:b95c4d01", "a=mid:0", "a=setup:active",
		"a=sctp-port:5000", "a=max-message-size:1073741823")
	pionAnswer = lines("v=0", "o=- 6066602339720946480 1795345477 IN IP4 0.0.0.0", "s=-", "t=0 0", "a=msid-semantic:WMS *",
		"a=fingerprint:sha-256 04:70:EA:19:69:1B:27:32:AB:AC:1D:8C:8F:4E:DF:D1:4A:99:B7:84:D0:D2:F4:9D:AB:E5:F1:C1:F6:B4:E3:13",
		"a=extmap-allow-mixed", "a=group:BUNDLE 0", "m=application 9 UDP/DTLS/SCTP webrtc-datachannel", "c=IN IP4 0.0.0.0",
		"a=setup:active", "a=mid:0", "a=sendrecv", "a=sctp-port:5000", "a=max-message-size:1073741823",
		"a=ice-ufrag:WjXLokgPpYgmwURa", "a=ice-pwd:xJeMMteEEGUtiPLvSuBroEKBcxUsXsEC",
		"a=candidate:1 1 udp 2130706431 192.0.2.1 40000 typ host", "a=candidate:1 2 udp 2130706431 192.0.2.1 40000 typ host",
		"a=end-of-candidates")
)

func lines(l ...string) string { return strings.Join(l, "\r\n") + "\r\n" }

func TestKeepsEdges(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want bool
	}{
		"Chromium":          {chromiumAnswer, true},
		"Firefox":           {firefoxAnswer, true},
		"deployed proxy":    {pionAnswer, false},
		"our proxy":         {sdp.MarkEdges(pionAnswer), true},
		"marked Chromium":   {sdp.MarkEdges(chromiumAnswer), true},
		"ours, as Chromium": {sdp.MarkEarly(chromiumAnswer), false},
		"ours, and says so": {sdp.MarkEdges(sdp.MarkEarly(firefoxAnswer)), true},
		"attribute in LF":   {strings.ReplaceAll(sdp.MarkEdges(pionAnswer), "\r\n", "\n"), true},
		"of a section":      {pionAnswer + "a=whole-messages\r\n", false},
		"no media":          {"v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=msid-semantic: WMS\r\n", false},
		"Go with 127":       {strings.Replace(pionAnswer, "0.0.0.0", "127.0.0.1", 1), false},
		"old library, 127":  {offer("a=mid:0"), false},
		"empty":             {"", false},
		"garbage":           {"mozilla...", false},
	} {
		if got := sdp.KeepsEdges(c.text); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// The vectors hold descriptions of many peers, browsers not among them.
func TestVectorsKeepNoEdges(t *testing.T) {
	n := 0
	see := func(t *testing.T, c vectors.Case) {
		var in struct{ SDP string }
		var out json.RawMessage
		c.Decode(t, &in, &out)
		n++
		if sdp.KeepsEdges(in.SDP) {
			t.Errorf("%q", in.SDP)
		}
	}
	vectors.Run(t, "sdp", map[string]func(*testing.T, vectors.Case){
		"strip_local": see, "candidate_addrs": see,
	}, "deserialize", "serialize", "is_local")
	if n == 0 {
		t.Error("no vectors")
	}
}

// MarkEdges adds one line and leaves the rest, and what else is read, as it was.
func TestMarkEdges(t *testing.T) {
	for _, text := range []string{pionAnswer, chromiumAnswer, head, ""} {
		got := sdp.MarkEdges(text)
		if strings.Replace(got, "a=whole-messages\r\n", "", 1) != text || len(got) == len(text) {
			t.Errorf("%q became %q", text, got)
		}
		a, okA := sdp.RemoteAddr(text)
		b, okB := sdp.RemoteAddr(got)
		if a != b || okA != okB {
			t.Errorf("address %v became %v", a, b)
		}
	}
}
