package interop

import (
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"flurry/test/netlab"
	"flurry/test/stage"
)

// Addresses of the hosts of TestNAT. The STUN server has two.
const (
	infraIP  = "198.18.0.10"
	infraIP2 = "198.18.0.11"
	probeIP  = "198.18.0.20"
	natURL   = "http://" + infraIP + ":8080/"
	natRelay = "ws://" + infraIP + ":9000/"
	natSTUN  = "stun:" + infraIP + ":3478"
	natProbe = "http://" + probeIP + ":8443/probe"
)

// A natSystem is broker, server, STUN and probe service on an internet of hosts with and without NAT.
type natSystem struct {
	*internet
	ours    stage.Programs
	infra   *netlab.Host
	clients map[netlab.NAT]*netlab.Host
	proxies map[netlab.NAT]*netlab.Host
}

func newNATSystem(t *testing.T) *natSystem {
	t.Helper()
	s := &natSystem{internet: newInternet(t), ours: programs(t), clients: map[netlab.NAT]*netlab.Host{}, proxies: map[netlab.NAT]*netlab.Host{}}
	s.infra = s.addHost("infra", netlab.Open, infraIP, infraIP2)
	for i, kind := range []netlab.NAT{netlab.Open, netlab.PortRestricted, netlab.Symmetric} {
		s.clients[kind] = s.addHost(fmt.Sprintf("client%d", i), kind, fmt.Sprintf("198.18.1.%d", i+1))
		s.proxies[kind] = s.addHost(fmt.Sprintf("proxy%d", i), kind, fmt.Sprintf("198.18.2.%d", i+1))
	}
	s.startServices()
	return s
}

// startServices starts what stands in no user's home.
func (s *natSystem) startServices() {
	s.t.Helper()
	s.start("coturn", nil, s.infra.Command(need(s.t, "turnserver", "coturn"), "-n", "-L", infraIP, "-L", infraIP2, "-p", "3478",
		"--stun-only", "--no-auth", "--no-tls", "--no-dtls", "--no-cli", "--no-tcp", "--log-file", "stdout", "--simple-log",
		"--pidfile", filepath.Join(s.dir, "coturn.pid"), "--userdb", filepath.Join(s.dir, "coturn.db"))...)
	server := s.start("server", []string{"TOR_PT_MANAGED_TRANSPORT_VER=1", "TOR_PT_SERVER_TRANSPORTS=snowflake",
		"TOR_PT_SERVER_BINDADDR=snowflake-" + infraIP + ":9000", "TOR_PT_ORPORT=" + s.serveFiles(s.infra)},
		s.infra.Command(s.ours.Server, "-disable-tls", "-unsafe-logging")...)
	bridges := s.write("bridges.jsonl", fmt.Sprintf(`{"displayName":"nat","webSocketAddress":%q,"fingerprint":%q}`, natRelay, stage.DefaultFingerprint))
	polls := s.write("poll.json", `{"unrestricted_poll_interval":1000,"restricted_poll_interval":1000}`)
	s.start("broker", nil, s.infra.Command(s.ours.Broker, "-disable-tls", "-disable-geoip", "-unsafe-logging", "-addr", infraIP+":8080",
		"-bridge-list-path", bridges, "-poll-interval-filepath", polls, "-allowed-relay-pattern", "^"+infraIP+"$", "-metrics-log", filepath.Join(s.dir, "metrics.log"))...)
	// The probe service is the hardest peer there is; only HTTP reaches it through its NAT.
	probe := s.addHost("probe", netlab.Symmetric, probeIP)
	if err := probe.Forward(8443); err != nil {
		s.t.Fatal(err)
	}
	probetest := filepath.Join(binDir(), "probetest")
	s.run(".", "", "go", "build", "-o", probetest, "flurry/broker/probetest")
	s.start("probetest", nil, probe.Command(probetest, "-disable-tls", "-addr", ":8443", "-stun", natSTUN, "-unsafe-logging")...)

	eventually(s.t, startLimit, "the server listens", server.output, func() bool { return strings.Contains(server.output(), "SMETHODS DONE") })
	for _, addr := range []string{infraIP + ":8080", probeIP + ":8443"} {
		eventually(s.t, startLimit, addr+" takes connections", nil, func() bool {
			return s.clients[netlab.Open].Do(func() error {
				c, err := net.Dial("tcp4", addr)
				if err == nil {
					c.Close()
				}
				return err
			}) == nil
		})
	}
}

