package messages_test

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"flurry/common/messages"
	"flurry/common/vectors"
)

func TestClientMessagesVectors(t *testing.T) {
	vectors.Run(t, "messages_client", map[string]func(*testing.T, vectors.Case){
		"decode_request":  decodeClientRequest,
		"encode_request":  encodeClientRequest,
		"decode_response": decodeClientResponse,
		"encode_response": encodeClientResponse,
	})
}

type clientRequest struct {
	OK          bool   `json:"ok"`
	Offer       string `json:"offer"`
	NAT         string `json:"nat"`
	Fingerprint string `json:"fingerprint"`
}

func decodeClientRequest(t *testing.T, c vectors.Case) {
	var in struct{ Body string }
	var want clientRequest
	c.Decode(t, &in, &want)
	r, err := messages.DecodeClientPollRequest([]byte(in.Body))
	got := clientRequest{OK: err == nil, Offer: r.Offer, NAT: string(r.NAT)}
	if err == nil {
		got.Fingerprint = r.Fingerprint.String()
	}
	want.Fingerprint = strings.ToUpper(want.Fingerprint) // either case says the same
	if got != want {
		t.Errorf("got %+v (%v), want %+v", got, err, want)
	}
	compareTold(t, c, err)
}

// compareTold compares the errors whose text the specification fixes, because
// the client is told it (spec section 2.2).
func compareTold(t *testing.T, c vectors.Case, err error) {
	t.Helper()
	var out struct {
		Text string `json:"upstream_error"`
	}
	if e := json.Unmarshal(c.Out, &out); e != nil {
		t.Fatal(e)
	}
	for _, fixed := range []error{messages.ErrVersion, messages.ErrNoOffer, messages.ErrFingerprint, messages.ErrNATType} {
		if out.Text == fixed.Error() && !errors.Is(err, fixed) {
			t.Errorf("error %v, want %v", err, fixed)
		}
	}
	prefix := messages.ErrDescription.Error() + ": "
	if strings.HasPrefix(out.Text, prefix) && (err == nil || !strings.HasPrefix(err.Error(), prefix)) {
		t.Errorf("error %v, want one that begins %q", err, prefix)
	}
}

func encodeClientRequest(t *testing.T, c vectors.Case) {
	var in struct{ Offer, NAT, Fingerprint string }
	var want struct {
		OK   bool
		Body string
	}
	c.Decode(t, &in, &want)
	raw, err := hex.DecodeString(in.Fingerprint)
	if err != nil {
		t.Fatal(err)
	}
	body, err := messages.ClientPollRequest{
		Offer: in.Offer, NAT: messages.NATType(in.NAT), Fingerprint: messages.Fingerprint(raw),
	}.Encode()
	if (err == nil) != want.OK {
		t.Fatalf("error %v, want ok %v", err, want.OK)
	}
	if err == nil {
		compareClientBodies(t, string(body), want.Body)
	}
}

// compareClientBodies compares what two request bodies mean: the members, with
// the fingerprint in either case.
func compareClientBodies(t *testing.T, got, want string) {
	t.Helper()
	const line = "1.0\n"
	gotText, ok := strings.CutPrefix(got, line)
	wantText, ok2 := strings.CutPrefix(want, line)
	if !ok || !ok2 {
		t.Fatalf("version line missing: got %q, want %q", got, want)
	}
	gotMembers, wantMembers := members(t, gotText), members(t, wantText)
	for _, m := range []map[string]any{gotMembers, wantMembers} {
		if f, ok := m["fingerprint"].(string); ok {
			m["fingerprint"] = strings.ToUpper(f)
		}
	}
	compareMembers(t, gotMembers, wantMembers)
}

type clientResponse struct {
	OK     bool   `json:"ok"`
	Answer string `json:"answer"`
	Error  string `json:"error"`
}

func decodeClientResponse(t *testing.T, c vectors.Case) {
	var in struct{ Body string }
	var want clientResponse
	c.Decode(t, &in, &want)
	r, err := messages.DecodeClientPollResponse([]byte(in.Body))
	got := clientResponse{OK: err == nil, Answer: r.Answer, Error: r.Error}
	if got != want {
		t.Errorf("got %+v (%v), want %+v", got, err, want)
	}
}

func encodeClientResponse(t *testing.T, c vectors.Case) {
	var in messages.ClientPollResponse
	var want struct {
		OK   bool
		Body string
	}
	c.Decode(t, &in, &want)
	body, err := in.Encode()
	if (err == nil) != want.OK || string(body) != want.Body {
		t.Errorf("got %q, %v, want %q", body, err, want.Body)
	}
}

// members returns the members of a JSON object.
func members(t *testing.T, text string) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return m
}

func compareMembers(t *testing.T, got, want map[string]any) {
	t.Helper()
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("member %q is not wanted", name)
		}
	}
	for name, value := range want {
		if got[name] != value {
			t.Errorf("member %q: got %#v, want %#v", name, got[name], value)
		}
	}
}
