package snowbroker

import (
	"net/netip"
	"strings"
	"testing"

	"flurry/common/messages"
	"flurry/common/sealed"
)

// seal closes body for s as a client does that has had a reply from it.
func seal(t *testing.T, s *site, body string) (string, *sealed.ReplyKey) {
	t.Helper()
	public, err := sealed.ParsePublicKey(s.b.seal.Public())
	if err != nil {
		t.Fatal(err)
	}
	request, key, err := public.Seal([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return string(request), key
}

// unseal opens a reply with status 200.
func unseal(t *testing.T, key *sealed.ReplyKey, reply string) string {
	t.Helper()
	body, ok := strings.CutPrefix(reply, "200 ")
	if !ok {
		t.Fatalf("got %q", reply)
	}
	text, err := key.Open([]byte(body))
	if err != nil {
		t.Fatalf("%v: %q", err, body)
	}
	return string(text)
}

func TestSealedIntroduction(t *testing.T) {
	asked := make(chan netip.Addr, 10)
	s := newSite(t, Config{Country: func(a netip.Addr) string {
		asked <- a
		return "AA"
	}}, MemoryOptions{})
	poll := s.poll(pollBody("p", "unrestricted"))
	for len(asked) > 0 {
		<-asked // the proxy's
	}
	request, key := seal(t, s, clientBody("restricted"))
	client := s.background("/client", request)
	if got := <-poll; !strings.Contains(got, `"Status":"client match"`) || !strings.Contains(got, `"NAT":"restricted"`) {
		t.Errorf("the proxy got %s", got)
	}
	s.post("/answer", answerBody("p"))
	reply := <-client
	if strings.Contains(reply, "candidate") {
		t.Error("the answer is in clear")
	}
	resp, err := messages.DecodeClientPollResponse([]byte(unseal(t, key, reply)))
	if err != nil || resp != (messages.ClientPollResponse{Answer: testAnswer, Key: s.b.seal.Public()}) {
		t.Errorf("got %+v, %v", resp, err)
	}
	if len(asked) > 0 {
		t.Errorf("the country of %v, the bridge, was asked for", <-asked)
	}
}

func TestSealedRefusals(t *testing.T) {
	s := newSite(t, Config{}, MemoryOptions{})
	for body, want := range map[string]string{
		clientBody("restricted"): `{"error":"no snowflake proxies currently available"}`,
		"2.0\n{}":                `{"error":"unsupported message version"}`,
		testOffer:                `{"error":"unsupported message version"}`, // the legacy form has no sealed one
	} {
		request, key := seal(t, s, body)
		reply := s.post("/client", request)
		if got := unseal(t, key, reply); got != want {
			t.Errorf("%s: got %s, want %s", body, got, want)
		}
	}
	other := newSite(t, Config{}, MemoryOptions{})
	request, _ := seal(t, other, clientBody("restricted"))
	s.expect("another broker's key", s.post("/client", request), `200 {"error":"cannot open sealed message"}`)
	s.expect("cut", s.post("/client", "sealed1\n"), `200 {"error":"cannot open sealed message"}`)
}
