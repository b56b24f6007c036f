package fuzz

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"flurry/broker/snowbroker"
	"flurry/common/messages"
	"flurry/common/vectors"
)

// A bridge list that is accepted has as many bridges as different fingerprints,
// and no more than lines.
func FuzzBridgeList(f *testing.F) {
	for _, s := range seeds(f, "broker", "file", "bridge_list") {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		list, err := snowbroker.ReadBridges(bytes.NewReader(file))
		boundedError(t, err, len(file))
		if err != nil {
			return
		}
		if lines := bytes.Count(file, []byte("\n")) + 1; list.Len() > lines {
			t.Errorf("%d bridges in %d lines", list.Len(), lines)
		}
		for line := range strings.Lines(string(file)) {
			var last struct{ Fingerprint string }
			if err := json.NewDecoder(strings.NewReader(line)).Decode(&last); err != nil {
				t.Fatalf("accepted %q: %v", line, err)
			}
			fingerprint, err := messages.ParseBridgeFingerprint(last.Fingerprint)
			if err != nil {
				t.Fatalf("accepted %q: %v", line, err)
			}
			if b, ok := list.Lookup(fingerprint); !ok || b.Fingerprint != fingerprint {
				t.Errorf("bridge %v is missing", fingerprint)
			}
		}
	})
}

// Poll intervals that are accepted are not negative.
func FuzzPollIntervals(f *testing.F) {
	f.Add([]byte(`{"unrestricted_poll_interval": 20000, "restricted_poll_interval": 60000}`))
	f.Add([]byte(`{"unrestricted_poll_interval": -1}`))
	f.Add([]byte(`{"restricted_poll_interval": 1e3}`))
	f.Fuzz(func(t *testing.T, file []byte) {
		p, err := snowbroker.ReadPollIntervals(bytes.NewReader(file))
		boundedError(t, err, len(file))
		if err == nil && (p.Restricted < 0 || p.Unrestricted < 0) {
			t.Errorf("accepted %+v", p)
		}
	})
}

// The broker's routes reply to anything with a status of the specification and
// a body in proportion, and to what they take for a message with a message.
func FuzzBrokerHTTP(f *testing.F) {
	for _, c := range vectors.Load(f, "broker_http").Cases {
		var in struct {
			Body, Method, Path string
			Headers            map[string]string
		}
		if err := json.Unmarshal(c.In, &in); err != nil {
			f.Fatal(err)
		}
		f.Add(in.Method, in.Path, in.Headers["Snowflake-NAT-Type"], []byte(in.Body))
	}
	handler := newBroker(f, nil)
	f.Fuzz(func(t *testing.T, method, path, nat string, body []byte) {
		if path == "/prometheus" { // the registry's own output, large and slow
			return
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, request(method, path, body, http.Header{"Snowflake-Nat-Type": {nat}}))
		switch w.Code {
		case http.StatusOK, http.StatusBadRequest, http.StatusNotFound, http.StatusServiceUnavailable,
			http.StatusGatewayTimeout:
		case http.StatusMovedPermanently, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
			// The router's, for a path that is not clean.
		default:
			t.Errorf("status %d", w.Code)
		}
		bounded(t, "reply", w.Body.Len(), len(path)+len(body))
		if w.Code == http.StatusOK && method != http.MethodOptions && w.Body.Len() > 0 {
			replyReads(t, path, body, w.Body.Bytes())
		}
	})
}

// replyReads fails the test if a peer could not read a reply with status 200.
func replyReads(t *testing.T, path string, body, reply []byte) {
	t.Helper()
	var err error
	switch path {
	case "/client":
		if !messages.IsLegacyClientPollRequest(body) {
			_, err = messages.DecodeClientPollResponse(reply)
		}
	case "/proxy":
		var r messages.ProxyPollResponse
		if r, err = messages.DecodeProxyPollResponse(reply); r.Status == messages.StatusIncorrectRelayPattern {
			err = nil
		}
	case "/answer":
		_, err = messages.DecodeProxyAnswerResponse(reply)
	}
	if err != nil {
		t.Errorf("reply %q: %v", reply, err)
	}
}

// The address that a poll is counted under is that of the connection, or a
// public one out of a header.
func FuzzHTTPClientAddress(f *testing.F) {
	for _, c := range vectors.Load(f, "small_parsers").Cases {
		var in struct {
			Forwarded string
			For       string `json:"x_forwarded_for"`
			Remote    string `json:"remote_addr"`
		}
		if err := json.Unmarshal(c.In, &in); err == nil && c.Op == "http_client_ip" {
			f.Add(in.Forwarded, in.For, in.Remote)
		}
	}
	var counted netip.Addr
	handler := newBroker(f, func(a netip.Addr) string { counted = a; return "??" })
	poll, err := messages.ProxyPollRequest{SessionID: "s", RelayPattern: new(string)}.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, forwarded, forwardedFor, remote string) {
		counted = netip.Addr{}
		r := request(http.MethodPost, "/proxy", poll, http.Header{"Forwarded": {forwarded}, "X-Forwarded-For": {forwardedFor}})
		r.RemoteAddr = remote
		handler.ServeHTTP(httptest.NewRecorder(), r)
		switch {
		case !counted.IsValid():
		case !counted.IsGlobalUnicast() || counted.IsPrivate():
			if host, err := netip.ParseAddrPort(remote); err == nil && host.Addr().Unmap() == counted {
				return
			}
			if host, err := netip.ParseAddr(strings.Trim(remote, "[]")); err != nil || host.Unmap() != counted {
				t.Errorf("counted under %v", counted)
			}
		case counted.Is4In6():
			t.Errorf("counted under %v, which is another form of an address", counted)
		}
	})
}

func request(method, path string, body []byte, header http.Header) *http.Request {
	return &http.Request{
		Method: method, URL: &url.URL{Path: path}, Header: header, Host: "broker.example",
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Body: io.NopCloser(bytes.NewReader(body)), ContentLength: -1,
	}
}

// newBroker returns the routes of a broker whose Matcher never waits.
func newBroker(f *testing.F, country func(netip.Addr) string) http.Handler {
	f.Helper()
	b, err := snowbroker.New(snowbroker.Config{Matcher: instant{}, Country: country})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(b.Close)
	return b.Handler()
}

// instant is a Matcher with one answer to each question.
type instant struct{}

func (instant) Poll(_ context.Context, p snowbroker.Poll) (snowbroker.Offer, error) {
	if p.Clients > 0 {
		return snowbroker.Offer{}, snowbroker.ErrNoClient
	}
	return snowbroker.Offer{SDP: "offer", NAT: p.NAT, Fingerprint: messages.DefaultFingerprint}, nil
}

func (instant) Offer(_ context.Context, o snowbroker.Offer) (snowbroker.Answer, error) {
	switch o.NAT {
	case messages.NATRestricted:
		return snowbroker.Answer{}, snowbroker.ErrNoProxies
	case messages.NATUnrestricted:
		return snowbroker.Answer{}, snowbroker.ErrTimedOut
	}
	return snowbroker.Answer{SDP: o.SDP, Type: messages.ProxyStandalone}, nil
}

func (instant) Answer(_ context.Context, id snowbroker.ProxyID, _ snowbroker.Answer) error {
	if len(id) > 1 {
		return snowbroker.ErrClientGone
	}
	return nil
}

func (instant) Stats() snowbroker.Stats { return snowbroker.Stats{} }
