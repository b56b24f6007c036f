package snowproxy

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"flurry/common/carrier/rtc"
	"flurry/common/messages"
	"flurry/common/sdp"
)

// probeService is the service of spec section 9.3 in small.
func probeService(t *testing.T, change func(answer string) string) *httptest.Server {
	t.Helper()
	endpoint, err := rtc.New(rtc.Config{KeepLocalAddresses: true})
	if err != nil {
		t.Fatal(err)
	}
	waits := make(chan struct{}, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		req, err := messages.DecodeProxyPollResponse(body)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		p, err := endpoint.Answer(r.Context(), req.Offer)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		go func() {
			if c, err := p.Wait(context.Background()); err == nil {
				if c.Label() != probeLabel {
					t.Errorf("label %q", c.Label())
				}
				c.Recv(make([]byte, pumpBuffer))
				c.Close()
			}
			waits <- struct{}{}
		}()
		text, _ := messages.ProxyAnswerRequest{SessionID: "stub-sid", Answer: change(p.Answer())}.Encode()
		w.Write(text)
	}))
	t.Cleanup(func() {
		srv.Close()
		<-waits
	})
	return srv
}

func probeAt(t *testing.T, url string) *natProbe {
	t.Helper()
	rt := newHTTPTransport(nil)
	t.Cleanup(rt.CloseIdleConnections)
	n, err := newNATProbe(Config{NATProbeURL: url, KeepLocalAddresses: true}, rt)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestProbeUnrestricted(t *testing.T) {
	srv := probeService(t, func(answer string) string { return answer })
	if got, err := probeAt(t, srv.URL+"/probe").probe(context.Background()); got != messages.NATUnrestricted || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

// The channel never opens: the service's answer belongs to nobody.
func TestProbeRestricted(t *testing.T) {
	elsewhere, err := rtc.New(rtc.Config{KeepLocalAddresses: true})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		req, _ := messages.DecodeProxyPollResponse(body)
		p, err := elsewhere.Answer(r.Context(), req.Offer)
		if err != nil {
			t.Error(err)
			return
		}
		p.Close() // nobody listens at its candidates any more
		text, _ := messages.ProxyAnswerRequest{SessionID: "stub-sid", Answer: p.Answer()}.Encode()
		w.Write(text)
	}))
	defer srv.Close()
	n := probeAt(t, srv.URL)
	c := rtcConfig(Config{KeepLocalAddresses: true})
	c.OpenTimeout = 1e9 // in place of probeOpen
	if n.endpoint, err = rtc.New(c); err != nil {
		t.Fatal(err)
	}
	if got, err := n.probe(context.Background()); got != messages.NATRestricted || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

func TestProbeErrorsSayNothing(t *testing.T) {
	for name, reply := range map[string]string{
		"nothing":     "",
		"no JSON":     "<html>",
		"no answer":   `{"Version":"1.3","Sid":"stub-sid"}`,
		"bad version": `{"Version":"2","Sid":"stub-sid","Answer":"x"}`,
		"an offer":    "",
		"no SDP":      "",
	} {
		switch name {
		case "an offer":
			b, _ := messages.ProxyAnswerRequest{SessionID: "s", Answer: description("offer")}.Encode()
			reply = string(b)
		case "no SDP":
			b, _ := messages.ProxyAnswerRequest{SessionID: "s", Answer: sdp.Description{Type: "answer", SDP: "x"}.String()}.Encode()
			reply = string(b)
		}
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(reply)) }))
		if got, err := probeAt(t, srv.URL).probe(context.Background()); err == nil || got != "" {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		srv.Close()
	}
	if got, err := probeAt(t, "http://127.0.0.1:1/").probe(context.Background()); err == nil || got != "" {
		t.Errorf("no service: %q, %v", got, err)
	}
}
