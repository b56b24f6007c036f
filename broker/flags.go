package main

import (
	"errors"
	"flag"
	"fmt"
	"io"

	"flurry/broker/httpserve"
)

// options is what the command line says.
type options struct {
	serve httpserve.Options

	bridgeListPath      string
	allowedRelayPattern string
	pollIntervalPath    string
	disableGeoIP        bool
	metricsLog          string
	unsafeLogging       bool
	version             bool
}

// parseFlags reads the command line. It returns flag.ErrHelp after printing the
// flags to help, and otherwise an error of one line.
func parseFlags(args []string, help io.Writer) (options, error) {
	var o options
	fs := flag.NewFlagSet("broker", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.Usage = func() {}
	o.serve.RegisterFlags(fs, ":443")
	fs.StringVar(&o.bridgeListPath, "bridge-list-path", "", "`file` of bridges, one JSON object a line (default the built-in bridge)")
	fs.StringVar(&o.allowedRelayPattern, "allowed-relay-pattern", "", "`pattern` that covers the host names of all bridges; proxies must accept all it covers")
	fs.StringVar(&o.pollIntervalPath, "poll-interval-filepath", "", "JSON `file` of proxy poll intervals; read again on SIGHUP")
	fs.BoolVar(&o.disableGeoIP, "disable-geoip", false, "do not look up the countries of addresses (required)")
	fs.StringVar(&o.metricsLog, "metrics-log", "", "`file` to append metrics to; opened again on SIGHUP (default standard output)")
	fs.BoolVar(&o.unsafeLogging, "unsafe-logging", false, "leave addresses in the log")
	fs.BoolVar(&o.version, "version", false, "print the version and exit")

	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(help, "usage: broker [flags]")
			fs.SetOutput(help)
			fs.PrintDefaults()
		}
		return o, err
	}
	if fs.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	if o.version {
		return o, nil
	}
	return o, o.validate()
}

func (o *options) validate() error {
	if !o.disableGeoIP {
		return errors.New("-disable-geoip is required: country lookup is not built in")
	}
	return o.serve.Validate()
}
