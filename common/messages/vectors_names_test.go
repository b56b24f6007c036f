package messages_test

import (
	"encoding/hex"
	"encoding/json"
	"testing"

	"flurry/common/messages"
	"flurry/common/vectors"
)

func TestRelayPatternVectors(t *testing.T) {
	vectors.Run(t, "name_matcher", map[string]func(*testing.T, vectors.Case){
		"valid_rule": validRule,
		"member":     member,
		"superset":   superset,
	})
}

func validRule(t *testing.T, c vectors.Case) {
	var in struct{ Rule string }
	var want struct{ Valid bool }
	c.Decode(t, &in, &want)
	if got := messages.ValidRelayPattern(in.Rule); got != want.Valid {
		t.Errorf("ValidRelayPattern(%q) = %v", in.Rule, got)
	}
}

func member(t *testing.T, c vectors.Case) {
	var in struct{ Rule, Host string }
	var want struct{ Member bool }
	c.Decode(t, &in, &want)
	if got := messages.ParseRelayPattern(in.Rule).Matches(in.Host); got != want.Member {
		t.Errorf("%q matches %q: %v", in.Rule, in.Host, got)
	}
}

func superset(t *testing.T, c vectors.Case) {
	var in struct{ A, B string }
	var want struct{ Superset bool }
	c.Decode(t, &in, &want)
	if got := messages.ParseRelayPattern(in.A).Covers(messages.ParseRelayPattern(in.B)); got != want.Superset {
		t.Errorf("%q covers %q: %v", in.A, in.B, got)
	}
}

func TestFingerprintVectors(t *testing.T) {
	vectors.Run(t, "small_parsers", map[string]func(*testing.T, vectors.Case){
		"fingerprint": fingerprint,
	},
		"scrub",                              // common/safelog
		"http_client_ip",                     // broker
		"utls_name",                          // client side of the rendezvous
		"covertdtls",                         // not built
		"sqscreds_encode", "sqscreds_decode", // not built
	)
}

func fingerprint(t *testing.T, c vectors.Case) {
	var in struct{ Text string }
	var want struct {
		OK       bool   `json:"ok"`
		BytesHex string `json:"bytes_hex"`
	}
	c.Decode(t, &in, &want)
	f, err := messages.ParseBridgeFingerprint(in.Text)
	if (err == nil) != want.OK || hex.EncodeToString([]byte(f)) != want.BytesHex {
		t.Errorf("ParseBridgeFingerprint(%q) = %v, %v", in.Text, f, err)
	}
}

// The wrapper of a session description is checked here and read in package
// sdp; one set of vectors holds for both.
func TestDescriptionVectors(t *testing.T) {
	vectors.Run(t, "sdp", map[string]func(*testing.T, vectors.Case){
		"deserialize": checkedDescription,
	}, "serialize", "is_local", "strip_local", "candidate_addrs") // common/sdp
}

func checkedDescription(t *testing.T, c vectors.Case) {
	var in struct{ Text string }
	var want struct{ OK bool }
	c.Decode(t, &in, nil)
	if err := json.Unmarshal(c.Out, &want); err != nil {
		t.Fatal(err)
	}
	body, err := messages.ProxyAnswerRequest{SessionID: "s", Answer: in.Text}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	_, err = messages.DecodeProxyAnswerRequest(body)
	if (err == nil) != want.OK {
		t.Errorf("%q: %v, want ok %v", in.Text, err, want.OK)
	}
}