// startProxy starts a volunteer behind that kind of NAT and waits until it has found out what it has.
func (s *natSystem) startProxy(kind netlab.NAT, finds string) *program {
	s.t.Helper()
	p := s.start("proxy-"+string(kind), nil, s.proxies[kind].Command(s.ours.Proxy, "-broker", natURL, "-stun", natSTUN, "-relay", natRelay,
		"-allow-non-tls-relay", "-allowed-relay-hostname-pattern", "^"+infraIP+"$", "-nat-probe-server", natProbe, "-verbose", "-unsafe-logging")...)
	eventually(s.t, startLimit, "the proxy finds out its NAT type", p.output, func() bool {
		return strings.Contains(p.output(), "NAT type: ")
	})
	if !strings.Contains(p.output(), "NAT type: "+finds) {
		s.t.Errorf("the %s proxy finds not that it is %s:\n%s", kind, finds, p.output())
	}
	return p
}

// TestNAT connects clients and volunteers behind NATs of the kernel, each knowing nothing but what STUN and the probe
// service tell it.
func TestNAT(t *testing.T) {
	t.Parallel() // It mostly waits.
	s := newNATSystem(t)
	for _, proxy := range []struct {
		kind  netlab.NAT
		finds string
	}{{netlab.Open, "unrestricted"}, {netlab.PortRestricted, "restricted"}, {netlab.Symmetric, "restricted"}} {
		p := s.startProxy(proxy.kind, proxy.finds)
		for _, client := range []struct {
			kind  netlab.NAT
			finds string
		}{{netlab.Open, "unrestricted"}, {netlab.PortRestricted, "unrestricted"}, {netlab.Symmetric, "restricted"}} {
			if client.kind == netlab.PortRestricted && proxy.kind == netlab.Symmetric {
				continue // This pair is matched and cannot connect: whether a NAT lets strangers in is not found out.
			}
			name := fmt.Sprintf("%s client, %s proxy", client.kind, proxy.kind)
			t.Run(name, func(t *testing.T) {
				host := s.clients[client.kind]
				c := s.startClient(strings.ReplaceAll(name, " ", "-"), s.ours.Client, host.Command(), nil, "-url", natURL, "-ice", natSTUN)
				defer c.kill()
				if client.finds == "restricted" && proxy.finds == "restricted" {
					s.checkRefused(t, c, host)
					return
				}
				if err := c.getOn(t, host, 1_000_000); err != nil {
					t.Fatalf("%v\n%s", err, c.output())
				}
				if log := tail(filepath.Join(s.dir, strings.ReplaceAll(name, " ", "-")+".log"), 100); !strings.Contains(log, "nat="+client.finds) {
					t.Errorf("the client finds not that it is %s:\n%s", client.finds, log)
				}
			})
		}
		p.kill()
	}
}

// checkRefused checks that a client hears that there is nobody for it.
func (s *natSystem) checkRefused(t *testing.T, c *ptClient, on *netlab.Host) {
	t.Helper()
	err := on.Do(func() error {
		conn, err := stage.DialSOCKS(t.Context(), c.addr, nil)
		if err == nil {
			t.Cleanup(func() { conn.Close() })
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, startLimit, "the broker has no proxy for this client", c.output, func() bool {
		return strings.Contains(c.output(), "no snowflake proxies currently available")
	})
	if strings.Contains(c.output(), "broker rendezvous peer received") {
		t.Errorf("the client was given a proxy that it cannot reach:\n%s", c.output())
	}
}
