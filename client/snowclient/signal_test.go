package snowclient

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"flurry/common/messages"
	"flurry/common/safelog"
	"flurry/common/sdp"
	"flurry/common/vectors"
)

func TestClientMiscVectors(t *testing.T) {
	vectors.Run(t, "client_misc", map[string]func(*testing.T, vectors.Case){
		"ice_servers": testICEServers,
		"nat_to_send": testNATToSend,
		"nat_failure": testNATFailure,
		"poll_body":   testPollBody,
	}, "sqs_region") // of the SQS rendezvous, which this version does not have
}

func testICEServers(t *testing.T, c vectors.Case) {
	var in struct{ Addresses []string }
	var out struct{ URLs []string }
	c.Decode(t, &in, &out)
	got, skipped := iceServers(in.Addresses)
	if !slices.Equal(got, out.URLs) {
		t.Errorf("got %q, want %q (passed over: %v)", got, out.URLs, skipped)
	}
}

func testNATToSend(t *testing.T, c vectors.Case) {
	var in struct {
		Actual             messages.NATType
		EarlierSpoofFailed bool `json:"earlier_spoof_failed"`
	}
	var out struct{ Send messages.NATType }
	c.Decode(t, &in, &out)
	if got := natToSend(in.Actual, in.EarlierSpoofFailed); got != out.Send {
		t.Errorf("got %q, want %q", got, out.Send)
	}
}

func testNATFailure(t *testing.T, c vectors.Case) {
	var in struct{ Actual, Sent messages.NATType }
	var out struct {
		Next messages.NATType `json:"next_send_when_unknown"`
	}
	c.Decode(t, &in, &out)
	n := newNATState(nil, nil, safelog.Discard())
	n.probed = in.Actual
	n.channelFailed(in.Sent)
	n.probed = messages.NATUnknown
	if got := n.toSend(); got != out.Next {
		t.Errorf("got %q, want %q", got, out.Next)
	}
}

func testPollBody(t *testing.T, c vectors.Case) {
	var in struct {
		Fingerprint string
		NAT         messages.NATType
		SDP         string
	}
	var out struct {
		OK   bool
		Body string
	}
	c.Decode(t, &in, &out)
	fp, err := messages.ParseFingerprint(in.Fingerprint)
	if err == nil {
		_, err = messages.ParseNATType(string(in.NAT))
	}
	if (err == nil) != out.OK {
		t.Fatalf("error %v, want ok = %v", err, out.OK)
	}
	if err != nil {
		return
	}
	s := newTestSignaller(replier(func(request string) (string, error) {
		if request != out.Body {
			t.Errorf("request\n%s\nwant\n%s", request, out.Body)
		}
		return `{"answer":"yes"}`, nil
	}), fp)
	s.nat.probed = in.NAT
	s.nat.claimFailed = true // so that it says what it is told
	offer := sdp.Description{Type: "offer", SDP: in.SDP}.String()
	if answer, sent, err := s.exchange(t.Context(), offer); answer != "yes" || sent != in.NAT || err != nil {
		t.Errorf("got %q, %q, %v", answer, sent, err)
	}
}

func newTestSignaller(r Rendezvous, fp messages.Fingerprint) *signaller {
	return &signaller{rendezvous: r, fingerprint: fp, nat: newNATState(nil, nil, safelog.Discard())}
}

// A replier is a Rendezvous that does not wait.
type replier func(request string) (reply string, err error)

func (r replier) Exchange(_ context.Context, request []byte) ([]byte, error) {
	reply, err := r(string(request))
	return []byte(reply), err
}

func TestExchangeReadsReplies(t *testing.T) {
	down := errors.New("down")
	for _, c := range []struct {
		name, reply string
		err         error
		check       func(error) bool
	}{
		{"refusal", `{"error":"no snowflake proxies currently available"}`, nil, func(err error) bool {
			var refusal *BrokerError
			return errors.As(err, &refusal) && err.Error() == messages.ErrTextNoProxies
		}},
		{"refusal and answer", `{"answer":"a","error":"e"}`, nil, func(err error) bool { return err != nil && err.Error() == "e" }},
		{"empty", `{}`, nil, func(err error) bool { return errors.Is(err, messages.ErrEmptyResponse) }},
		{"no JSON", `<html>`, nil, func(err error) bool { return err != nil && strings.HasPrefix(err.Error(), "decode broker response: ") }},
		{"unreachable", ``, down, func(err error) bool { return errors.Is(err, down) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newTestSignaller(replier(func(string) (string, error) { return c.reply, c.err }), messages.DefaultFingerprint)
			answer, _, err := s.exchange(t.Context(), "offer")
			if answer != "" || !c.check(err) {
				t.Errorf("got %q, %v", answer, err)
			}
		})
	}
}

// A waiter is a Rendezvous whose broker never replies.
type waiter struct{}

func (waiter) Exchange(ctx context.Context, _ []byte) ([]byte, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestExchangeGivesUpInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestSignaller(waiter{}, messages.DefaultFingerprint)
		if _, _, err := s.exchange(t.Context(), "offer"); err == nil || err.Error() != "no reply within 15s" {
			t.Errorf("got %v", err)
		}
	})
}

func TestSubset(t *testing.T) {
	all := []string{"a", "b", "c", "d", "e"}
	for n, want := range []int{0, 1, 2, 2, 2, 3} {
		got := subset(all[:n])
		if len(got) != want {
			t.Errorf("%d of %d servers, want %d", len(got), n, want)
		}
		slices.Sort(got)
		if len(slices.Compact(got)) != want || slices.ContainsFunc(got, func(u string) bool { return !slices.Contains(all[:n], u) }) {
			t.Errorf("picked %q of %q", got, all[:n])
		}
	}
	seen := make(map[string]bool)
	for range 200 {
		for _, u := range subset(all) {
			seen[u] = true
		}
	}
	if len(seen) != len(all) {
		t.Errorf("only %v of %q were ever picked", seen, all)
	}
}
