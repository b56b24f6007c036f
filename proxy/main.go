// Program proxy is the volunteer's part of Snowflake: it asks the broker for
// clients and carries their bytes to a bridge.
//
// SIGINT and SIGTERM end it: it stops polling at once, closes the connections
// of its clients, giving bytes under way about two seconds to leave, and exits
// with code 0. Clients go on through another proxy. A second signal ends it
// without further ado.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"flurry/common/safelog"
	"flurry/common/version"
	"flurry/proxy/snowproxy"
)

// Exit codes.
const (
	exitOK    = 0
	exitError = 1 // cannot start, or cannot go on
	exitUsage = 2 // bad flags
)

// gcPercent is how much garbage, in per cent of what is in use, may pile up. A
// volunteer's machine is small, nearly all garbage is the WebRTC stack's (seven
// short-lived buffers for each packet), and little of it is in use at any time:
// at full speed 100 made 32 MB of resident memory, 50 makes 24, 40 makes 22 for
// a tenth more processor time on the way down; 30 saves no more. GOGC in the
// environment wins.
const gcPercent = 40

// logFileMode keeps the log to its owner.
const logFileMode = 0o600

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run is main with its surroundings as arguments. It returns the exit code.
func run(args []string, stdout, stderr io.Writer) int {
	o, err := parseFlags(args, stderr)
	switch {
	case errors.Is(err, errUsage):
		return exitOK
	case err != nil:
		fmt.Fprintf(stderr, "proxy: %v\n", err)
		return exitUsage
	case o.version:
		fmt.Fprintf(stdout, "snowflake-proxy %s\n", version.String())
		return exitOK
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // the next signal has its usual effect
	if err := serve(ctx, o, stderr); err != nil {
		fmt.Fprintf(stderr, "proxy: %v\n", err)
		return exitError
	}
	return exitOK
}

// serve runs a Proxy, and the metrics server if it is wanted, until ctx ends.
func serve(ctx context.Context, o options, stderr io.Writer) error {
	logger, closeLog, err := openLog(o, stderr)
	if err != nil {
		return err
	}
	defer closeLog()
	o.proxy.Logger = logger
	if o.metrics {
		m, err := startMetrics(o.metricsAddress, o.metricsPort, logger)
		if err != nil {
			return err
		}
		defer m.close()
		o.proxy.Registerer = m.registry
	}
	p, err := snowproxy.New(o.proxy)
	if err != nil {
		return err
	}
	if o.logLocalTime {
		logger.Info("Log times are local: before you share a log, consider that they tell where you are")
	}
	if warning, few := fewPorts(o.proxy); few {
		logger.Warn("-ephemeral-ports-range: " + warning)
	}
	return p.Run(ctx)
}

// openLog makes the logger that the flags ask for.
func openLog(o options, stderr io.Writer) (*slog.Logger, func(), error) {
	to, done := stderr, func() {}
	if o.logFile != "" {
		f, err := os.OpenFile(o.logFile, os.O_APPEND|os.O_CREATE|os.O_WRONLY, logFileMode)
		if err != nil {
			return nil, nil, fmt.Errorf("log file: %w", err)
		}
		to, done = io.MultiWriter(f, stderr), func() { f.Close() }
	}
	level := slog.LevelInfo
	if o.verbose {
		level = slog.LevelDebug
	}
	return slog.New(safelog.NewHandler(to, safelog.Options{
		Unsafe:    o.unsafeLogging,
		LocalTime: o.logLocalTime,
		Level:     level,
	})), done, nil
}
