package rtc

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/pion/stun/v4"
	"github.com/pion/transport/v5"
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

	// Profile says whose WebRTC the connections look like; an Endpoint keeps to
	// one. The zero value, AnyBrowser, is a browser's, chosen by New at random.
	Profile Profile

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
	cfg     Config
	look    look
	ticks   ticks
	net     transport.Net
	servers []*stun.URI
	stock   stock
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
	cfg.Profile = cfg.Profile.Pick()
	var errs []error
	check := func(err error) {
		if err != nil {
			errs = append(errs, err)
		}
	}
	e := &Endpoint{cfg: cfg, net: cfg.Net}
	for _, s := range cfg.ICEServers {
		server, err := parseServer(s)
		check(err)
		e.servers = append(e.servers, server)
	}
	if cfg.OutboundAddress.IsValid() && cfg.KeepLocalAddresses {
		check(errors.New("an outbound address and keeping local addresses exclude each other"))
	}
	if cfg.PortMax < cfg.PortMin {
		check(fmt.Errorf("port range %d:%d is empty", cfg.PortMin, cfg.PortMax))
	}
	var err error
	e.look, err = cfg.Profile.look()
	check(err)
	e.ticks = newTicks(e.look.ticks, e.look.late)
	if e.net == nil {
		if e.net, err = newRoomyNet(); err != nil {
			check(fmt.Errorf("network interfaces: %w", err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return e, nil
}

// Profile is the one in use, never AnyBrowser.
func (e *Endpoint) Profile() Profile { return e.cfg.Profile }

// parseServer reads a STUN URL as the ICE agent wants it.
func parseServer(text string) (*stun.URI, error) {
	hostport, err := ParseSTUN(text)
	if err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(hostport)
	if err != nil {
		return nil, fmt.Errorf("ICE server %q: %w", text, err)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("ICE server %q: port: %w", text, err)
	}
	return &stun.URI{Scheme: stun.SchemeTypeSTUN, Host: host, Port: int(n), Proto: stun.ProtoTypeUDP}, nil
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
