package rtc

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"time"

	"flurry/common/sdp"

	"github.com/pion/ice/v4"
	"github.com/pion/transport/v5"
	"github.com/pion/webrtc/v4"
)

// Config says how peer connections are made. The zero value works where both
// ends have public addresses.
type Config struct {
	// ICEServers are STUN servers as URLs, "stun:host:port"; the port may be
	// left out and is then 3478. Other kinds of URL are refused by New.
	ICEServers []string

	// KeepLocalAddresses leaves candidates with private and loopback addresses
	// in our descriptions (spec section 5.3).
	KeepLocalAddresses bool

	// OutboundAddress, when valid, takes the place of the address in host
	// candidates: a static one-to-one NAT stands before this machine.
	OutboundAddress netip.Addr

	// PortMin and PortMax bound the local UDP ports; both 0 means any.
	PortMin, PortMax uint16

	// KeepsEdges says in our answers that messages of an unordered channel are
	// handed on whole, both ways, so that the offerer may choose one.
	KeepsEdges bool

	// GatherTimeout ends the search for candidates; what was found by then is
	// used. 0 means 2 s. It ends earlier when what STUN gives is there, see
	// gathering.
	GatherTimeout time.Duration

	// OpenTimeout bounds the wait for the data channel once both descriptions
	// are known. 0 means 10 s, as the deployed client waits (spec section 6).
	OpenTimeout time.Duration

	// Net replaces the network of the operating system in tests.
	Net transport.Net

	// Logger hears the WebRTC stack at level Debug; nil means silence.
	Logger *slog.Logger
}

const (
	// defaultGatherTimeout lets two STUN requests be lost, which are repeated
	// after 0.5 and 1.5 s (RFC 8489 section 6.2.1), and is not longer, since an
	// open proxy can be reached without any candidate of ours.
	defaultGatherTimeout = 2 * time.Second

	defaultOpenTimeout = 10 * time.Second
	defaultSTUNPort    = "3478" // RFC 8489 section 9

	// iceDisconnected and iceFailed are how long a path may be without an
	// answer to a connectivity check before it counts as disturbed and as
	// dead, and iceKeepalive is the time between checks: the stack's defaults
	// (spec section 6), except that failure, which closes the carrier, comes
	// after 15 s more and not after 25.
	iceDisconnected = 5 * time.Second
	iceFailed       = 15 * time.Second
	iceKeepalive    = 2 * time.Second

	// dtlsRetransmit is the first wait for the other end's next flight, doubled
	// each time. RFC 6347, section 4.2.4.1, recommends 1 s and allows less where
	// the round trip is known to be: half a second is longer than most.
	dtlsRetransmit = 500 * time.Millisecond

	// receiveWindow is SCTP's a_rwnd: what the other end may have under way,
	// all of which may be memory in use. The stack also takes no packet that is
	// further ahead of the first missing one than four times as many bytes in
	// packets of 500 (pion/sctp, getMaxTSNOffset). A packet that is lost twice
	// is missing for a second and more; with 2 MiB an unordered channel came to
	// a stop at 5 MB/s and 10 % loss (measured).
	receiveWindow = 4 << 20

	// congestionFloor is a least congestion window for what our end sends by
	// SCTP, whose own falls to a few packets where loss is random. With it an
	// unordered channel carries 6.6 MB/s over 200 ms at 10 % loss, where 32 KiB
	// carry 0.15. Beneath it the brake is the Conn's window, which knows rate
	// and round trip: a line of 1 Mbit/s with a queue of 0.2 s stays as full as
	// with 32 KiB (measured). The setting is for a connection, whose kind is not
	// known yet; ordered channels gain too.
	congestionFloor = 1536 << 10
)

// Endpoint makes WebRTC carriers with one configuration. It is safe for
// concurrent use and holds no resources of its own but what Prepare makes.
type Endpoint struct {
	cfg      Config
	settings webrtc.SettingEngine
	servers  []webrtc.ICEServer
	stock    stock
}

