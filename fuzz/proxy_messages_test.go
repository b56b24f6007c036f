package fuzz

import (
	"errors"
	"reflect"
	"slices"
	"testing"

	"flurry/common/messages"
)

// A poll that is accepted has a session id, words of the specification and a
// count of clients that is not negative.
func FuzzProxyPollRequest(f *testing.F) {
	for _, s := range seeds(f, "messages_proxy", "body", "decode_poll_request") {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := messages.DecodeProxyPollRequest(body)
		boundedError(t, err, len(body))
		if err != nil {
			return
		}
		types := append(messages.KnownProxyTypes(), messages.ProxyUnknown)
		if r.SessionID == "" || r.Clients < 0 || !slices.Contains(types, r.Type) {
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
		if again, err := messages.DecodeProxyPollRequest(text); err != nil || !reflect.DeepEqual(again, r) {
			t.Errorf("%+v came back as %+v, %v", r, again, err)
		}
	})
}

// Only a match has an offer, and a match always has one.
func FuzzProxyPollResponse(f *testing.F) {
	for _, s := range seeds(f, "messages_proxy", "body", "decode_poll_response") {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := messages.DecodeProxyPollResponse(body)
		boundedError(t, err, len(body))
		var status *messages.StatusError
		if err != nil && !errors.As(err, &status) {
			return
		}
		if (r.Status == messages.StatusClientMatch) != (r.Offer != "") || r.NAT == "" {
			t.Errorf("accepted %+v", r)
		}
		text, encodeErr := r.Encode()
		if encodeErr != nil {
			t.Fatal(encodeErr)
		}
		bounded(t, "response", len(text), len(body))
		again, againErr := messages.DecodeProxyPollResponse(text)
		if again != r || (againErr == nil) != (err == nil) {
			t.Errorf("%+v (%v) came back as %+v (%v)", r, err, again, againErr)
		}
	})
}

// An answer that is accepted has a session id and a description.
func FuzzProxyAnswerRequest(f *testing.F) {
	for _, s := range seeds(f, "messages_proxy", "body", "decode_answer_request") {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := messages.DecodeProxyAnswerRequest(body)
		boundedError(t, err, len(body))
		if err != nil {
			return
		}
		if r.SessionID == "" || r.Answer == "" {
			t.Errorf("accepted %+v", r)
		}
		text, err := r.Encode()
		if err != nil {
			t.Fatal(err)
		}
		bounded(t, "request", len(text), len(body))
		if again, err := messages.DecodeProxyAnswerRequest(text); err != nil || again != r {
			t.Errorf("%+v came back as %+v, %v", r, again, err)
		}
	})
}

// A response that is accepted has a status.
func FuzzProxyAnswerResponse(f *testing.F) {
	for _, s := range seeds(f, "messages_proxy", "body", "decode_answer_response") {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := messages.DecodeProxyAnswerResponse(body)
		boundedError(t, err, len(body))
		if err != nil {
			return
		}
		text, err := r.Encode()
		if err != nil {
			t.Fatal(err)
		}
		bounded(t, "response", len(text), len(body))
		if again, err := messages.DecodeProxyAnswerResponse(text); err != nil || again != r || r.Status == "" {
			t.Errorf("%+v came back as %+v, %v", r, again, err)
		}
	})
}
