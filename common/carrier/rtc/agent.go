package rtc

import (
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/transport/v5"
)

const (
	// iceDisconnected and iceFailed are how long a path may be without an
	// answer to a connectivity check before it counts as disturbed and as
	// dead, and iceKeepalive is the time between checks: the stack's defaults
	// (spec section 6), except that failure, which closes the carrier, comes
	// after 15 s more and not after 25.
	iceDisconnected = 5 * time.Second
	iceFailed       = 15 * time.Second
	iceKeepalive    = 2 * time.Second

	// checkInterval is how often the ICE agent wants to check all pairs until
	// one is in use. A browser does so at each tick, see chromiumPace.
	checkInterval = 50 * time.Millisecond

	// mostChecks of a pair are as many as fit in the time until failure: a
	// browser does not give a pair up before.
	mostChecks = uint16((iceDisconnected + iceFailed) / checkInterval)
)

// credentials are an ICE agent's.
type credentials struct{ ufrag, pwd string }

// newAgent makes the ICE agent of one connection.
func (e *Endpoint) newAgent(p *peer) (*ice.Agent, error) {
	cfg := &e.cfg
	options := []ice.AgentOption{
		ice.WithUrls(e.servers),
		ice.WithPortRange(cfg.PortMin, cfg.PortMax),
		ice.WithLoggerFactory(loggers{cfg.Logger}),
		ice.WithNet(e.netFor(p)),
		ice.WithMulticastDNSMode(ice.MulticastDNSModeDisabled),
		ice.WithDisableActiveTCP(),
		ice.WithNetworkTypes([]ice.NetworkType{ice.NetworkTypeUDP4, ice.NetworkTypeUDP6}),
		ice.WithCandidateTypes([]ice.CandidateType{ice.CandidateTypeHost, ice.CandidateTypeServerReflexive}),
		ice.WithLocalCredentials(p.local.ufrag, p.local.pwd),
		ice.WithDisconnectedTimeout(iceDisconnected),
		ice.WithFailedTimeout(iceFailed),
		ice.WithKeepaliveInterval(iceKeepalive),
		// The agent waits 0.5 s and 1 s before it nominates a pair with a reflexive
		// address, for the sake of a better one. Where those are all there is, as
		// behind a NAT, the first that works does as well as the next.
		ice.WithSrflxAcceptanceMinWait(0),
		ice.WithPrflxAcceptanceMinWait(0),
		ice.WithBindingRequestHandler(p.selection.check),
	}
	if cfg.KeepLocalAddresses {
		options = append(options, ice.WithIncludeLoopback())
	}
	if cfg.OutboundAddress.IsValid() {
		options = append(options, ice.WithAddressRewriteRules(ice.AddressRewriteRule{
			External:        []string{cfg.OutboundAddress.String()},
			AsCandidateType: ice.CandidateTypeHost,
		}))
	}
	if p.shaper != nil {
		options = append(options, ice.WithCheckInterval(checkInterval), ice.WithMaxBindingRequests(mostChecks))
	}
	return ice.NewAgentWithOptions(options...)
}

// netFor returns the network of one connection.
func (e *Endpoint) netFor(p *peer) transport.Net {
	if p.shaper == nil {
		return e.net
	}
	return shapedNet{Net: e.net, shaper: p.shaper}
}