// New checks cfg, reporting every fault at once.
func New(cfg Config) (*Endpoint, error) {
	if cfg.GatherTimeout == 0 {
		cfg.GatherTimeout = defaultGatherTimeout
	}
	if cfg.OpenTimeout == 0 {
		cfg.OpenTimeout = defaultOpenTimeout
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	var errs []error
	e := &Endpoint{cfg: cfg}
	if len(cfg.ICEServers) > 0 {
		urls := make([]string, len(cfg.ICEServers))
		for i, s := range cfg.ICEServers {
			u, err := ParseSTUN(s)
			if err != nil {
				errs = append(errs, err)
			}
			urls[i] = "stun:" + u
		}
		e.servers = []webrtc.ICEServer{{URLs: urls}}
	}
	if cfg.OutboundAddress.IsValid() && cfg.KeepLocalAddresses {
		errs = append(errs, errors.New("an outbound address and keeping local addresses exclude each other"))
	}
	se, err := e.newSettings()
	if err != nil {
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	e.settings = se
	return e, nil
}

// ParseSTUN takes a STUN URL, "stun:host" or "stun:host:port", and returns
// host and port in one.
func ParseSTUN(text string) (hostport string, err error) {
	rest, ok := strings.CutPrefix(text, "stun:")
	if !ok || strings.HasPrefix(rest, "//") {
		return "", fmt.Errorf("ICE server %q: only stun: URLs such as stun:stun.example:3478 are supported", text)
	}
	if strings.Contains(rest, "?") {
		return "", fmt.Errorf("ICE server %q: no parameters are supported", text)
	}
	host, port, err := net.SplitHostPort(rest)
	if err != nil {
		host, port = strings.Trim(rest, "[]"), defaultSTUNPort
		if strings.Contains(host, ":") {
			if _, err := netip.ParseAddr(host); err != nil {
				return "", fmt.Errorf("ICE server %q: not host:port", text)
			}
		}
	}
	if host == "" || port == "" {
		return "", fmt.Errorf("ICE server %q: host or port is missing", text)
	}
	return net.JoinHostPort(host, port), nil
}

// api returns the stack for one connection, which sees its own checks only.
func (e *Endpoint) api(p *peer) *webrtc.API {
	se := e.settings
	se.SetICEBindingRequestHandler(p.selection.check)
	return webrtc.NewAPI(webrtc.WithSettingEngine(se), webrtc.WithMediaEngine(new(webrtc.MediaEngine)))
}

func (e *Endpoint) newSettings() (webrtc.SettingEngine, error) {
	var se webrtc.SettingEngine
	cfg := &e.cfg
	se.LoggerFactory = loggers{cfg.Logger}
	se.DetachDataChannels()
	se.SetICETimeouts(iceDisconnected, iceFailed, iceKeepalive)
	se.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	se.DisableActiveTCP(true)
	se.SetIncludeLoopbackCandidate(cfg.KeepLocalAddresses)
	se.SetSCTPMaxReceiveBufferSize(receiveWindow)
	se.SetSCTPMinCwnd(congestionFloor)
	se.EnableSctpSnap(true)
	// The stack waits 0.5 s and 1 s before it nominates a pair with a reflexive
	// address, for the sake of a better one. Where those are all there is, as
	// behind a NAT, the first that works does as well as the next.
	se.SetSrflxAcceptanceMinWait(0)
	se.SetPrflxAcceptanceMinWait(0)
	se.SetDTLSRetransmissionInterval(dtlsRetransmit)
	// A browser sends no HelloVerifyRequest, and a censor has blocked it.
	se.SetDTLSInsecureSkipHelloVerify(true)
	if cfg.PortMin != 0 || cfg.PortMax != 0 {
		if err := se.SetEphemeralUDPPortRange(cfg.PortMin, cfg.PortMax); err != nil {
			return se, fmt.Errorf("port range %d:%d: %w", cfg.PortMin, cfg.PortMax, err)
		}
	}
	if cfg.OutboundAddress.IsValid() {
		err := se.SetICEAddressRewriteRules(webrtc.ICEAddressRewriteRule{
			External:        []string{cfg.OutboundAddress.String()},
			AsCandidateType: webrtc.ICECandidateTypeHost,
		})
		if err != nil {
			return se, fmt.Errorf("outbound address: %w", err)
		}
	}
	if cfg.Net != nil {
		se.SetNet(cfg.Net)
		return se, nil
	}
	n, err := newRoomyNet()
	if err != nil {
		return se, fmt.Errorf("network interfaces: %w", err)
	}
	se.SetNet(n)
	return se, nil
}

// publish returns the description to give to the other side as wrapper text.
func (e *Endpoint) publish(p *peer) string {
	d := p.pc.LocalDescription()
	text := d.SDP
	if !e.cfg.KeepLocalAddresses {
		text = sdp.StripLocal(text)
	}
	if d.Type == webrtc.SDPTypeOffer {
		text = p.withSCTPInit(text)
	} else {
		text = sdp.MarkEarly(text)
	}
	if e.cfg.KeepsEdges && d.Type == webrtc.SDPTypeAnswer {
		text = sdp.MarkEdges(text)
	}
	return sdp.Description{Type: d.Type.String(), SDP: text}.String()
}
