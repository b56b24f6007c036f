package snowproxy

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"flurry/common/carrier/rtc"
	"flurry/common/messages"

	"github.com/prometheus/client_golang/prometheus"
)

// Defaults of the deployed network (spec section 10.5), public because a
// program's flags show them.
const (
	DefaultBrokerURL    = "https://snowflake-broker.torproject.net/"
	DefaultRelayURL     = "wss://snowflake.torproject.net/"
	DefaultNATProbeURL  = "https://snowflake-broker.torproject.net:8443/probe"
	DefaultRelayPattern = "snowflake.torproject.net$"
	DefaultPollInterval = 5 * time.Second

	// MinPollInterval is the smallest PollInterval that Validate accepts.
	MinPollInterval = 2 * time.Second
)

// DefaultSTUNServers returns the servers a proxy uses if none are configured
// (spec section 6). The slice is the caller's.
func DefaultSTUNServers() []string {
	return []string{"stun:stun.l.google.com:19302", "stun:stun.voip.blackberry.com:3478"}
}

// Config says what a Proxy does. The zero value serves the public Snowflake
// network. It is read by New only; what it points to must not change later.
type Config struct {
	BrokerURL   string // http or https; "" means DefaultBrokerURL
	RelayURL    string // dialled when the broker names none, and to see whether relays can be reached; "" means DefaultRelayURL
	NATProbeURL string // "" means DefaultNATProbeURL

	// NATRetestInterval is the time between two NAT probes. 0 means that only
	// the first one, before the first poll, is made.
	NATRetestInterval time.Duration

	// ForceUnrestricted skips all NAT probes and states "unrestricted".
	ForceUnrestricted bool

	// STUNServers are "stun:host:port" URLs. nil means DefaultSTUNServers, an
	// empty slice none.
	STUNServers []string

	// Capacity is the most clients served at once. 0 means no limit.
	Capacity int

	// PollInterval is the pause between polls when the broker states none.
	// 0 means DefaultPollInterval.
	PollInterval time.Duration

	// RelayPattern is the rule that a relay's host name must satisfy
	// (spec section 3.4), with its closing "$". "" means DefaultRelayPattern.
	RelayPattern string

	AllowNonTLSRelay   bool // accept ws:// relays
	AllowPrivateRelays bool // accept relays at local addresses, named or resolved
	KeepLocalAddresses bool // offer local candidates; excludes OutboundAddress

	// Profile says whose WebRTC the proxy looks like, to clients and in tests of
	// the NAT type, until it ends. The zero value is a browser's, chosen at random.
	Profile rtc.Profile

	// OutboundAddress stands in for the address of host candidates; invalid
	// means none.
	OutboundAddress netip.Addr

	// PortMin and PortMax bound the UDP ports; both 0 means any.
	PortMin, PortMax uint16

	// Type is stated in polls. "" means messages.ProxyStandalone.
	Type messages.ProxyType

	// SummaryInterval is the time between two summaries. 0 means none, and
	// then the traffic counters of the metrics never advance.
	SummaryInterval time.Duration

	// NoSummaryLog keeps summaries out of the log. They still go to OnEvent
	// and the metrics.
	NoSummaryLog bool

	// OnEvent, if not nil, hears all events. It may be called from several
	// goroutines at once and must not block.
	OnEvent func(Event)

	// Logger gets events at the level of Event.Level and everything else at
	// Debug. nil means silence.
	Logger *slog.Logger

	// Registerer takes the metrics of spec section 11.3. nil means none.
	// Proxies that share one share the counters.
	Registerer prometheus.Registerer

	// HTTPProxy chooses an HTTP proxy for requests to the broker and for
	// relays, as in http.Transport. nil means none.
	HTTPProxy func(*http.Request) (*url.URL, error)

	// HTTP carries requests to the broker and the probe service. nil means a
	// transport of this Proxy's own.
	HTTP http.RoundTripper

	// Upstream connects clients to their relay. nil means WebSocket, and
	// WebTransport for relays whose URL begins with https.
	Upstream Upstream

	// Answerer makes the carrier to a client. nil means WebRTC.
	Answerer Answerer
}

// withDefaults fills in what may be left out.
func (c Config) withDefaults() Config {
	setDefault(&c.BrokerURL, DefaultBrokerURL)
	setDefault(&c.RelayURL, DefaultRelayURL)
	setDefault(&c.NATProbeURL, DefaultNATProbeURL)
	setDefault(&c.RelayPattern, DefaultRelayPattern)
	setDefault(&c.Type, messages.ProxyStandalone)
	setDefault(&c.PollInterval, DefaultPollInterval)
	if c.STUNServers == nil {
		c.STUNServers = DefaultSTUNServers()
	}
	c.Profile = c.Profile.Pick()
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

func setDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

// Validate reports every fault of c at once.
func (c Config) Validate() error {
	c = c.withDefaults()
	errs := []error{
		checkURL("broker", c.BrokerURL, "http", "https"),
		checkURL("relay", c.RelayURL, "ws", "wss", "https"),
		checkURL("NAT probe server", c.NATProbeURL, "http", "https"),
	}
	fault := func(bad bool, format string, args ...any) {
		if bad {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	fault(c.PollInterval < MinPollInterval, "poll interval %v is below the minimum of %v", c.PollInterval, MinPollInterval)
	fault(!messages.ValidRelayPattern(c.RelayPattern), "relay pattern %q does not end with $", c.RelayPattern)
	fault(c.Capacity < 0, "capacity %d is negative", c.Capacity)
	fault(c.NATRetestInterval < 0, "NAT retest interval %v is negative", c.NATRetestInterval)
	fault(c.SummaryInterval < 0, "summary interval %v is negative", c.SummaryInterval)
	fault((c.PortMin == 0) != (c.PortMax == 0) || c.PortMin > c.PortMax,
		"port range %d:%d: both ports must be above 0, the first not above the second", c.PortMin, c.PortMax)
	fault(c.OutboundAddress.IsValid() && c.KeepLocalAddresses,
		"an outbound address and keeping local addresses exclude each other")
	for _, s := range c.STUNServers {
		_, err := rtc.ParseSTUN(s)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func checkURL(what, text string, schemes ...string) error {
	u, err := url.Parse(text)
	if err != nil {
		return fmt.Errorf("%s URL: %w", what, err)
	}
	for _, s := range schemes {
		if u.Scheme == s && u.Host != "" {
			return nil
		}
	}
	return fmt.Errorf("%s URL %q: want one like %s://host:port/path or %s://host/path", what, text, schemes[0], schemes[1])
}
