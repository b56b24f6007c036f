package messages_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"flurry/common/messages"
)

const (
	description = `{"type":"offer","sdp":"v=0\r\n"}`
	quoted      = `"{\"type\":\"offer\",\"sdp\":\"v=0\"}"`
)

// Each request has all the faults from its own on: the first one decides the
// error that the client sees.
func TestClientRequestOrderOfChecks(t *testing.T) {
	for _, c := range []struct {
		body string
		want error
	}{
		{"1.1\n{", messages.ErrVersion},
		{"1.0 \n{}", messages.ErrVersion},
		{"1.0\n" + `{"nat":"x","fingerprint":"x"}`, messages.ErrNoOffer},
		{"1.0\n" + `null`, messages.ErrNoOffer},
		{"1.0\n" + `{"offer":"x","nat":"x","fingerprint":"x"}`, messages.ErrDescription},
		{"1.0\n" + `{"offer":` + quoted + `,"nat":"x","fingerprint":"x"}`, messages.ErrFingerprint},
		{"1.0\n" + `{"offer":` + quoted + `,"nat":"x"}`, messages.ErrNATType},
		{"1.0\n" + `{"offer":` + quoted + `}`, nil},
	} {
		if _, err := messages.DecodeClientPollRequest([]byte(c.body)); !errors.Is(err, c.want) {
			t.Errorf("%q: %v, want %v", c.body, err, c.want)
		}
	}
}

// The client is told the JSON library's text and it should name the message,
// not our types.
func TestClientRequestErrorText(t *testing.T) {
	_, err := messages.DecodeClientPollRequest([]byte("1.0\n{\"offer\":1}"))
	const want = "json: cannot unmarshal number into Go struct field ClientPollRequest.offer of type string"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestLegacyClientRequest(t *testing.T) {
	body := []byte(description)
	if !messages.IsLegacyClientPollRequest(body) {
		t.Error("a bare description is not taken for the legacy form")
	}
	if messages.IsLegacyClientPollRequest([]byte("1.0\n{}")) || messages.IsLegacyClientPollRequest(nil) {
		t.Error("a versioned or empty request is taken for the legacy form")
	}
	r, err := messages.DecodeLegacyClientPollRequest(body, "restricted")
	want := messages.ClientPollRequest{
		Offer: description, NAT: messages.NATRestricted, Fingerprint: messages.DefaultFingerprint,
	}
	if err != nil || r != want {
		t.Errorf("got %+v, %v, want %+v", r, err, want)
	}
	if _, err := messages.DecodeLegacyClientPollRequest(body, "weird"); !errors.Is(err, messages.ErrNATType) {
		t.Errorf("bad NAT word: %v", err)
	}
	if _, err := messages.DecodeLegacyClientPollRequest([]byte("{}"), ""); !errors.Is(err, messages.ErrDescription) {
		t.Errorf("bad description: %v", err)
	}
}

func TestPollResponseStatusError(t *testing.T) {
	r, err := messages.DecodeProxyPollResponse([]byte(
		`{"Status":"incorrect relay pattern","Offer":"dropped","NextPoll":3600000}`))
	var status *messages.StatusError
	if !errors.As(err, &status) || status.Status != messages.StatusIncorrectRelayPattern {
		t.Errorf("error %v", err)
	}
	if r.NextPoll != time.Hour || r.Offer != "" {
		t.Errorf("got %+v", r)
	}
}

func TestPollResponseNextPollSaturates(t *testing.T) {
	for _, n := range []int64{math.MaxInt64, math.MinInt64} {
		r, err := messages.DecodeProxyPollResponse(fmt.Appendf(nil, `{"Status":"no match","NextPoll":%d}`, n))
		if err != nil || (r.NextPoll > 0) != (n > 0) || r.NextPoll.Abs() < 24*365*time.Hour {
			t.Errorf("%d ms became %v, %v", n, r.NextPoll, err)
		}
	}
}

func TestPollRequestWithoutPattern(t *testing.T) {
	text, err := messages.ProxyPollRequest{SessionID: "s"}.Encode()
	if err != nil || strings.Contains(string(text), "AcceptedRelayPattern") {
		t.Errorf("got %s, %v: no pattern is not an empty pattern", text, err)
	}
	r, err := messages.DecodeProxyPollRequest(text)
	if err != nil || r.RelayPattern != nil || r.Version != messages.ProxyProtocolVersion {
		t.Errorf("got %+v, %v", r, err)
	}
	r, err = messages.DecodeProxyPollRequest([]byte(`{"Sid":"s","Version":"1","AcceptedRelayPattern":""}`))
	if err != nil || r.RelayPattern == nil || *r.RelayPattern != "" {
		t.Errorf("got %+v, %v: an empty pattern is a pattern", r, err)
	}
}

func TestPollRequestNegativeClients(t *testing.T) {
	r, err := messages.DecodeProxyPollRequest([]byte(`{"Sid":"s","Version":"1.3","Clients":-8}`))
	if err != nil || r.Clients != 0 {
		t.Errorf("got %+v, %v", r, err)
	}
}

func TestFingerprint(t *testing.T) {
	if got := messages.DefaultFingerprint.String(); got != "2B280B23E1107BB62ABFC40DDCC8824814F80A72" {
		t.Errorf("default is %s", got)
	}
	if f, err := messages.ParseFingerprint(""); err != nil || f != messages.DefaultFingerprint {
		t.Errorf("empty: %v, %v", f, err)
	}
	if _, err := messages.ParseBridgeFingerprint(""); !errors.Is(err, messages.ErrFingerprint) {
		t.Errorf("empty in a bridge list: %v", err)
	}
	if _, err := (messages.ClientPollRequest{Fingerprint: "short"}).Encode(); !errors.Is(err, messages.ErrFingerprint) {
		t.Errorf("five bytes: %v", err)
	}
}

func TestProxyTypes(t *testing.T) {
	for _, known := range messages.KnownProxyTypes() {
		if got := messages.ParseProxyType(string(known)); got != known {
			t.Errorf("%q read as %q", known, got)
		}
	}
	for _, word := range []string{"", "Standalone", "unknown", "x"} {
		if got := messages.ParseProxyType(word); got != messages.ProxyUnknown {
			t.Errorf("%q read as %q", word, got)
		}
	}
}

func TestRelayPatternString(t *testing.T) {
	for text, want := range map[string]string{"a": "a$", "a$": "a$", "^a": "^a$", "^a$": "^a$", "": "$"} {
		p := messages.ParseRelayPattern(text)
		if p.String() != want || messages.ParseRelayPattern(p.String()) != p {
			t.Errorf("%q became %q", text, p)
		}
	}
}

func ExampleRelayPattern() {
	suffix := messages.ParseRelayPattern("example.com$")
	own := messages.ParseRelayPattern("^snowflake.example.com$")
	fmt.Println(suffix.Matches("otherexample.com"), own.Matches("otherexample.com"), suffix.Covers(own))
	// Output: true false true
}
