package interop

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/net/proxy"

	"flurry/common/sdp"
	"flurry/test/stage"
)

// outsideIP is the address that the client of these tests has on the outside of its NAT, RFC 5737.
const outsideIP = "203.0.113.7"

// A torSystem is a Tor network whose client reaches its bridge through our four programs.
type torSystem struct {
	*torNet
	stage     *stage.Stage
	bridge    *torNode
	client    *torNode
	socksPort int
}

func newTorSystem(t *testing.T) *torSystem {
	n := newTorNet(newLab(t))
	p := programs(t)
	ports := freePorts(t, 3)
	orPort, listenPort, socksPort := ports[0], ports[1], ports[2]
	s := &torSystem{torNet: n, socksPort: socksPort}

	// The stage's own server and client stand idle: tor starts its own.
	relay := fmt.Sprintf("ws://127.0.0.1:%d/", listenPort)
	s.bridge = n.relay("bridge", orPort, "BridgeRelay 1", "PublishServerDescriptor 0", "ExtORPort auto",
		fmt.Sprintf("ServerTransportPlugin snowflake exec %s -disable-tls -unsafe-logging -log %s", p.Server, filepath.Join(n.dir, "server.log")),
		fmt.Sprintf("ServerTransportListenAddr snowflake 127.0.0.1:%d", listenPort))
	n.startNode(s.bridge)
	// One client each, so that a volunteer in use is one that does not poll.
	s.stage = newStage(t, stage.Options{Programs: p, Proxies: 1, RelayURL: relay, ProxyArgs: []string{"-capacity=1"}})
	s.addBridge(t, relay)

	s.client = n.node("client", fmt.Sprintf("SocksPort 127.0.0.1:%d", socksPort), "UseBridges 1",
		fmt.Sprintf("ClientTransportPlugin snowflake exec %s -keep-local-addresses -unsafe-logging -log %s", p.Client, filepath.Join(n.dir, "client.log")),
		fmt.Sprintf("Bridge snowflake 192.0.2.3:80 %[1]s fingerprint=%[1]s url=%s ice=%s", s.bridge.fingerprint, s.stage.BrokerURL(), startOutsideSTUN(t)))
	t.Cleanup(func() {
		if t.Failed() {
			for _, name := range []string{"client.log", "server.log"} {
				t.Logf("end of %s:\n%s", name, tail(filepath.Join(n.dir, name), 25))
			}
		}
	})
	n.waitConsensus()
	return s
}

