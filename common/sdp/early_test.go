package sdp

import "testing"

func TestEarly(t *testing.T) {
	const text = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n" +
		"m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\n"
	if SelectsEarly(text) || SelectsEarly("") || SelectsEarly(text+"a=early-selection\r\n") {
		t.Error("true although it does not say so")
	}
	if marked := MarkEarly(text); !SelectsEarly(marked) || !SelectsEarly(MarkEdges(marked)) || !KeepsEdges(MarkEdges(marked)) {
		t.Errorf("marked: %q", marked)
	}
	if MarkEarly("") == "" {
		t.Error("lost the text")
	}
}
