package netem

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"flurry/common/simnet/line"
	"flurry/test/netlab"
	"flurry/test/stage"
)

const mbit = 1e6 / 8 // bytes a second

// testLimit bounds each test. None needs half of it.
const testLimit = 3 * time.Minute

// Addresses of the hosts.
const (
	infraIP, infraIP2 = "198.18.0.10", "198.18.0.11"
	bridgeIP          = "198.18.0.20"
	clientIP          = "198.18.1.1"
	proxyNet          = "198.18.2."
)

// A plan says what stands where: one host for all clients, one for the server, one for broker and STUN server, and one for
// each volunteer. Each host's line is the same both ways.
type plan struct {
	client, proxy, infra line.Shape
	proxies              int
	options              stage.Options // without Network
}

// A bed is a stage on shaped lines.
type bed struct {
	*stage.Stage
	ctx            context.Context
	client, bridge *netlab.Host
	proxies        []*netlab.Host
}

// newBed starts a bed that ends with the test, and must end cleanly.
func newBed(t *testing.T, p plan) *bed {
	t.Helper()
	if err := netlab.Missing(); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), testLimit)
	t.Cleanup(cancel)
	n, err := netlab.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	seed := uint64(0)
	host := func(name string, s line.Shape, addrs ...string) *netlab.Host {
		up, down := s, s
		up.Seed, down.Seed = seed, seed+1
		seed += 2
		h, err := n.AddHost(netlab.HostConfig{Name: name, Addrs: addrs, Up: &up, Down: &down})
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	infra := host("infra", p.infra, infraIP, infraIP2)
	b := &bed{ctx: ctx, bridge: host("bridge", p.infra, bridgeIP), client: host("client", p.client, clientIP)}
	network := stage.Network{Infra: infra, Bridge: b.bridge, Client: b.client}
	for i := range p.proxies {
		h := host(fmt.Sprint("proxy", i), p.proxy, fmt.Sprint(proxyNet, i+1))
		b.proxies = append(b.proxies, h)
		network.Proxies = append(network.Proxies, h)
	}
	o := p.options
	if o.Programs == (stage.Programs{}) {
		o.Programs = programs
	}
	o.Network, o.Proxies, o.Dir = &network, p.proxies, t.ArtifactDir()
	o.AnyExit = o.AnyExit || *clientFile != "" || *proxyFile != ""
	if b.Stage, err = stage.New(ctx, o); err != nil {
		t.Fatal(err)
	}
	running := b.Proxies()
	t.Cleanup(func() {
		err := b.Close()
		if err != nil {
			t.Error(err)
		}
		if t.Failed() {
			for _, p := range []*stage.Process{b.Client().Process, b.Broker(), b.Server(), running[0].Process} {
				t.Logf("%s\n%s", p.Name(), p.Tail(25))
			}
		}
	})
	return b
}

// flow opens a flow through a client that lasts until the test ends, and waits for its first echo.
func (b *bed) flow(t *testing.T, c *stage.Client, seed uint64) *stage.Flow {
	t.Helper()
	conn, err := c.Dial(b.ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	f, err := stage.NewFlow(b.ctx, conn, seed)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	if _, err := f.Echo(b.ctx); err != nil {
		t.Fatal(err)
	}
	return f
}
