package fuzz

import (
	"strings"
	"testing"

	"flurry/common/messages"
	"flurry/common/sdp"
)

// What package sdp reads is what package messages lets through: the two have
// the rules once each.
func FuzzDescription(f *testing.F) {
	for _, s := range seeds(f, "sdp", "text", "deserialize") {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := sdp.Parse(text)
		boundedError(t, err, len(text))
		if checked := inMessage(t, text); (checked == nil) != (err == nil) {
			t.Errorf("package sdp says %v, package messages %v", err, checked)
		}
		if err != nil {
			if d.Type != "" && d.SDP != "" {
				t.Errorf("an error came with %+v", d)
			}
			return
		}
		wrapped := d.String()
		bounded(t, "wrapper", len(wrapped), len(text))
		if again, err := sdp.Parse(wrapped); err != nil || again != d {
			t.Errorf("%+v came back as %+v, %v", d, again, err)
		}
	})
}

// inMessage returns the error that text meets as the answer in a message.
func inMessage(t *testing.T, text string) error {
	t.Helper()
	if text == "" {
		return messages.ErrDescription // an absent answer is another error
	}
	// JSON text is UTF-8: what is not is replaced on the way, here and there.
	text = strings.ToValidUTF8(text, "\uFFFD")
	body, err := messages.ProxyAnswerRequest{SessionID: "s", Answer: text}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	_, err = messages.DecodeProxyAnswerRequest(body)
	return err
}
