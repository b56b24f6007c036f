package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"flurry/common/carrier/rtc"
	"flurry/proxy/snowproxy"
)

// options is everything that the command line says.
type options struct {
	proxy snowproxy.Config

	metrics        bool
	metricsAddress string
	metricsPort    uint

	logFile       string
	logLocalTime  bool
	verbose       bool
	unsafeLogging bool

	version bool
}

// Values of options whose form flag does not know.
type textFlags struct {
	stun, outbound, ports     string
	covertConfig, covertHello string
}

// errUsage says that help was asked for and has been printed.
var errUsage = flag.ErrHelp

// parseFlags reads the command line. Every other error than errUsage is one
// line for the user.
func parseFlags(args []string, help io.Writer) (options, error) {
	var o options
	var text textFlags
	fs := flag.NewFlagSet("proxy", flag.ContinueOnError)
	fs.SetOutput(io.Discard) // flag prints the usage after each error; one line is enough
	fs.Usage = func() {}
	defineProxyFlags(fs, &o.proxy, &text)
	defineProgramFlags(fs, &o)
	err := fs.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(help, "Usage of proxy:")
		fs.SetOutput(help)
		fs.PrintDefaults()
		return o, errUsage
	}
	if err != nil {
		return o, err
	}
	if fs.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	err = errors.Join(text.apply(&o.proxy), checkGiven(fs, &o))
	if err == nil {
		err = o.proxy.Validate()
	}
	if err != nil {
		return o, errors.New(strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	o.proxy.HTTPProxy = http.ProxyFromEnvironment
	return o, nil
}

// defineProxyFlags defines what ends up in the Config (spec section 10.5).
func defineProxyFlags(fs *flag.FlagSet, c *snowproxy.Config, text *textFlags) {
	fs.StringVar(&c.BrokerURL, "broker", snowproxy.DefaultBrokerURL, "broker `URL`")
	fs.StringVar(&c.RelayURL, "relay", snowproxy.DefaultRelayURL, "relay `URL` to use when the broker names none; polling starts when it can be reached")
	fs.StringVar(&c.NATProbeURL, "nat-probe-server", snowproxy.DefaultNATProbeURL, "`URL` of the service that tells the NAT type")
	fs.DurationVar(&c.NATRetestInterval, "nat-retest-interval", 24*time.Hour, "time between tests of the NAT type; 0: test at the start only")
	fs.BoolVar(&c.ForceUnrestricted, "nat-type-force-unrestricted", false, "state the NAT type unrestricted without a test; clients are lost if it is not true")
	fs.StringVar(&text.stun, "stun", strings.Join(snowproxy.DefaultSTUNServers(), ","), "STUN server `URLs`, separated by commas")
	fs.IntVar(&c.Capacity, "capacity", 0, "most clients served at once; 0: no limit")
	fs.DurationVar(&c.PollInterval, "poll-interval", snowproxy.DefaultPollInterval, "time between polls when the broker states none, at least 2s")
	fs.StringVar(&c.RelayPattern, "allowed-relay-hostname-pattern", snowproxy.DefaultRelayPattern, "`pattern` for the host names of relays: name-end$ or ^name$")
	fs.BoolVar(&c.AllowNonTLSRelay, "allow-non-tls-relay", false, "accept relays without TLS")
	fs.BoolVar(&c.AllowPrivateRelays, "allow-proxying-to-private-addresses", false, "accept relays with private addresses; gives clients a way into your network if the pattern is wide")
	fs.BoolVar(&c.KeepLocalAddresses, "keep-local-addresses", false, "offer local addresses to clients")
	fs.StringVar(&text.outbound, "outbound-address", "", "`address` that clients reach this machine at, in place of its own")
	fs.StringVar(&text.covertConfig, "covertdtls-config", "", "`mimic`: look like Chromium; randomize, randomizemimic: like some browser, as without this; disable: like no browser")
	fs.StringVar(&text.covertHello, "covertdtls-fingerprint", "", "`hex` of a DTLS hello; has the same effect as mimic")
	fs.StringVar(&text.ports, "ephemeral-ports-range", "", "UDP ports for clients, `min:max`")
	fs.DurationVar(&c.SummaryInterval, "summary-interval", time.Hour, "time between summaries; 0: none")
	fs.BoolVar(&c.NoSummaryLog, "disable-stats-logger", false, "do not log summaries")
}

// defineProgramFlags defines what the program does around the Proxy.
func defineProgramFlags(fs *flag.FlagSet, o *options) {
	fs.BoolVar(&o.metrics, "metrics", false, "serve metrics for Prometheus at /internal/metrics")
	fs.StringVar(&o.metricsAddress, "metrics-address", "localhost", "`address` to serve metrics at")
	fs.UintVar(&o.metricsPort, "metrics-port", 9999, "`port` to serve metrics at")
	fs.StringVar(&o.logFile, "log", "", "`file` to log to, in addition to standard error")
	fs.BoolVar(&o.logLocalTime, "log-local-time", false, "log in local time in place of UTC")
	fs.BoolVar(&o.verbose, "verbose", false, "log more than events")
	fs.BoolVar(&o.unsafeLogging, "unsafe-logging", false, "keep addresses in logs")
	fs.BoolVar(&o.version, "version", false, "print the version and exit")
}

// apply puts the text options into c.
func (t textFlags) apply(c *snowproxy.Config) error {
	c.STUNServers = []string{}
	for s := range strings.SplitSeq(t.stun, ",") {
		if s = strings.TrimSpace(s); s != "" {
			c.STUNServers = append(c.STUNServers, s)
		}
	}
	var errs []error
	var err error
	if c.Profile, err = rtc.ParseCovertDTLS(t.covertConfig, t.covertHello); err != nil {
		errs = append(errs, err)
	}
	if t.outbound != "" {
		a, err := netip.ParseAddr(t.outbound)
		if err != nil || a.Zone() != "" {
			errs = append(errs, fmt.Errorf("-outbound-address %q: not an IP address", t.outbound))
		}
		c.OutboundAddress = a
	}
	if t.ports != "" {
		var err error
		if c.PortMin, c.PortMax, err = parsePorts(t.ports); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// parsePorts reads "min:max", both above 0 and in order.
func parsePorts(text string) (from, to uint16, err error) {
	fault := fmt.Errorf("-ephemeral-ports-range %q: want min:max, both from 1 to 65535", text)
	left, right, ok := strings.Cut(text, ":")
	if !ok {
		return 0, 0, fault
	}
	a, errA := strconv.ParseUint(left, 10, 16)
	b, errB := strconv.ParseUint(right, 10, 16)
	if errA != nil || errB != nil || a == 0 || b == 0 || a > b {
		return 0, 0, fault
	}
	return uint16(a), uint16(b), nil
}

// checkGiven finds values that the Config would take for "not given", and
// faults of the program's own options.
func checkGiven(fs *flag.FlagSet, o *options) error {
	var errs []error
	fs.Visit(func(f *flag.Flag) {
		switch f.Name {
		case "broker", "relay", "nat-probe-server", "allowed-relay-hostname-pattern":
			if f.Value.String() == "" {
				errs = append(errs, fmt.Errorf("-%s is empty", f.Name))
			}
		case "poll-interval":
			if o.proxy.PollInterval == 0 {
				errs = append(errs, fmt.Errorf("-poll-interval 0s is below the minimum of %v", snowproxy.MinPollInterval))
			}
		}
	})
	if o.metricsPort > math.MaxUint16 {
		errs = append(errs, fmt.Errorf("-metrics-port %d: not a port", o.metricsPort))
	}
	return errors.Join(errs...)
}

// fewPorts is the warning for a range of ports that may not be enough: two for
// each client, ten clients if there is no limit.
func fewPorts(c snowproxy.Config) (warning string, few bool) {
	const clientsWithoutLimit = 10
	if c.PortMax == 0 {
		return "", false
	}
	clients := c.Capacity
	if clients == 0 {
		clients = clientsWithoutLimit
	}
	have := int(c.PortMax) - int(c.PortMin) + 1
	if have/2 >= clients {
		return "", false
	}
	return fmt.Sprintf("the range %d:%d has %d ports, fewer than two for each of %d clients", c.PortMin, c.PortMax, have, clients), true
}
