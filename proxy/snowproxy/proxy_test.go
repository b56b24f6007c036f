package snowproxy

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"flurry/common/carrier"
	"flurry/common/carrier/rtc"
	"flurry/common/messages"
	"flurry/common/sdp"
)

func TestConfigFaultsAreAllReported(t *testing.T) {
	_, err := New(Config{
		BrokerURL: "snowflake.example", RelayURL: "http://h/", NATProbeURL: "::",
		PollInterval: time.Second, RelayPattern: "example.com", Capacity: -1,
		NATRetestInterval: -1, SummaryInterval: -1, PortMin: 20, PortMax: 10,
		OutboundAddress: netip.MustParseAddr("192.0.2.1"), KeepLocalAddresses: true,
		STUNServers: []string{"turn:h"},
	})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"broker URL", "relay URL", "probe server URL", "poll interval", "relay pattern", "capacity",
		"retest interval", "summary interval", "port range", "outbound address", "turn:h"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
	if err := (Config{}).Validate(); err != nil {
		t.Errorf("the zero value: %v", err)
	}
}

// network is a broker whose clients come by WebRTC.
type network struct {
	fakeBroker
	clients chan waitingClient

	mu     sync.Mutex
	served map[string]waitingClient // by session id; guarded by mu
}

type waitingClient struct {
	offer  string
	answer chan string // buffered
}

