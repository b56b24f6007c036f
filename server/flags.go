package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"

	pt "gitlab.torproject.org/tpo/anti-censorship/pluggable-transports/goptlib"
)

// options are the command line's.
type options struct {
	acmeHostnames []string
	acmeEmail     string
	cert, key     string
	disableTLS    bool
	webTransport  bool
	broker        string
	log           string
	unsafeLogging bool
	version       bool
}

// parseFlags reads the command line. It returns flag.ErrHelp after it has
// printed the flags, and any other error without having printed anything.
func parseFlags(args []string, help io.Writer) (options, error) {
	var o options
	var hostnames string
	f := flag.NewFlagSet("server", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.StringVar(&hostnames, "acme-hostnames", "", "comma-separated `hostnames` for which to get certificates by ACME")
	f.StringVar(&o.acmeEmail, "acme-email", "", "contact `address` for the ACME certificate authority")
	f.StringVar(&o.cert, "cert", "", "certificate chain `file` (PEM), instead of ACME; read again on SIGHUP")
	f.StringVar(&o.key, "key", "", "private key `file` (PEM) of -cert")
	f.BoolVar(&o.disableTLS, "disable-tls", false, "serve plain HTTP, for instance behind something that does TLS")
	f.BoolVar(&o.webTransport, "webtransport", false, "take proxies by WebTransport too, at the UDP port of the same number; needs TLS (default off)")
	f.StringVar(&o.broker, "rendezvous-broker", "", "`URL` of the broker; lets clients ask it for more proxies through the tunnel, sealed (default off)")
	f.StringVar(&o.log, "log", "", "`file` to append the log to (default standard error)")
	f.BoolVar(&o.unsafeLogging, "unsafe-logging", false, "keep addresses in the log")
	f.BoolVar(&o.version, "version", false, "print the version and exit")
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(help, "Usage: server [flags], started by tor (ServerTransportPlugin in torrc)")
			f.SetOutput(help)
			f.PrintDefaults()
		}
		return options{}, err
	}
	if f.NArg() > 0 {
		return options{}, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	for name := range strings.SplitSeq(hostnames, ",") {
		if name = strings.TrimSpace(name); name != "" {
			o.acmeHostnames = append(o.acmeHostnames, name)
		}
	}
	if o.version {
		return o, nil
	}
	if err := o.validate(); err != nil {
		return o, err
	}
	_, err := clientURL(o.broker)
	return o, err
}

// validate checks that there is exactly one way to a certificate, or none
// needed.
func (o options) validate() error {
	files := o.cert != "" || o.key != ""
	acme := len(o.acmeHostnames) > 0
	switch {
	case files && (o.cert == "" || o.key == ""):
		return errors.New("-cert and -key need each other")
	case o.disableTLS && (files || acme):
		return errors.New("-disable-tls excludes -cert, -key and -acme-hostnames")
	case o.disableTLS && o.webTransport:
		return errors.New("-webtransport needs TLS, which -disable-tls turns off")
	case files && acme:
		return errors.New("-acme-hostnames excludes -cert and -key")
	case !o.disableTLS && !files && !acme:
		return errors.New("need -acme-hostnames, or -cert and -key, or -disable-tls")
	case !acme && o.acmeEmail != "":
		return errors.New("-acme-email needs -acme-hostnames")
	}
	return nil
}

// transportOptions are torrc's ServerTransportOptions. Unknown ones are
// ignored, as tor's operators are used to.
type transportOptions struct {
	shards int        // num-turbotunnel
	source *net.IPNet // orport-srcaddr; nil leaves the choice to the system
}

// parseTransportOptions reads ServerTransportOptions.
func parseTransportOptions(args pt.Args) (transportOptions, error) {
	o := transportOptions{shards: 1}
	if text, ok := args.Get("orport-srcaddr"); ok {
		source, err := parseSource(text)
		if err != nil {
			return o, fmt.Errorf("parsing srcaddr: %w", err)
		}
		o.source = source
	}
	if text, ok := args.Get("num-turbotunnel"); ok {
		n, err := strconv.Atoi(text)
		if err != nil {
			return o, fmt.Errorf("parsing num-turbotunnel: %w", err)
		}
		if n < 1 || n > maxShards {
			return o, fmt.Errorf("parsing num-turbotunnel: %d is not between 1 and %d", n, maxShards)
		}
		o.shards = n
	}
	return o, nil
}

// maxShards is our own bound on num-turbotunnel: more shards than any
// machine has cores are a slip of the pen.
const maxShards = 1024

// stateLocation is the directory that tor gives us to keep things in, created
// if need be; empty when tor gives none.
func stateLocation() (string, error) {
	if os.Getenv("TOR_PT_STATE_LOCATION") == "" {
		return "", nil
	}
	return pt.MakeStateDir()
}

// exitOnStdinClose says whether tor ends us by closing standard input.
func exitOnStdinClose() bool { return os.Getenv("TOR_PT_EXIT_ON_STDIN_CLOSE") == "1" }
