// Command broker introduces clients to proxies. It parses the command line and
// runs package snowbroker behind the HTTP servers of package httpserve.
//
// SIGHUP reads the poll intervals and the certificate files again and opens the
// metrics log anew. SIGTERM and SIGINT end it: waiting proxies are told that no
// client came, clients that have a proxy may still get their answer.
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
	"syscall"

	"golang.org/x/sync/errgroup"

	"flurry/broker/httpserve"
	"flurry/broker/snowbroker"
	"flurry/common/messages"
	"flurry/common/safelog"
	"flurry/common/version"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	o, err := parseFlags(args, stdout)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		fmt.Fprintln(stderr, "broker:", err)
		return exitUsage
	case o.version:
		fmt.Fprintln(stdout, "broker", version.String())
		return exitOK
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	if err := serve(ctx, o, hup, stdout, stderr); err != nil {
		fmt.Fprintln(stderr, "broker:", err)
		return exitFailed
	}
	return exitOK
}

// serve runs the broker until ctx ends.
func serve(ctx context.Context, o options, hup <-chan os.Signal, stdout, stderr io.Writer) error {
	log := slog.New(safelog.NewHandler(stderr, safelog.Options{Unsafe: o.unsafeLogging}))
	metrics, err := openMetricsLog(o.metricsLog, stdout)
	if err != nil {
		return err
	}
	defer metrics.close()
	bridges, err := loadBridges(o.bridgeListPath)
	if err != nil {
		return err
	}
	broker, err := snowbroker.New(snowbroker.Config{
		Bridges:             bridges,
		AllowedRelayPattern: messages.ParseRelayPattern(o.allowedRelayPattern),
		MetricsLog:          metrics,
		MetricsPath:         o.metricsLog,
		Logger:              log,
	})
	if err != nil {
		return err
	}
	defer broker.Close()
	server, err := httpserve.Listen(o.serve, broker.Handler(), log)
	if err != nil {
		return err
	}
	if o.allowedRelayPattern == "" {
		log.Warn("-allowed-relay-pattern is empty: only proxies that serve every relay get clients")
	}
	reload := func() {
		loadIntervals(broker, o.pollIntervalPath, log)
		if err := server.Reload(); err != nil {
			log.Error("keeping the old certificate", "error", err)
		}
		if err := metrics.reopen(); err != nil {
			log.Error("keeping the old metrics log", "error", err)
		}
	}
	loadIntervals(broker, o.pollIntervalPath, log)

	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return server.Serve(ctx, broker.Close) })
	group.Go(func() error { return broker.Run(ctx) })
	group.Go(func() error {
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-hup:
				reload()
				log.Info("reloaded")
			}
		}
	})
	// The operator's own address is no secret, and whoever starts us on port 0
	// needs it: so this line is not scrubbed.
	slog.New(safelog.NewHandler(stderr, safelog.Options{Unsafe: true})).
		Info(fmt.Sprintf("broker listening on %s", server.Addr()), "version", version.String(), "bridges", bridges.Len())
	err = group.Wait()
	log.Info("broker ended")
	return err
}

// loadBridges reads the bridge list, or returns the built-in one without path.
func loadBridges(path string) (*snowbroker.Bridges, error) {
	if path == "" {
		return snowbroker.DefaultBridges(), nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return snowbroker.ReadBridges(f)
}

// loadIntervals puts the poll intervals of a file in force. A bad file changes
// nothing.
func loadIntervals(b *snowbroker.Broker, path string, log *slog.Logger) {
	if path == "" {
		return
	}
	f, err := os.Open(path)
	if err != nil {
		log.Error("keeping the old poll intervals", "error", err)
		return
	}
	defer f.Close()
	intervals, err := snowbroker.ReadPollIntervals(f)
	if err != nil {
		log.Error("keeping the old poll intervals", "error", err)
		return
	}
	b.SetPollIntervals(intervals)
}