func newNetwork(relay string) *network {
	n := &network{clients: make(chan waitingClient), served: make(map[string]waitingClient)}
	n.poll = func(ctx context.Context, req messages.ProxyPollRequest) (any, error) {
		select {
		case c := <-n.clients:
			n.mu.Lock()
			n.served[req.SessionID] = c
			n.mu.Unlock()
			return messages.ProxyPollResponse{Status: messages.StatusClientMatch, Offer: c.offer, RelayURL: relay, NextPoll: time.Second}, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	n.answer = func(req messages.ProxyAnswerRequest) (any, error) {
		n.mu.Lock()
		c, ok := n.served[req.SessionID]
		delete(n.served, req.SessionID)
		n.mu.Unlock()
		if !ok {
			return messages.ProxyAnswerResponse{Status: messages.StatusClientGone}, nil
		}
		c.answer <- req.Answer
		return messages.ProxyAnswerResponse{Status: messages.StatusSuccess}, nil
	}
	return n
}

// signal is the client's side.
func (n *network) signal(ctx context.Context, offer string) (string, error) {
	c := waitingClient{offer, make(chan string, 1)}
	select {
	case n.clients <- c:
	case <-ctx.Done():
		return "", ctx.Err()
	}
	select {
	case a := <-c.answer:
		return a, nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// real makes cfg use WebRTC and WebSocket on the loopback.
func (n *network) real(cfg *Config, relay string) {
	cfg.HTTP, cfg.RelayURL = &n.fakeBroker, relay
	cfg.Upstream, cfg.Answerer = nil, nil
	cfg.STUNServers = []string{}
	cfg.KeepLocalAddresses, cfg.AllowNonTLSRelay, cfg.AllowPrivateRelays = true, true, true
	cfg.RelayPattern = "^127.0.0.1$"
}

// exchange sends n bytes through c, which sends them back, and compares.
func exchange(t *testing.T, c carrier.Conn, n int) {
	t.Helper()
	sent, got := sha256.New(), sha256.New()
	done := make(chan error, 1)
	go func() {
		buf := make([]byte, pumpBuffer)
		for left := n; left > 0; {
			k, err := c.Recv(buf)
			if err != nil {
				done <- err
				return
			}
			got.Write(buf[:k])
			left -= k
		}
		done <- nil
	}()
	for left := n; left > 0; {
		msg := bytes.Repeat([]byte{byte(left)}, min(left, 1403))
		if err := c.Send(context.Background(), msg); err != nil {
			t.Error(err)
			return
		}
		sent.Write(msg)
		left -= len(msg)
	}
	if err := <-done; err != nil || !bytes.Equal(sent.Sum(nil), got.Sum(nil)) {
		t.Errorf("%d bytes came back changed: %v", n, err)
	}
}

// Several proxies in one process, real carriers on the loopback: clients are
// served at the same time, each by one proxy, and all of it ends.
func TestSeveralProxiesServeClients(t *testing.T) {
	relay := newRelayServer(t)
	address := "ws" + strings.TrimPrefix(relay.URL, "http") + "/"
	n := newNetwork(address)
	const proxies, clients = 3, 6
	var stops []func()
	var logs []*eventLog
	for range proxies {
		log := newEventLog()
		logs = append(logs, log)
		stops = append(stops, start(t, newProxy(t, &n.fakeBroker, func(c *Config) {
			n.real(c, address)
			c.OnEvent = log.hear
		})))
	}
	endpoint, err := rtc.New(rtc.Config{KeepLocalAddresses: true})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var wg sync.WaitGroup
	conns := make([]*rtc.Conn, clients)
	for i := range conns {
		wg.Go(func() {
			c, err := endpoint.Dial(ctx, "", n.signal)
			if err != nil {
				t.Errorf("client %d: %v", i, err)
				return
			}
			conns[i] = c
			exchange(t, c, 300_000)
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	for i := range clients / 2 {
		conns[i].Close()
	}
	over := 0
	for over < clients/2 { // the proxies notice
		for _, l := range logs {
			over += l.count(EventConnectionOver)
		}
		if over < clients/2 {
			over = 0
		}
		if ctx.Err() != nil {
			t.Fatal("proxies do not notice that clients have left")
		}
		<-time.After(10 * time.Millisecond)
	}
	for _, stop := range stops {
		stop()
	}
	for i := clients / 2; i < clients; i++ {
		if _, err := conns[i].Recv(make([]byte, pumpBuffer)); err == nil {
			t.Errorf("client %d is still being served", i)
		}
		conns[i].Close()
	}
	connected := 0
	for _, l := range logs {
		connected += l.count(EventClientConnected)
	}
	if connected != clients {
		t.Errorf("%d clients connected, want %d", connected, clients)
	}
}

// The proxy's answers promise that messages are handed on whole, and they are,
// up and down: every message that the relay sends back is one that was sent.
func TestProxyKeepsMessageEdges(t *testing.T) {
	relay := newRelayServer(t)
	address := "ws" + strings.TrimPrefix(relay.URL, "http") + "/"
	n := newNetwork(address)
	defer start(t, newProxy(t, &n.fakeBroker, func(c *Config) { n.real(c, address) }))()
	endpoint, err := rtc.New(rtc.Config{KeepLocalAddresses: true})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := endpoint.DialKind(ctx, "", n.signal, func(answer string) rtc.Kind {
		if !sdp.KeepsEdges(answer) {
			t.Error("the answer does not promise to keep message edges")
		}
		return rtc.Unordered
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	largest := c.Traits().MaxMessage
	under := map[string]bool{}
	for i := range 500 {
		msg := bytes.Repeat([]byte{byte(i), byte(i >> 8)}, largest/2)[:1+(i*37)%largest]
		under[string(msg)] = true
		if err := c.Send(ctx, msg); err != nil {
			t.Fatal(err)
		}
	}
	buf := make([]byte, pumpBuffer)
	for len(under) > 0 {
		k, err := c.Recv(buf)
		if err != nil {
			t.Fatal(err)
		}
		if !under[string(buf[:k])] {
			t.Fatalf("a message of %d bytes that was not sent", k)
		}
		delete(under, string(buf[:k]))
	}
}

// A proxy with carriers of its own to the relay promises nothing about them.
func TestOtherUpstreamsPromiseNoEdges(t *testing.T) {
	for upstream, want := range map[Upstream]bool{nil: true, &dialer{}: false} {
		w, err := newWebRTC(Config{Upstream: upstream, KeepLocalAddresses: true})
		if err != nil {
			t.Fatal(err)
		}
		client, err := rtc.New(rtc.Config{KeepLocalAddresses: true})
		if err != nil {
			t.Fatal(err)
		}
		enough := errors.New("enough")
		_, err = client.Dial(context.Background(), "", func(ctx context.Context, offer string) (string, error) {
			p, err := w.Answer(ctx, offer)
			if err != nil {
				return "", err
			}
			defer p.Close()
			d, err := sdp.Parse(p.Answer())
			if err == nil && sdp.KeepsEdges(d.SDP) != want {
				t.Errorf("upstream %T: the answer promises edges: %v", upstream, !want)
			}
			return "", errors.Join(enough, err)
		})
		if !errors.Is(err, enough) {
			t.Error(err)
		}
	}
}

// The last bytes of a client reach the relay though it closes right behind
// them, over real carriers.
func TestLastBytesReachTheRelay(t *testing.T) {
	relay, got := newSinkServer(t)
	n := newNetwork(relay)
	stop := start(t, newProxy(t, &n.fakeBroker, func(c *Config) {
		n.real(c, relay)
	}))
	defer stop()
	endpoint, err := rtc.New(rtc.Config{KeepLocalAddresses: true})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for _, size := range []int{8, 100_000} {
		c, err := endpoint.Dial(ctx, "", n.signal)
		if err != nil {
			t.Fatal(err)
		}
		for left := size; left > 0; left -= min(left, 1000) {
			if err := c.Send(ctx, make([]byte, min(left, 1000))); err != nil {
				t.Fatal(err)
			}
		}
		c.Close()
		select {
		case k := <-got:
			if k != size {
				t.Errorf("%d of %d bytes arrived", k, size)
			}
		case <-ctx.Done():
			t.Fatal("the relay's connection does not end")
		}
	}
}

// Clients that vanish with their answer leave nothing behind when the proxy
// ends, nor do the early carriers to their relay.
func TestRunEndsWhileClientsAreOnTheirWay(t *testing.T) {
	relay := newRelayServer(t)
	address := "ws" + strings.TrimPrefix(relay.URL, "http") + "/"
	n := newNetwork(address)
	p := newProxy(t, &n.fakeBroker, func(c *Config) { n.real(c, address) })
	stop := start(t, p)
	endpoint, err := rtc.New(rtc.Config{KeepLocalAddresses: true})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	vanish := errors.New("the user has gone")
	for range 3 {
		_, err := endpoint.Dial(ctx, "", func(ctx context.Context, offer string) (string, error) {
			if _, err := n.signal(ctx, offer); err != nil {
				t.Error(err)
			}
			return "", vanish
		})
		if !errors.Is(err, vanish) {
			t.Fatal(err)
		}
	}
	if serving := p.serving.Load(); serving != 3 {
		t.Errorf("%d sessions, want 3", serving)
	}
	stop()
	if out := p.tokens.out.Load(); out != 0 {
		t.Errorf("%d tokens out", out)
	}
}

func TestClientAddressComesFromTheOffer(t *testing.T) {
	seen := make(chan netip.Addr, 10)
	p := newProxy(t, &fakeBroker{}, func(c *Config) {
		c.Upstream = fakeUpstream(func(_ context.Context, _ *url.URL, a netip.Addr) (carrier.Conn, error) {
			seen <- a
			return nil, context.Canceled
		})
		c.Answerer = &fakeAnswerer{open: func(context.Context) (carrier.Conn, error) { return nil, context.Canceled }}
	})
	p.session(context.Background(), "sid", match(0))
	if a := <-seen; a != netip.MustParseAddr("203.0.113.7") {
		t.Errorf("client_ip %v", a)
	}
}
