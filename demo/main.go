// Demo shows the whole system at work on one machine, with nothing to set up: no root, no Internet.
//
//	go run ./demo            fetch a file through it, kill the volunteer in use half way, check every byte
//	go run ./demo -stay      and then leave it running, with a line to paste
//
// It builds the four programs and runs them as test/stage does: what it shows is what the program files do. The exit code
// is 0 only if the file came through whole.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"flurry/test/stage"
)

// config is what the command line says.
type config struct {
	stay      bool
	proxies   int
	max       int
	sizeMB    int
	killEvery time.Duration
}

// exitUsage is the exit code for a bad command line.
const exitUsage = 2

func main() {
	cfg, err := parse(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		os.Exit(0)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(exitUsage)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, cfg, os.Stdout); err != nil {
		if ctx.Err() != nil {
			err = errors.New("interrupted; everything is cleaned up")
		}
		fmt.Fprintln(os.Stderr, "\ndemo:", strings.TrimSpace(err.Error()))
		stop()
		os.Exit(1)
	}
}

func parse(args []string) (config, error) {
	var cfg config
	fs := flag.NewFlagSet("demo", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.BoolVar(&cfg.stay, "stay", false, "leave everything running after the download, until Ctrl-C")
	fs.IntVar(&cfg.proxies, "proxies", 3, "`number` of volunteers, at least 2")
	fs.IntVar(&cfg.max, "max", 2, "`number` of volunteers that the client uses at once")
	fs.IntVar(&cfg.sizeMB, "size", 50, "size of the file in `MB`")
	fs.DurationVar(&cfg.killEvery, "kill-every", 0, "kill the volunteer in use whenever one has carried for this `time` (as in 2s), and start a new one; 0 kills once, half way")
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fmt.Println("Usage: demo [flags]\nRuns a client, a broker, volunteers and a bridge server on this machine and fetches a file through them.")
			fs.SetOutput(os.Stdout)
			fs.PrintDefaults()
		}
		return cfg, err
	}
	switch {
	case fs.NArg() > 0:
		return cfg, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	case cfg.proxies < 2 || cfg.proxies > 50:
		return cfg, errors.New("-proxies must be between 2 and 50: one volunteer is killed and another has to take over")
	case cfg.max < 1 || cfg.max > 10:
		return cfg, errors.New("-max must be between 1 and 10")
	case cfg.sizeMB < 1 || cfg.sizeMB > 10_000:
		return cfg, errors.New("-size must be between 1 and 10000 MB")
	case cfg.killEvery < 0 || cfg.killEvery > 0 && cfg.killEvery < 500*time.Millisecond:
		return cfg, errors.New("-kill-every must be at least 500ms, or 0")
	}
	return cfg, nil
}

// run is the whole show. Everything it starts is gone when it returns.
func run(ctx context.Context, cfg config, out io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "flurry-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)

	fmt.Fprintln(out, "Building client, broker, proxy and server (the first time this takes a minute or two) ...")
	start := time.Now()
	programs, err := stage.Build(ctx, dir)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "Built in %.1f s.\n\n", time.Since(start).Seconds())

	fmt.Fprintf(out, "Starting a broker, a bridge server, a STUN server, %d volunteers and a client, all on this machine ...\n", cfg.proxies)
	s, err := stage.New(ctx, stage.Options{Programs: programs, Proxies: cfg.proxies, Max: cfg.max, Dir: filepath.Join(dir, "run")})
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := s.Close(); err == nil && closeErr != nil {
			err = fmt.Errorf("the download was right, but not the end of the programs: %w", closeErr)
		}
	}()
	fmt.Fprintf(out, "The client's SOCKS5 port is %s. The web site stands behind the bridge:\n", s.Client().Addr())
	fmt.Fprintf(out, "  app -> client => volunteer -> bridge server -> web site\n\n")

	d := newDownload(s, cfg, out)
	if err := d.run(ctx); err != nil {
		if ctx.Err() == nil {
			err = fmt.Errorf("%w\n%s", err, logs(s))
		}
		return err
	}
	d.report()
	if cfg.max > 1 && !cfg.stay {
		fmt.Fprintln(out, "\nTry -max 1 to see a client that uses one volunteer at a time, or -stay to use it yourself; -h lists all flags.")
	}
	if cfg.stay {
		stay(ctx, s, out)
	}
	return nil
}

// stay leaves everything running until Ctrl-C.
func stay(ctx context.Context, s *stage.Stage, out io.Writer) {
	fmt.Fprintf(out, `
Everything keeps running. Paste this in another terminal:

  curl --socks5 %s -o /dev/null 'http://192.0.2.3/file?size=20000000'

Any address will do: the bridge leads to the web site alone. Logs: %s
Ctrl-C ends it.
`, s.Client().Addr(), s.Dir())
	<-ctx.Done()
	fmt.Fprintln(out, "\nEnding everything ...")
}

// logs is what the programs said last, for an error message.
func logs(s *stage.Stage) string {
	text := s.Client().Tail(12) + s.Broker().Tail(6) + s.Server().Tail(6)
	for _, p := range s.Proxies() {
		text += p.Tail(6)
	}
	return text
}
