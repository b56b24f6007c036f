package system

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"flurry/common/messages"
	"flurry/test/stage"
)

// silentVolunteer polls the broker once as a volunteer, and when it has got a client, does nothing for it, as one that was
// just unplugged. It returns when it has one.
func silentVolunteer(t *testing.T, s *stage.Stage) error {
	any := ""
	poll := messages.ProxyPollRequest{SessionID: "silent", Type: messages.ProxyStandalone, NAT: messages.NATUnrestricted, RelayPattern: &any}
	body, err := poll.Encode()
	if err != nil {
		return err
	}
	for {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.BrokerURL()+"proxy", bytes.NewReader(body))
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		text, err := io.ReadAll(io.LimitReader(resp.Body, messages.MaxBodyBytes))
		resp.Body.Close()
		if err != nil {
			return err
		}
		if r, err := messages.DecodeProxyPollResponse(text); err != nil {
			return fmt.Errorf("%s: %w", text, err)
		} else if r.Status == messages.StatusClientMatch {
			return nil
		}
	}
}

// A volunteer that takes an offer and falls silent costs the client the time after which it makes another offer beside the
// first, not the broker's patience and a pause.
func TestSystemSecondOfferBesideASilentVolunteer(t *testing.T) {
	t.Parallel() // It mostly waits.
	s := newStage(t, stage.Options{})
	ctx := testContext(t)
	silent := make(chan error, 1)
	go func() { silent <- silentVolunteer(t, s) }()
	if err := s.WaitAvailable(ctx, 1); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	conn, err := s.Dial(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := <-silent; err != nil {
		t.Fatal(err)
	}
	if _, err := s.StartProxy(ctx, stage.ProxyOptions{}); err != nil {
		t.Fatal(err)
	}
	flow, err := stage.NewFlow(ctx, conn, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer flow.Close()
	if _, err := flow.Echo(ctx); err != nil {
		t.Fatal(err)
	}
	t.Logf("the first echo took %v", time.Since(start).Round(time.Millisecond))
	if log := s.Client().Log(); strings.Count(log, "making another") != 1 {
		t.Errorf("no second offer:\n%s", log)
	}
}
