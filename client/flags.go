package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"slices"
	"strconv"
	"strings"

	pt "gitlab.torproject.org/tpo/anti-censorship/pluggable-transports/goptlib"

	"flurry/client/rendezvous"
	"flurry/client/snowclient"
	"flurry/common/carrier/rtc"
	"flurry/common/covert"
	"flurry/common/messages"
)

// settings are what a SOCKS connection can set for itself. It is comparable:
// connections with the same settings share a Transport. Lists are held as one
// string, their items joined by commas.
type settings struct {
	url         string
	fronts      string
	ice         string
	max         int
	hello       string // lower case; empty: that of the WebRTC's browser
	noSNI       bool
	fingerprint messages.Fingerprint
	noInBand    bool
	profile     rtc.Profile

	keepLocal bool // by flag only
}

// options are the whole command line.
type options struct {
	settings
	log           string
	logToStateDir bool
	unsafeLogging bool
	version       bool
}

// errNoRendezvous is for a connection with no way to the broker. It is refused
// alone: the deployed client ends the whole program, which also ends
// connections of other bridge lines that are in order.
var errNoRendezvous = errors.New("no rendezvous given: the bridge line needs url=https://... (and mostly fronts=...)")

// parseFlags reads the command line. Help goes to w, and the error is then
// flag.ErrHelp; any other error fits one line.
func parseFlags(args []string, w io.Writer) (options, error) {
	var o options
	var fronts, front, ice string
	fs := flag.NewFlagSet(programName, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.StringVar(&o.url, "url", "", "`URL` of the broker")
	fs.StringVar(&fronts, "fronts", "", "comma-separated front `domains` for the way to the broker")
	fs.StringVar(&front, "front", "", "one front `domain`; -fronts wins over it")
	fs.StringVar(&ice, "ice", "", "comma-separated STUN `URLs`, such as stun:stun.example:3478")
	fs.IntVar(&o.max, "max", 1, "`number` of proxies to use at once")
	covertConfig := fs.String("covertdtls-config", "", "`mimic`: look like Chromium; randomize, randomizemimic: like some browser, as without this; disable: like no browser")
	covertHello := fs.String("covertdtls-fingerprint", "", "`hex` of a DTLS hello; has the same effect as mimic")
	inBand := fs.Bool("inband", true, "ask for more proxies through the tunnel, sealed, where bridge and broker offer it")
	fs.StringVar(&o.log, "log", "", "append the log to this `file`; without it nothing is logged")
	for _, name := range []string{"log-to-state-dir", "logToStateDir"} {
		fs.BoolVar(&o.logToStateDir, name, false, "the log file's name is relative to tor's directory for transport state")
	}
	for _, name := range []string{"keep-local-addresses", "keepLocalAddresses"} {
		fs.BoolVar(&o.keepLocal, name, false, "offer local addresses to proxies too")
	}
	fs.BoolVar(&o.unsafeLogging, "unsafe-logging", false, "leave network addresses in the log")
	fs.BoolVar(&o.version, "version", false, "print the version and the known utls-imitate names, and end")
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fs.SetOutput(w)
			fs.Usage()
		}
		return options{}, err
	}
	if fs.NArg() > 0 {
		return options{}, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	o.fronts = joinList(front)
	if fronts != "" {
		o.fronts = joinList(fronts)
	}
	o.ice = joinList(ice)
	o.max = boundMax(o.max)
	o.noInBand = !*inBand
	var err error
	if o.profile, err = rtc.ParseCovertDTLS(*covertConfig, *covertHello); err != nil {
		return options{}, err
	}
	return o, o.checkURL()
}

// autoHello is the name of what utls-imitate is without a name.
const autoHello = "auto"

// missingArgs are SOCKS arguments of parts that this version does not have. A
// bridge line that asks for one must not seem to work without it. The value is
// the one that asks for nothing.
var missingArgs = [...]struct{ key, off string }{
	{"ampcache", ""},
	{"sqsqueue", ""},
	{"sqscreds", ""},
}

