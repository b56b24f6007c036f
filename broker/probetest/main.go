// Command probetest is the service by which proxies learn the kind of their NAT
// (wire specification, section 9.3).
//
// A proxy posts an offer to /probe, gets an answer, and sees whether the data
// channel opens. So the service must itself stand behind a NAT with address-
// and port-dependent mapping: a proxy that it reaches from there is reachable
// from everywhere. The query parameter InCoSim, by which newer proxies choose
// among simulated NATs, is not served: the NAT in front is the only kind.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"golang.org/x/sync/errgroup"

	"flurry/broker/httpserve"
	"flurry/common/carrier/rtc"
	"flurry/common/safelog"
	"flurry/common/version"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// defaultSTUN is what the deployed proxies use (wire specification, section 6).
const defaultSTUN = "stun:stun.l.google.com:19302,stun:stun.voip.blackberry.com:3478"

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// options is what the command line says.
type options struct {
	serve              httpserve.Options
	stun               string
	keepLocalAddresses bool
	unsafeLogging      bool
	version            bool
}

// parseFlags reads the command line. It returns flag.ErrHelp after printing the
// flags to help, and otherwise an error of one line.
func parseFlags(args []string, help io.Writer) (options, error) {
	var o options
	fs := flag.NewFlagSet("probetest", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.Usage = func() {}
	o.serve.RegisterFlags(fs, ":8443")
	fs.StringVar(&o.stun, "stun", defaultSTUN, "comma-separated STUN `servers`, each stun:host:port; empty for none")
	fs.BoolVar(&o.keepLocalAddresses, "keep-local-addresses", false, "offer private and loopback addresses, for tests on one machine")
	fs.BoolVar(&o.unsafeLogging, "unsafe-logging", false, "leave addresses in the log")
	fs.BoolVar(&o.version, "version", false, "print the version and exit")
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(help, "usage: probetest [flags]")
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
	return o, o.serve.Validate()
}

func run(args []string, stdout, stderr io.Writer) int {
	o, err := parseFlags(args, stdout)
	if err == nil && !o.version {
		var endpoint *rtc.Endpoint
		log := slog.New(safelog.NewHandler(stderr, safelog.Options{Unsafe: o.unsafeLogging}))
		if endpoint, err = newEndpoint(o, log); err == nil {
			return serve(o, endpoint, log, stderr)
		}
	}
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		fmt.Fprintln(stderr, "probetest:", err)
		return exitUsage
	}
	fmt.Fprintln(stdout, "probetest", version.String())
	return exitOK
}

// newEndpoint makes what answers the offers; an error is one of the flags.
func newEndpoint(o options, log *slog.Logger) (*rtc.Endpoint, error) {
	var servers []string
	for s := range strings.SplitSeq(o.stun, ",") {
		if s = strings.TrimSpace(s); s != "" {
			servers = append(servers, s)
		}
	}
	endpoint, err := rtc.New(rtc.Config{
		ICEServers:         servers,
		KeepLocalAddresses: o.keepLocalAddresses,
		GatherTimeout:      gatherTimeout,
		OpenTimeout:        openTimeout,
		Logger:             log,
	})
	if err != nil {
		return nil, errors.New(strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	return endpoint, nil
}

// serve runs the service until a signal ends it and returns the exit code.
func serve(o options, endpoint *rtc.Endpoint, log *slog.Logger, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)

	probes := newProber(endpoint, log)
	defer probes.close()
	server, err := httpserve.Listen(o.serve, probes.handler(), log)
	if err != nil {
		fmt.Fprintln(stderr, "probetest:", err)
		return exitFailed
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return server.Serve(ctx, probes.cancel) })
	group.Go(func() error {
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-hup:
				if err := server.Reload(); err != nil {
					log.Error("keeping the old certificate", "error", err)
				}
			}
		}
	})
	// The operator's own address is no secret, and whoever starts us on port 0
	// needs it: so this line is not scrubbed.
	slog.New(safelog.NewHandler(stderr, safelog.Options{Unsafe: true})).
		Info(fmt.Sprintf("probetest listening on %s", server.Addr()), "version", version.String())
	if err := group.Wait(); err != nil {
		fmt.Fprintln(stderr, "probetest:", err)
		return exitFailed
	}
	return exitOK
}
