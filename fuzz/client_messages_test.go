package fuzz

import (
	"testing"

	"flurry/common/messages"
)

// A request that is accepted has an offer, a NAT word and a fingerprint that are
// what the specification says.
func FuzzClientPollRequest(f *testing.F) {
	for _, s := range seeds(f, "messages_client", "body", "decode_request") {
		f.Add([]byte(s), "unknown")
	}
	f.Add([]byte(`{"type":"offer","sdp":"v=0\r\n"}`), "restricted") // the legacy form
	f.Fuzz(func(t *testing.T, body []byte, nat string) {
		r, err := messages.DecodeClientPollRequest(body)
		if messages.IsLegacyClientPollRequest(body) {
			r, err = messages.DecodeLegacyClientPollRequest(body, nat)
		}
		boundedError(t, err, len(body))
		if err != nil {
			if r != (messages.ClientPollRequest{}) {
				t.Errorf("an error came with %+v", r)
			}
			return
		}
		if n := len(r.Fingerprint); r.Offer == "" || n != 20 && n != 32 {
			t.Errorf("accepted %+v", r)
		}
		if word, err := messages.ParseNATType(string(r.NAT)); err != nil || word != r.NAT {
			t.Errorf("accepted NAT word %q", r.NAT)
		}
		text, err := r.Encode()
		if err != nil {
			t.Fatal(err)
		}
		bounded(t, "request", len(text), len(body))
		// The legacy form keeps bytes that JSON text cannot have.
		if again, err := messages.DecodeClientPollRequest(text); err != nil || again != r && !messages.IsLegacyClientPollRequest(body) {
			t.Errorf("%+v came back as %+v, %v", r, again, err)
		}
	})
}

// A response that is accepted has an answer or an error.
func FuzzClientPollResponse(f *testing.F) {
	for _, s := range seeds(f, "messages_client", "body", "decode_response") {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := messages.DecodeClientPollResponse(body)
		boundedError(t, err, len(body))
		if err != nil {
			return
		}
		if r.Answer == "" && r.Error == "" {
			t.Error("accepted an empty response")
		}
		text, err := r.Encode()
		if err != nil {
			t.Fatal(err)
		}
		bounded(t, "response", len(text), len(body))
		if again, err := messages.DecodeClientPollResponse(text); err != nil || again != r {
			t.Errorf("%+v came back as %+v, %v", r, again, err)
		}
	})
}