// withArgs returns the settings of one SOCKS connection: those of the flags, as
// far as args do not say otherwise (spec section 10.3). Unknown arguments are
// ignored, as the specification asks.
func (s settings) withArgs(args pt.Args) (settings, error) {
	for _, m := range missingArgs {
		if v, ok := args.Get(m.key); ok && !strings.EqualFold(v, m.off) {
			return s, fmt.Errorf("%s is not supported by this version", m.key)
		}
	}
	if v, ok := args.Get("url"); ok {
		s.url = strings.TrimSpace(v)
	}
	if v, ok := args.Get("fronts"); ok {
		if v != "" {
			s.fronts = joinList(v)
		}
	} else if v, ok := args.Get("front"); ok {
		s.fronts = joinList(v)
	}
	if v, ok := args.Get("ice"); ok {
		s.ice = joinList(v)
	}
	if v, ok := args.Get("max"); ok {
		n, err := strconv.Atoi(v)
		if err != nil {
			return s, fmt.Errorf("max=%q is not a number", v)
		}
		s.max = boundMax(n)
	}
	if v, ok := args.Get("utls-imitate"); ok {
		if strings.EqualFold(v, autoHello) {
			v = ""
		}
		if v != "" && !covert.ValidHello(v) {
			return s, fmt.Errorf("utls-imitate=%q is not a known name", v)
		}
		s.hello = strings.ToLower(v)
	}
	if v, ok := args.Get("utls-nosni"); ok {
		s.noSNI = strings.EqualFold(v, "true") || strings.EqualFold(v, "yes")
	}
	config, hasConfig := args.Get("covertdtls-config")
	hello, hasHello := args.Get("covertdtls-fingerprint")
	if hasConfig || hasHello {
		var err error
		if s.profile, err = rtc.ParseCovertDTLS(config, hello); err != nil {
			return s, err
		}
	}
	if v, ok := args.Get("inband"); ok {
		switch strings.ToLower(v) {
		case "yes", "true":
			s.noInBand = false
		case "no", "false":
			s.noInBand = true
		default:
			return s, fmt.Errorf("inband=%q is neither yes nor no", v)
		}
	}
	if v, ok := args.Get("fingerprint"); ok {
		fp, err := messages.ParseFingerprint(v)
		if err != nil {
			return s, fmt.Errorf("fingerprint=%q: %w", v, err)
		}
		s.fingerprint = fp
	}
	if s.fingerprint == "" {
		s.fingerprint = messages.DefaultFingerprint // so that naming the default changes nothing
	}
	if s.url == "" {
		return s, errNoRendezvous
	}
	return s, s.checkURL()
}

// checkURL refuses a broker URL that can never work.
func (s settings) checkURL() error {
	if s.url == "" {
		return nil
	}
	u, err := url.Parse(s.url)
	switch {
	case err != nil:
		return fmt.Errorf("broker URL: %w", err)
	case u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "":
		return fmt.Errorf("broker URL %q: want https://host/", s.url)
	}
	return nil
}

// newRendezvous makes the way to the broker, with connections of the given kept
// ones.
func (s settings) newRendezvous(log *slog.Logger, connections *covert.Transport) (*rendezvous.HTTP, error) {
	return rendezvous.NewHTTP(rendezvous.HTTPConfig{
		BrokerURL:   s.url,
		Fronts:      splitList(s.fronts),
		Connections: connections,
		Logger:      log,
	})
}

// joinList puts a comma-separated list into the form that settings hold.
func joinList(text string) string {
	var items []string
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	return strings.Join(items, ",")
}

// splitList undoes joinList.
func splitList(joined string) []string {
	if joined == "" {
		return nil
	}
	return slices.Collect(strings.SplitSeq(joined, ","))
}

// boundMax maps every number that stands for the same Transport to one.
func boundMax(n int) int { return min(max(n, 1), snowclient.MaxPaths) }
