// Command client is the Snowflake pluggable-transport client: tor (or any
// program that speaks pt-spec version 1) starts it, and it offers a SOCKS5 port
// whose connections reach a bridge through volunteers' proxies.
//
//	tor ─ stdin, stdout, environment ─ main.go      when to start and to stop
//	tor ─ SOCKS5 ─ socks.go                         one connection, one stream
//	               flags.go                         flags and SOCKS arguments -> settings
//	               transports.go                    one snowclient.Transport per settings
//	                 └ snowclient                   everything else
//
// A torrc that uses it:
//
//	UseBridges 1
//	ClientTransportPlugin snowflake exec ./client -log snowflake.log
//	Bridge snowflake 192.0.2.3:80 2B28... fingerprint=2B28... url=https://broker.example/ ice=stun:stun.example:3478
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	pt "gitlab.torproject.org/tpo/anti-censorship/pluggable-transports/goptlib"

	"flurry/client/snowclient"
	"flurry/common/covert"
	"flurry/common/version"
)

const (
	programName   = "snowflake-client"
	transportName = "snowflake"

	// stopTimeout bounds the end of the program. tor gives its transports
	// about a second before it kills them; other frontends wait longer, and
	// that lets every bridge learn that we go.
	stopTimeout = 3 * time.Second
)

// gcPercent is how much garbage, in per cent of what is in use, the program
// lets pile up. Little is in use, and phones are among the users: at full speed
// the usual 100 made 42 MB of resident memory, 40 makes 33, for no measurable
// processor time; 25 saves 1 MB more and costs a fifth.
const gcPercent = 40

// Exit codes (spec section 10.1; 2 is what Go's flag package has for bad flags).
const (
	exitOK    = 0
	exitError = 1
	exitUsage = 2
)

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	os.Exit(run(os.Args[1:], os.Stdin, os.Stderr))
}

// run is the program. The lines of the transport protocol go to standard
// output by way of goptlib.
func run(args []string, stdin io.Reader, stderr io.Writer) int {
	o, err := parseFlags(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		fmt.Fprintf(stderr, "%s: %v\n", programName, err)
		return exitUsage
	case o.version:
		fmt.Fprintf(stderr, "%s %s\nutls-imitate knows: %s\n", programName, version.String(), strings.Join(append([]string{autoHello}, covert.HelloNames()...), ", "))
		return exitOK
	}
	methods, err := setUp(stderr)
	if err != nil {
		return exitError
	}
	log, closeLog, err := openLog(o)
	if err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", programName, err)
		return exitError
	}
	defer closeLog()

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if os.Getenv("TOR_PT_EXIT_ON_STDIN_CLOSE") == "1" {
		var stopStdin context.CancelFunc
		ctx, stopStdin = context.WithCancel(ctx)
		go func() { // ends with the process: nothing can interrupt a read of standard input
			defer stopStdin()
			io.Copy(io.Discard, stdin)
		}()
	}
	serve(ctx, o, methods, log)
	return exitOK
}

// setUp reads the transport environment and answers it. On an error the parent
// has been told.
func setUp(stderr io.Writer) (methods []string, err error) {
	if os.Getenv("TOR_PT_MANAGED_TRANSPORT_VER") == "" {
		fmt.Fprintf(stderr, "%s is started by tor, not by hand: put a line such as\n"+
			"  ClientTransportPlugin snowflake exec /path/to/client -log snowflake.log\n"+
			"and a Bridge line into torrc.\n", programName)
	}
	// Taken out, because goptlib says nothing to the parent about one that it
	// cannot parse.
	proxy := os.Getenv("TOR_PT_PROXY")
	os.Unsetenv("TOR_PT_PROXY")
	info, err := pt.ClientSetup(nil)
	if err != nil {
		return nil, err
	}
	if proxy != "" {
		return nil, pt.ProxyError("outbound proxies are not supported by this version")
	}
	pt.ReportVersion(programName, version.String())
	return info.MethodNames, nil
}

// natFile is the file, in the directory that tor keeps for transports, in which
// the kind of NAT is remembered.
const natFile = "snowflake-nat.json"

// newNATMemory remembers across starts if tor gives a directory for that.
func newNATMemory(log *slog.Logger) *snowclient.NATMemory {
	if os.Getenv("TOR_PT_STATE_LOCATION") == "" {
		return snowclient.NewNATMemory("", log)
	}
	dir, err := pt.MakeStateDir()
	if err != nil {
		log.Info("the NAT type is not remembered", "err", err)
		return snowclient.NewNATMemory("", log)
	}
	return snowclient.NewNATMemory(filepath.Join(dir, natFile), log)
}

// serve opens a SOCKS port for each method that is ours, serves them until ctx
// ends, and winds up within stopTimeout.
func serve(ctx context.Context, o options, methods []string, log *slog.Logger) {
	log.Info("starting", "version", version.String())
	c := &client{base: o.settings, log: log, transports: newTransports(newNATMemory(log), log)}
	if s, err := o.withArgs(nil); err == nil && slices.Contains(methods, transportName) {
		// The flags name a broker, so that a connection without arguments of its
		// own will come, mostly at once.
		c.transports.prepare(s)
	}
	var listeners []net.Listener
	var accepting sync.WaitGroup
	for _, name := range methods {
		if name != transportName {
			pt.CmethodError(oneLine(name), "no such method")
			continue
		}
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			pt.CmethodError(name, oneLine(err.Error()))
			continue
		}
		listeners = append(listeners, ln)
		accepting.Go(func() { c.accept(ctx, ln) })
		pt.Cmethod(name, "socks5", ln.Addr())
	}
	pt.CmethodsDone()
	<-ctx.Done()
	log.Info("stopping")
	for _, ln := range listeners {
		ln.Close()
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		accepting.Wait()
		c.transports.close()
		c.conns.Wait()
	}()
	select {
	case <-stopped:
	case <-time.After(stopTimeout):
		log.Info("stopped before everything was closed")
	}
}
