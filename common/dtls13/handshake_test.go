package dtls13

import (
	"fmt"
	"testing"
	"time"
)

// profiles are those shipped.
func profiles() []Profile { return []Profile{Chromium(), Firefox()} }

// eachPair runs f for all four pairs of profiles.
func eachPair(t *testing.T, f func(t *testing.T, client, server Config)) {
	for _, c := range profiles() {
		for _, s := range profiles() {
			t.Run(c.name+" to "+s.name, func(t *testing.T) { f(t, testConfig(t, c), testConfig(t, s)) })
		}
	}
}

func TestHandshake(t *testing.T) {
	eachPair(t, func(t *testing.T, client, server Config) {
		n := newNetwork(client, server)
		if !n.run() {
			t.Fatal("does not end")
		}
		n.check(t)
		for _, p := range n.log {
			to := "server"
			if p.toClient {
				to = "client"
			}
			t.Logf("%v to %s: %d bytes, %x", p.at.Sub(epochStart), to, len(p.data), p.data[:13])
		}
	})
}

func TestSuitesAndGroups(t *testing.T) {
	for _, id := range []uint16{suiteAES128, suiteAES256, suiteChaCha} {
		for _, group := range []uint16{groupHybrid, groupX25519, groupP256, groupP384} {
			for _, retry := range []bool{false, true} {
				t.Run(fmt.Sprintf("%04x %04x retry %v", id, group, retry), func(t *testing.T) {
					p := Chromium()
					p.suites = []uint16{id}
					p.groups = []uint16{group}
					client := testConfig(t, p)
					client.Profile.shares = []uint16{group}
					if retry {
						client.Profile.groups = []uint16{groupHybrid, groupX25519, groupP256, groupP384}
						client.Profile.shares = []uint16{groupX25519}
						if group == groupX25519 {
							client.Profile.shares = []uint16{groupP256}
						}
					}
					n := newNetwork(client, testConfig(t, p))
					if !n.run() {
						t.Fatal("does not end")
					}
					n.check(t)
					if n.client.state.CipherSuite != id || n.client.state.Group != group || n.client.hs.retried != retry {
						t.Errorf("agreed on %+v, retried %v", n.client.state, n.client.hs.retried)
					}
				})
			}
		}
	}
}

// Each single datagram of the handshake is lost, comes twice, or comes late.
func TestEachDatagram(t *testing.T) {
	fates := map[string]fate{
		"lost":     nil,
		"twice":    {oneWay, oneWay + time.Millisecond},
		"again":    {oneWay, 80 * time.Millisecond},
		"late":     {oneWay + 5*time.Millisecond},
		"later":    {60 * time.Millisecond},
		"too late": {700 * time.Millisecond},
	}
	eachPair(t, func(t *testing.T, client, server Config) {
		for name, f := range fates {
			for i := range 9 {
				t.Run(fmt.Sprintf("%d %s", i, name), func(t *testing.T) {
					n := newNetwork(client, server)
					n.fate = func(k int, _ parcel) fate {
						if k == i {
							return f
						}
						return fate{oneWay}
					}
					if !n.run() {
						t.Fatal("does not end")
					}
					n.check(t)
				})
			}
		}
	})
}

func TestLoss(t *testing.T) {
	eachPair(t, func(t *testing.T, client, server Config) {
		for seed := range uint64(100) {
			n := newNetwork(client, server)
			n.fate = lossy(seed, 0.3)
			if !n.run() {
				t.Fatal("does not end")
			}
			if n.client.err != nil || n.server.err != nil {
				t.Fatalf("seed %d: %v, %v", seed, n.client.err, n.server.err)
			}
			n.check(t)
		}
	})
}

// A smaller MTU holds for every datagram.
func TestMTU(t *testing.T) {
	eachPair(t, func(t *testing.T, client, server Config) {
		for _, mtu := range []int{600, 200, 100} {
			client.MTU, server.MTU = mtu, mtu
			for _, ends := range [][2]Config{{client, server}, {client, only12(server)}} {
				n := newNetwork(ends[0], ends[1])
				if !n.run() {
					t.Fatal("does not end")
				}
				n.check(t)
				for _, p := range n.log {
					if len(p.data) > mtu {
						t.Errorf("a datagram of %d bytes where %d may be", len(p.data), mtu)
					}
				}
			}
		}
	})
}
