package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	pt "gitlab.torproject.org/tpo/anti-censorship/pluggable-transports/goptlib"

	"flurry/client/snowclient"
	"flurry/common/safelog"
)

// openLog makes the log that the flags ask for and a function to close it.
// Without -log everything is discarded: standard error is tor's, and the
// deployed client keeps silent there too.
func openLog(o options) (log *slog.Logger, closeLog func() error, err error) {
	if o.log == "" {
		return safelog.Discard(), func() error { return nil }, nil
	}
	name := o.log
	if o.logToStateDir {
		dir, err := pt.MakeStateDir()
		if err != nil {
			return nil, nil, fmt.Errorf("-log-to-state-dir: %w", err)
		}
		name = filepath.Join(dir, o.log)
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, nil, fmt.Errorf("-log: %w", err)
	}
	return newLogger(f, o.unsafeLogging), f.Close, nil
}

func newLogger(w io.Writer, unsafe bool) *slog.Logger {
	return slog.New(safelog.NewHandler(w, safelog.Options{Unsafe: unsafe}))
}

// newTrace tells the parent, in LOG lines, what becomes of each attempt at a
// proxy. Frontends match these texts (spec section 10.1).
func newTrace() *snowclient.Trace {
	return &snowclient.Trace{
		OfferCreated:     func() { notice("offer created") },
		OfferFailed:      func(err error) { notice("offer creation failure %v", err) },
		RendezvousDone:   func() { notice("broker rendezvous peer received") },
		RendezvousFailed: func(err error) { notice("broker failure %v", err) },
		Connected:        func() { notice("connected") },
		Retrying:         func(err error) { notice("trying a new proxy: %v", err) },
	}
}

// notice writes a LOG line of severity notice, without network addresses.
func notice(format string, args ...any) {
	pt.Log(pt.LogSeverityNotice, scrub(fmt.Sprintf(format, args...)))
}

// warn writes a LOG line of severity warning, without network addresses.
func warn(format string, args ...any) {
	pt.Log(pt.LogSeverityWarning, scrub(fmt.Sprintf(format, args...)))
}

func scrub(text string) string { return string(safelog.Scrub([]byte(text))) }

// oneLine makes text fit where the transport protocol quotes nothing.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, scrub(text))
}
