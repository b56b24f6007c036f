package snowclient

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"flurry/common/messages"
	"flurry/common/nat"
)

// natRetry is how long after a failed probe the next attempt at a carrier may
// begin another: long enough that dead STUN servers are not asked for ever.
const natRetry = 10 * time.Minute

// A natProbe finds out what kind of NAT we are behind by asking STUN servers.
type natProbe func(ctx context.Context, servers []string) (messages.NATType, error)

func probeNAT(ctx context.Context, servers []string) (messages.NATType, error) {
	return nat.Probe(ctx, servers, nat.Options{})
}

// natToSend is the kind of NAT to state to the broker (spec section 7.5).
// While the kind is unknown we claim to be unrestricted, because the broker
// then gives us any proxy and most combinations work; once such a claim has
// ended in a carrier that did not open we are honest.
func natToSend(actual messages.NATType, claimFailed bool) messages.NATType {
	if actual == messages.NATUnknown && !claimFailed {
		return messages.NATUnrestricted
	}
	return actual
}

// A natState is what one Transport knows of the NAT it is behind. What a probe
// has found in this network counts most, then what is remembered of it.
type natState struct {
	// Fixed after construction.
	servers []string
	memory  *NATMemory
	network func() netip.Addr // our address in the present network; invalid if there is none
	log     *slog.Logger

	// Guarded by mu.
	mu          sync.Mutex
	here        netip.Addr       // the network that the rest is about
	probed      messages.NATType // what the probe found here; unknown until it has
	claimFailed bool             // see natToSend
	probing     bool
	nextProbe   time.Time
}

func newNATState(servers []string, memory *NATMemory, log *slog.Logger) *natState {
	if memory == nil {
		memory = NewNATMemory("", log)
	}
	return &natState{servers: servers, memory: memory, network: localAddress, log: log, probed: messages.NATUnknown}
}

// localAddress is the address from which packets to the internet leave. It
// sends none.
func localAddress() netip.Addr {
	c, err := net.Dial("udp4", "192.0.2.1:9") // any public address (RFC 5737); UDP connects without a packet
	if err != nil {
		return netip.Addr{}
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).AddrPort().Addr()
}

// look notices when we have come into another network, where nothing that was
// learned in the last one holds, and reports whether a probe is due. Who gets
// true runs it.
func (n *natState) look() (due bool) {
	here := n.network()
	n.mu.Lock()
	defer n.mu.Unlock()
	now := time.Now()
	if here.IsValid() && here != n.here {
		if n.here.IsValid() {
			n.probed, n.claimFailed, n.nextProbe = messages.NATUnknown, false, time.Time{}
		}
		n.here = here
	}
	if len(n.servers) == 0 || n.probing || n.probed != messages.NATUnknown || now.Before(n.nextProbe) {
		return false
	}
	n.probing = true
	return true
}

// learn runs the probe that look has found due. It runs beside the rendezvous,
// which does not wait for it.
func (n *natState) learn(ctx context.Context, probe natProbe) {
	n.mu.Lock()
	where := n.here
	n.mu.Unlock()
	kind, err := probe(ctx, n.servers)
	n.mu.Lock()
	n.probing, n.nextProbe = false, time.Now().Add(natRetry)
	if n.here != where {
		n.nextProbe = time.Time{} // the result is about a network that we have left
		n.mu.Unlock()
		return
	}
	if err == nil {
		n.probed = kind
	}
	n.mu.Unlock()
	if err != nil {
		n.log.Info("cannot learn the NAT type", "err", err)
		return
	}
	n.log.Info("learned the NAT type", "nat", string(kind))
	n.memory.learn(where, kind)
}

// toSend is the kind to state now.
func (n *natState) toSend() messages.NATType {
	n.mu.Lock()
	defer n.mu.Unlock()
	return natToSend(n.bestLocked(), n.claimFailed)
}

func (n *natState) bestLocked() messages.NATType {
	if n.probed != messages.NATUnknown {
		return n.probed
	}
	return n.memory.recall(n.here)
}

// channelFailed records that a carrier won by stating sent did not open. That
// speaks against a claim, and against a memory, to be unrestricted; what the
// probe has found it does not touch.
func (n *natState) channelFailed(sent messages.NATType) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.probed == messages.NATUnknown && sent == messages.NATUnrestricted {
		n.claimFailed = true
		n.memory.forget(n.here)
	}
}
