package snowproxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"flurry/common/carrier"
	"flurry/common/carrier/carriertest"
	"flurry/common/messages"
	"flurry/common/sdp"
)

// patience bounds waits that only a failure makes long.
const patience = 30 * time.Second

// fakeBroker is a broker without a network: an http.RoundTripper.
type fakeBroker struct {
	// poll and answer make the replies; nil means "no match" and "success".
	poll   func(ctx context.Context, req messages.ProxyPollRequest) (any, error)
	answer func(req messages.ProxyAnswerRequest) (any, error)

	mu    sync.Mutex
	polls []pollSeen // guarded by mu
}

// pollSeen is one poll and when it came.
type pollSeen struct {
	at  time.Time
	req messages.ProxyPollRequest
}

func (b *fakeBroker) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	var reply any
	switch {
	case strings.HasSuffix(r.URL.Path, "/proxy"):
		req, err := messages.DecodeProxyPollRequest(body)
		if err != nil {
			return response(http.StatusBadRequest, nil), nil
		}
		b.mu.Lock()
		b.polls = append(b.polls, pollSeen{time.Now(), req})
		b.mu.Unlock()
		reply = messages.ProxyPollResponse{Status: messages.StatusNoMatch}
		if b.poll != nil {
			if reply, err = b.poll(r.Context(), req); err != nil {
				return nil, err
			}
		}
	case strings.HasSuffix(r.URL.Path, "/answer"):
		req, err := messages.DecodeProxyAnswerRequest(body)
		if err != nil {
			return response(http.StatusBadRequest, nil), nil
		}
		reply = messages.ProxyAnswerResponse{Status: messages.StatusSuccess}
		if b.answer != nil {
			if reply, err = b.answer(req); err != nil {
				return nil, err
			}
		}
	default:
		return response(http.StatusNotFound, nil), nil
	}
	text, err := encodeReply(reply)
	return response(http.StatusOK, text), err
}

func encodeReply(reply any) ([]byte, error) {
	switch r := reply.(type) {
	case messages.ProxyPollResponse:
		return r.Encode()
	case messages.ProxyAnswerResponse:
		return r.Encode()
	case string:
		return []byte(r), nil
	}
	return nil, errors.New("unknown kind of reply")
}

func response(status int, body []byte) *http.Response {
	return &http.Response{StatusCode: status, Body: io.NopCloser(bytes.NewReader(body))}
}

func (b *fakeBroker) seen() []pollSeen {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]pollSeen(nil), b.polls...)
}

// description returns a session description in its wrapper.
func description(kind string) string {
	return sdp.Description{Type: kind, SDP: "v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n" +
		"m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\n" +
		"a=candidate:1 1 udp 1 203.0.113.7 9 typ host\r\n"}.String()
}

// match is a poll response that brings a client.
func match(next time.Duration) messages.ProxyPollResponse {
	return messages.ProxyPollResponse{Status: messages.StatusClientMatch, Offer: description("offer"),
		NAT: messages.NATUnknown, NextPoll: next}
}

// fakeAnswerer hands out carriers made by open; nil means one that never opens.
type fakeAnswerer struct {
	answer func(ctx context.Context, offer string) error
	open   func(ctx context.Context) (carrier.Conn, error)
}

func (a *fakeAnswerer) Answer(ctx context.Context, offer string) (PendingCarrier, error) {
	if a.answer != nil {
		if err := a.answer(ctx, offer); err != nil {
			return nil, err
		}
	}
	return fakePending{a}, nil
}

type fakePending struct{ a *fakeAnswerer }

func (p fakePending) Answer() string { return description("answer") }
func (p fakePending) Close()         {}
func (p fakePending) Wait(ctx context.Context) (carrier.Conn, error) {
	if p.a.open == nil {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return p.a.open(ctx)
}

// fakeUpstream connects by function.
type fakeUpstream func(ctx context.Context, relay *url.URL, client netip.Addr) (carrier.Conn, error)

func (u fakeUpstream) Connect(ctx context.Context, relay *url.URL, client netip.Addr) (carrier.Conn, error) {
	return u(ctx, relay, client)
}

// anyUpstream is always there and says nothing.
func anyUpstream(context.Context, *url.URL, netip.Addr) (carrier.Conn, error) {
	near, _ := carriertest.Pair(carriertest.Options{})
	return near, nil
}

// newProxy returns a Proxy on fakes; change may alter its Config.
func newProxy(t *testing.T, b *fakeBroker, change func(*Config)) *Proxy {
	t.Helper()
	cfg := Config{
		HTTP:              b,
		Answerer:          &fakeAnswerer{},
		Upstream:          fakeUpstream(anyUpstream),
		ForceUnrestricted: true,
	}
	if change != nil {
		change(&cfg)
	}
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// start runs p and returns a function that ends it and waits for its end.
func start(t *testing.T, p *Proxy) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	return func() {
		t.Helper()
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(patience):
			t.Fatal("Run does not return")
		}
	}
}

// eventLog collects events.
type eventLog struct {
	mu   sync.Mutex
	list []Event // guarded by mu

	all      chan Event
	patience time.Duration // of next; set before use
}

func newEventLog() *eventLog { return &eventLog{all: make(chan Event, 10_000), patience: patience} }

func (l *eventLog) hear(e Event) {
	l.mu.Lock()
	l.list = append(l.list, e)
	l.mu.Unlock()
	l.all <- e
}

func (l *eventLog) count(k EventKind) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.list {
		if e.Kind == k {
			n++
		}
	}
	return n
}

// next waits for an event of kind k.
func (l *eventLog) next(t *testing.T, k EventKind) Event {
	t.Helper()
	limit := time.After(l.patience)
	for {
		select {
		case e := <-l.all:
			if e.Kind == k {
				return e
			}
		case <-limit:
			t.Fatalf("event %q does not come", Event{Kind: k})
		}
	}
}