// addBridge puts the bridge into the broker's list, which the broker reads when it starts.
func (s *torSystem) addBridge(t *testing.T, relay string) {
	t.Helper()
	file := filepath.Join(s.stage.Dir(), "bridges.jsonl")
	line := fmt.Sprintf(`{"displayName":"tor","webSocketAddress":%q,"fingerprint":%q}`+"\n", relay, s.bridge.fingerprint)
	if err := os.WriteFile(file, []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.stage.RestartBroker(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestTor runs real tor over our four programs, from the first byte to the last.
func TestTor(t *testing.T) {
	t.Parallel() // It mostly waits.
	s := newTorSystem(t)
	site := startSlowSite(t)

	s.startNode(s.client)
	s.client.bootstrapped(t)
	if info, err := s.client.getInfo("entry-guards"); err != nil || !strings.Contains(info, s.bridge.fingerprint) {
		t.Errorf("the client's guard is not the bridge: %q %v", info, err)
	}

	t.Run("three hops", func(t *testing.T) {
		var hops []string
		s.fetch(t, site, 1, 5_000_000, 1_000_000, func() { hops = s.client.circuitOf(t, site.addr) })
		if len(hops) != 3 || hops[0] != "bridge" || hops[1] == hops[2] ||
			slices.ContainsFunc(hops[1:], func(h string) bool { return h != "authority" && h != "one" && h != "two" }) {
			t.Errorf("the circuit is %q, want the bridge and two of the relays", hops)
		}
	})

	t.Run("what the bridge knows", func(t *testing.T) {
		log, err := os.ReadFile(s.bridge.file("debug.log"))
		if err != nil {
			t.Fatal(err)
		}
		seen := regexp.MustCompile(`Seen client from '(\S+)' with transport '(\S+)'`).FindStringSubmatch(string(log))
		if seen == nil || seen[2] != "snowflake" || !slices.Contains(clientAddrs(t), seen[1]) {
			t.Errorf("the bridge has seen %q, want transport snowflake and a client from one of %q", seen, clientAddrs(t))
		}
	})

	t.Run("the volunteer in use dies", func(t *testing.T) {
		inUse := s.stage.Proxies()[0]
		ctx, cancel := context.WithTimeout(t.Context(), startLimit)
		defer cancel()
		if _, err := s.stage.StartProxy(ctx, stage.ProxyOptions{}); err != nil {
			t.Fatal(err)
		}
		s.fetch(t, site, 2, 20_000_000, 4_000_000, func() {
			// One has its client, so the one that waits is the spare.
			if err := s.stage.WaitAvailable(ctx, 1); err != nil {
				t.Fatal(err)
			}
			inUse.Kill()
		})
		if left := s.stage.Proxies(); len(left) != 1 || left[0] == inUse {
			t.Errorf("%d volunteers are left", len(left))
		}
	})

	t.Run("the transports end with tor", func(t *testing.T) {
		s.endsWithTor(t, s.client, "client", syscall.SIGTERM)
		s.endsWithTor(t, s.bridge, "server", syscall.SIGTERM)
		// And when it has no time to tell them.
		s.startNode(s.client)
		s.endsWithTor(t, s.client, "client", syscall.SIGKILL)
		s.startNode(s.bridge)
		s.endsWithTor(t, s.bridge, "server", syscall.SIGKILL)
	})
}

// clientAddrs are the addresses by which a client on this machine may be known: that on the outside of its NAT, and those
// of the machine itself that belong to no local network.
func clientAddrs(t *testing.T) []string {
	t.Helper()
	own, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	known := []string{outsideIP}
	for _, a := range own {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil && !sdp.IsLocal(prefix.Addr()) {
			known = append(known, prefix.Addr().String())
		}
	}
	return known
}

// fetch downloads a file through tor. After some of it has come it calls then; the site keeps the end of the file until
// that has returned.
func (s *torSystem) fetch(t *testing.T, site *slowSite, seed uint64, size, some int64, then func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), sessionLimit)
	defer cancel()
	dialer, err := proxy.SOCKS5("tcp", fmt.Sprintf("127.0.0.1:%d", s.socksPort), nil, &net.Dialer{})
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: dialer.(proxy.ContextDialer).DialContext}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://%s/?seed=%d&size=%d", site.addr, seed, size), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	h := sha256.New()
	if _, err := io.CopyN(h, resp.Body, some); err != nil {
		t.Fatal(err)
	}
	then()
	site.finish <- struct{}{}
	n, err := io.Copy(h, resp.Body)
	if err != nil || some+n != size {
		t.Fatalf("got %d of %d bytes: %v", some+n, size, err)
	}
	if got, want := hex.EncodeToString(h.Sum(nil)), stage.Checksum(seed, size); got != want {
		t.Errorf("SHA-256 %s, want %s", got, want)
	}
}

// endsWithTor ends a tor by a signal and waits until the transport that it had started is gone too.
func (s *torSystem) endsWithTor(t *testing.T, node *torNode, transport string, sig syscall.Signal) {
	t.Helper()
	var pid int
	eventually(t, startLimit, "tor "+node.nickname+" starts its transport", node.state, func() bool {
		for _, child := range children(t, node.cmd.Process.Pid) {
			if exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", child)); err == nil && filepath.Base(exe) == transport {
				pid = child
			}
		}
		return pid != 0
	})
	node.signal(t, sig)
	eventually(t, startLimit, fmt.Sprintf("the transport ends after tor got %v", sig), nil, func() bool { return !running(pid) })
}
