// Command server is the bridge's end of Snowflake: a pluggable transport that
// tor starts. It takes WebSockets from volunteers' proxies, or WebTransport, finds
// the clients' streams in them, and connects each to tor's OR port.
//
//	proxies ══ WebSocket ══ snowserver.Listener ── relay.go ── orport.go ── tor
//
// The work is in package snowserver; here are the flags (flags.go), tor's
// managed-proxy protocol (main.go, service.go), certificates (tls.go) and the
// way to tor (orport.go, relay.go).
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
	"time"

	"flurry/common/safelog"
	"flurry/common/version"

	pt "gitlab.torproject.org/tpo/anti-censorship/pluggable-transports/goptlib"
)

const (
	// methodName is the transport's name in torrc and towards tor.
	methodName = "snowflake"

	// implementation names this program in tor's STATUS line.
	implementation = "snowflake-server"

	// stopLimit bounds the end of the program: tor kills a transport that
	// takes long.
	stopLimit = 2 * time.Second
)

// Exit codes.
const (
	exitOK    = 0
	exitError = 1 // cannot run in this environment (spec section 10.1)
	exitUsage = 2 // bad flags
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is the program; it returns the exit code.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	o, err := parseFlags(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return exitOK
	}
	if err != nil {
		fmt.Fprintln(stderr, "server:", err)
		return exitUsage
	}
	if o.version {
		fmt.Fprintln(stdout, implementation, version.String())
		return exitOK
	}
	log, closeLog, err := openLog(o, stderr)
	if err != nil {
		fmt.Fprintln(stderr, "server:", err)
		return exitError
	}
	defer closeLog()

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	info, err := pt.ServerSetup(nil)
	if err != nil { // tor has been told
		fmt.Fprintf(stderr, "server: %v\nThis program is started by tor: see ServerTransportPlugin in torrc.\n", err)
		return exitError
	}
	pt.ReportVersion(implementation, version.String())
	ctx = untilStdinCloses(ctx, stdin)

	var running []*service
	for _, b := range info.Bindaddrs {
		if s := startMethod(ctx, o, &info, b, log); s != nil {
			running = append(running, s)
		}
	}
	pt.SmethodsDone()
	wait(ctx, hup, running, log)
	stopAll(running)
	log.Info("ended")
	return exitOK
}

// openLog opens the log that o asks for.
func openLog(o options, stderr io.Writer) (*slog.Logger, func(), error) {
	w, closeLog := stderr, func() {}
	if o.log != "" {
		f, err := os.OpenFile(o.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			return nil, nil, fmt.Errorf("open the log: %w", err)
		}
		w, closeLog = f, func() { f.Close() }
	}
	return slog.New(safelog.NewHandler(w, safelog.Options{Unsafe: o.unsafeLogging})), closeLog, nil
}

// untilStdinCloses derives a context that ends with standard input, if tor
// asked for that. The goroutine that reads lives as long as the program:
// nothing can interrupt it.
func untilStdinCloses(ctx context.Context, stdin io.Reader) context.Context {
	if !exitOnStdinClose() {
		return ctx
	}
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		io.Copy(io.Discard, stdin)
		cancel()
	}()
	return ctx
}

// startMethod starts what tor asks for in b and tells tor how that went. It
// returns nil when nothing was started.
func startMethod(ctx context.Context, o options, info *pt.ServerInfo, b pt.Bindaddr, log *slog.Logger) *service {
	if b.MethodName != methodName {
		pt.SmethodError(b.MethodName, "no such method")
		return nil
	}
	s, err := startService(ctx, o, info, b, log)
	if err != nil {
		log.Error("cannot serve", "error", err)
		pt.SmethodError(b.MethodName, smethodText(err))
		return nil
	}
	log.Info("listening", "address", s.listener.Addr().String(), "tls", !o.disableTLS, "webtransport", o.webTransport)
	fmt.Fprintf(pt.Stdout, "SMETHOD %s %s ARGS:%s\n", b.MethodName, s.listener.Addr(), s.args)
	return s
}

// smethodText makes an error fit for the line to tor: printable ASCII only.
func smethodText(err error) string {
	text := []byte(err.Error())
	for i, c := range text {
		if c < ' ' || c > '~' {
			text[i] = '?'
		}
	}
	return string(text)
}

// wait returns when ctx ends. Meanwhile each signal on hup reloads certificates.
func wait(ctx context.Context, hup <-chan os.Signal, running []*service, log *slog.Logger) {
	for {
		select {
		case <-hup:
			for _, s := range running {
				if err := s.reload(); err != nil {
					log.Error("certificate not reloaded, the old one stays", "error", err)
				}
			}
		case <-ctx.Done():
			return
		}
	}
}

// stopAll stops the services, for at most stopLimit.
func stopAll(running []*service) {
	ctx, cancel := context.WithTimeout(context.Background(), stopLimit)
	defer cancel()
	done := make(chan struct{})
	go func() { // a service that does not end in time ends with the program
		defer close(done)
		for _, s := range running {
			s.stop(ctx)
		}
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
}
