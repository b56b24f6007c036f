package webext

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/pion/stun/v3"

	"flurry/test/browsers"
)

// Names that both browsers take for this machine's. Only the first is under the pattern of TestRelayRefused.
const (
	relayName = "bridge.relay.test"
	otherName = "bridge-relay.test"
)

// publicAddress is what the STUN server here tells volunteers, of a block for documentation (RFC 5737): without an address that
// strangers could reach they do not answer.
const publicAddress = "203.0.113.7"

// A refusal is a rule that a volunteer may have for relays' names, and relays at this machine, with %d for their port, that are to be
// refused all the same.
type refusal struct {
	pattern string
	relays  []string
}

// refusals has private addresses in all their forms where every name is allowed, and what is wrong with names and schemes.
func refusals() map[string]refusal {
	return map[string]refusal{
		"private": {"$", []string{"wss://127.0.0.1:%d/", "wss://127.1:%d/", "wss://0x7f000001:%d/", "wss://2130706433:%d/",
			"wss://0.0.0.0:%d/", "wss://[::1]:%d/", "wss://[::ffff:127.0.0.1]:%d/", "wss://localhost:%d/", "wss://LocalHost.:%d/",
			"wss://relay.localhost:%d/", "https://127.0.0.1:%d/", "wss://10.0.0.1:%d/", "wss://[fd00::1]:%d/", "wss://169.254.169.254:%d/"}},
		"outside": {".relay.test$", []string{"ws://" + relayName + ":%d/", "http://" + relayName + ":%d/", "//" + relayName + ":%d/",
			"wss://" + otherName + ":%d/", "wss://" + relayName + "@" + otherName + ":%d/", "wss://" + otherName + ":%d/" + relayName,
			"javascript:alert(%d)", "data:,%d", "wss:" + strings.Repeat("/", 10_000) + "%d"}},
	}
}

// TestRelayRefused names relays to which no volunteer must be led, then one that is right. A build for tests plays a release here,
// which does not keep local addresses.
func TestRelayRefused(t *testing.T) {
	forEach(t, func(ctx context.Context, t *testing.T, kind browsers.Kind) {
		for name, r := range refusals() {
			t.Run(name, func(t *testing.T) { r.check(ctx, t, kind) })
		}
	})
}

func (r *refusal) check(ctx context.Context, t testing.TB, kind browsers.Kind) {
	t.Helper()
	broker := newFakeBroker(t)
	ln := listen(t)
	accepted := countConnections(t, ln)
	port := ln.Addr().(*net.TCPAddr).Port
	right := fmt.Sprintf("wss://%s:%d/", relayName, port)
	v := newVolunteer(ctx, t, kind, config{Type: "webext", BrokerURL: broker.url, ProbeURL: broker.url + "probe", RelayPattern: r.pattern,
		RelayURL: right, STUNServers: []string{fakeSTUN(t)}})
	v.await("off", phase("off"))
	v.click("#toggle")
	p := newPeer(t, true)
	// Its own address counts as one that a STUN server has told, which volunteers do not leave out.
	offer := strings.ReplaceAll(p.offer(ctx, t), " typ host", " typ srflx raddr 0.0.0.0 rport 0")
	for _, relay := range r.relays {
		broker.match(ctx, t, offer, fmt.Sprintf(relay, port))
		v.retry() // Faster than the next poll that is due.
		select {
		case <-broker.answers:
			t.Errorf("a client was answered, whose relay is %.100s, or the one before", relay)
		default:
		}
	}
	if n := accepted.Load(); n != 0 {
		t.Errorf("%d connections at relays that are to be refused", n)
	}
	broker.meetWith(ctx, t, p, offer, right)
	err := until(ctx, func() (bool, string) { return accepted.Load() > 0, "nobody comes to the right relay" })
	if err != nil {
		t.Error(err)
	}
}

// countConnections accepts connections and ends them.
func countConnections(t testing.TB, ln net.Listener) *atomic.Int64 {
	t.Helper()
	var n atomic.Int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			n.Add(1)
			c.Close()
		}
	}()
	t.Cleanup(func() {
		ln.Close()
		<-done
	})
	return &n
}

// fakeSTUN tells everybody that their address is publicAddress.
func fakeSTUN(t testing.TB) (url string) {
	t.Helper()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(b)
			if err != nil {
				return
			}
			m := &stun.Message{Raw: append([]byte(nil), b[:n]...)}
			if m.Decode() != nil || m.Type != stun.BindingRequest {
				continue
			}
			told := &stun.XORMappedAddress{IP: net.ParseIP(publicAddress), Port: from.(*net.UDPAddr).Port}
			if reply, err := stun.Build(m, stun.BindingSuccess, told, stun.Fingerprint); err == nil {
				conn.WriteTo(reply.Raw, from) //nolint:errcheck // Whoever asked will ask again.
			}
		}
	}()
	t.Cleanup(func() {
		conn.Close()
		<-done
	})
	return "stun:" + conn.LocalAddr().String()
}
