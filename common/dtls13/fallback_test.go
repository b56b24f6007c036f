package dtls13

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

// only12 makes an end that has no 1.3.
func only12(c Config) Config {
	c.Profile.versions = []uint16{Version12}
	return c
}

// A client or a server that has only 1.2 is met in 1.2.
func TestFallback(t *testing.T) {
	eachPair(t, func(t *testing.T, client, server Config) {
		for name, ends := range map[string][2]Config{"client": {only12(client), server}, "server": {client, only12(server)}} {
			t.Run(name, func(t *testing.T) {
				n := newNetwork(ends[0], ends[1])
				if !n.run() {
					t.Fatal("does not end")
				}
				n.check(t)
				if n.client.state.Version != Version12 {
					t.Errorf("agreed on %+v", n.client.state)
				}
			})
		}
	})
}

// The same with each datagram lost, doubled or late, and with loss at random.
func TestFallbackLoss(t *testing.T) {
	eachPair(t, func(t *testing.T, client, server Config) {
		try := func(t *testing.T, f func(int, parcel) fate) {
			for _, ends := range [][2]Config{{only12(client), server}, {client, only12(server)}} {
				n := newNetwork(ends[0], ends[1])
				n.fate = f
				if !n.run() {
					t.Fatal("does not end")
				}
				n.check(t)
			}
		}
		for i := range 9 {
			for name, f := range map[string]fate{"lost": nil, "twice": {oneWay, oneWay + time.Millisecond}, "late": {60 * time.Millisecond}} {
				t.Run(fmt.Sprintf("%d %s", i, name), func(t *testing.T) {
					try(t, func(k int, _ parcel) fate {
						if k == i {
							return f
						}
						return fate{oneWay}
					})
				})
			}
		}
		for seed := range uint64(50) {
			try(t, lossy(seed, 0.3))
		}
	})
}

// Somebody between the two takes 1.3 out of the hello: the client sees by the
// server's random that it was there.
func TestDowngrade(t *testing.T) {
	client, server := testConfig(t, Chromium()), testConfig(t, Chromium())
	// The server of 1.2 that could do 1.3 is one that was given a hello without it.
	other := newNetwork(only12(client), server)
	other.client.start(other.now)
	for _, d := range other.client.out {
		other.server.input(other.now, d)
	}
	n := newNetwork(client, server)
	n.client.start(n.now)
	for _, d := range other.server.out {
		n.client.input(n.now, d)
	}
	var e protocolError
	if !errors.As(n.client.err, &e) || e.alert != alertIllegalParameter {
		t.Errorf("client: %v", n.client.err)
	}
}
