package safelog_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/slogtest"
	"time"

	"flurry/common/safelog"
)

// at is the time of records in these tests.
var at = time.Date(2026, 11, 22, 15, 4, 5, 999, time.FixedZone("", 3600))

// line returns what a Handler with these Options writes for one record.
func line(t *testing.T, o safelog.Options, message string, args ...any) string {
	t.Helper()
	var out bytes.Buffer
	r := slog.NewRecord(at, slog.LevelInfo, message, 0)
	r.Add(args...)
	if err := safelog.NewHandler(&out, o).Handle(context.Background(), r); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestHandlerLine(t *testing.T) {
	const stamp = "2026/11/22 14:04:05 "
	addr := netip.MustParseAddr("192.0.2.1")
	for _, c := range []struct {
		args []any
		want string
	}{
		{nil, ""},
		{[]any{"n", 3, "on", true, "f", 0.5, "u", uint64(7)}, " n=3 on=true f=0.5 u=7"},
		{[]any{"d", 90 * time.Second, "t", at}, ` d=1m30s t="2026/11/22 14:04:05"`},
		{[]any{"s", "two words", "e", "", "q", `a"b`, "eq", "a=b"}, ` s="two words" e="" q="a\"b" eq="a=b"`},
		{[]any{"err", errors.New("dial 192.0.2.1:80: refused")}, ` err="dial [scrubbed]: refused"`},
		{[]any{"err", error(nil)}, " err=<nil>"},
		{[]any{"b", []byte{1, 2}}, ` b="[1 2]"`},
		{[]any{"a", addr, "p", netip.AddrPortFrom(addr, 1)}, " a=[scrubbed] p=[scrubbed]"},
		{[]any{"s", struct{ A netip.Addr }{addr}}, " s={A:[scrubbed]}"},
		{[]any{"x", "a\nb\r\t\x00\x7f"}, ` x="a\nb\r\t\x00\x7f"`},
		{[]any{"a b", 1, "192.0.2.1", 2, "k\n", 3}, " \"a b\"=1 [scrubbed]=2 \"k\\n\"=3"},
		{[]any{"x", "\u2028\xff\x1b[0m"}, ` x="\u2028\xff\x1b[0m"`},
		// The escape before an address must not make it part of a word.
		{[]any{"x", "a\n192.0.2.1"}, ` x="a\n[scrubbed]"`},
		{[]any{"x", "a\n192.0.2.1 b"}, ` x="a\n[scrubbed] b"`},
		{[]any{slog.Group("g", "a", 1, slog.Group("h", "b", 2)), slog.Group("empty")}, " g.a=1 g.h.b=2"},
		{[]any{slog.Group("", "a", 1)}, " a=1"},
		{[]any{"a", safelog.Addr("host.example")}, " a=[scrubbed]"},
		{[]any{"m", map[string]safelog.Address{"k": safelog.Addr("host.example")}}, " m=map[k:[scrubbed]]"},
	} {
		if got, want := line(t, safelog.Options{}, "message", c.args...), stamp+"message"+c.want+"\n"; got != want {
			t.Errorf("%v:\n got %q\nwant %q", c.args, got, want)
		}
	}
}

func TestHandlerMessage(t *testing.T) {
	const stamp = "2026/11/22 14:04:05 "
	for message, want := range map[string]string{
		"plain":                    "plain",
		"ä ↓ 日本":                   "ä ↓ 日本",
		"from 192.0.2.1:80 é":      "from [scrubbed] é",
		"two\nlines":               `two\nlines`,
		"a\n192.0.2.1":             `a\n[scrubbed]`,
		"\x1b[2J \u2028 \xff \x7f": `\x1b[2J \u2028 \xff \x7f`,
		`say "x=1"`:                `say "x=1"`,
	} {
		if got := line(t, safelog.Options{}, message); got != stamp+want+"\n" {
			t.Errorf("%q: got %q", message, got)
		}
	}
}

func TestHandlerUnsafe(t *testing.T) {
	o := safelog.Options{Unsafe: true}
	got := line(t, o, "from 192.0.2.1", "a", safelog.Addr("host.example"), "b", "192.0.2.2\n")
	if want := "2026/11/22 14:04:05 from 192.0.2.1 a=host.example b=\"192.0.2.2\\n\"\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestHandlerLocalTime(t *testing.T) {
	got := line(t, safelog.Options{LocalTime: true}, "message")
	if want := at.Local().Format("2006/01/02 15:04:05") + " message\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestHandlerDerived(t *testing.T) {
	var out bytes.Buffer
	base := slog.New(safelog.NewHandler(&out, safelog.Options{}))
	grouped := base.With("a", "192.0.2.1").WithGroup("g").With("b", 2)
	// Two loggers derived from one must not write into each other.
	one, two := grouped.With("c", 1), grouped.With("c", 2)
	one.Info("m", "d", 3)
	two.WithGroup("h").Info("m", "d", 4)
	base.Info("m")
	var got []string
	for l := range strings.Lines(out.String()) {
		got = append(got, l[len("2006/01/02 15:04:05 "):])
	}
	want := []string{"m a=[scrubbed] g.b=2 g.c=1 g.d=3\n", "m a=[scrubbed] g.b=2 g.c=2 g.h.d=4\n", "m\n"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestHandlerLevel(t *testing.T) {
	var level slog.LevelVar
	level.Set(slog.LevelWarn)
	h := safelog.NewHandler(io.Discard, safelog.Options{Level: &level})
	if h.Enabled(context.Background(), slog.LevelInfo) {
		t.Error("Info is written at level Warn")
	}
	level.Set(slog.LevelDebug)
	if !h.Enabled(context.Background(), slog.LevelDebug) {
		t.Error("a changed level has no effect")
	}
	if safelog.NewHandler(io.Discard, safelog.Options{}).Enabled(context.Background(), slog.LevelDebug) {
		t.Error("Debug is written by default")
	}
}

// The rules that package slog has for every Handler.
func TestHandlerRules(t *testing.T) {
	var out bytes.Buffer
	err := slogtest.TestHandler(safelog.NewHandler(&out, safelog.Options{}), func() []map[string]any {
		var records []map[string]any
		for l := range strings.Lines(out.String()) {
			records = append(records, parseLine(t, strings.TrimSuffix(l, "\n")))
		}
		return records
	})
	if err != nil {
		t.Error(err)
	}
}

// parseLine reads a line back, as slogtest wants it. The level is not in the
// line; slogtest only asks that it be a key.
func parseLine(t *testing.T, l string) map[string]any {
	t.Helper()
	record := map[string]any{slog.LevelKey: slog.LevelInfo}
	if len(l) > 19 && l[4] == '/' {
		record[slog.TimeKey], l = l[:19], l[20:]
	}
	words := strings.Fields(l)
	record[slog.MessageKey] = words[0]
	for _, w := range words[1:] {
		key, value, ok := strings.Cut(w, "=")
		if !ok {
			t.Fatalf("%q has a word without a key", l)
		}
		in := record
		path := strings.Split(key, ".")
		for _, group := range path[:len(path)-1] {
			if in[group] == nil {
				in[group] = map[string]any{}
			}
			in = in[group].(map[string]any)
		}
		if unquoted, err := strconv.Unquote(value); err == nil {
			value = unquoted
		}
		in[path[len(path)-1]] = value
	}
	return record
}

// Records of many goroutines come out as whole lines, none missing.
func TestHandlerConcurrent(t *testing.T) {
	const writers, records = 8, 200
	var out lineWriter // not safe by itself: the Handler must not write twice at once
	logger := slog.New(safelog.NewHandler(&out, safelog.Options{}))
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			derived := logger.With("writer", w)
			for n := range records {
				derived.Info("m", "n", n, "addr", "192.0.2.1")
			}
		})
	}
	wg.Wait()
	seen := make(map[string]bool)
	for _, l := range out.writes {
		seen[l[len("2006/01/02 15:04:05 "):]] = true
	}
	for w := range writers {
		for n := range records {
			if want := fmt.Sprintf("m writer=%d n=%d addr=[scrubbed]\n", w, n); !seen[want] {
				t.Fatalf("line %q is missing", want)
			}
		}
	}
}

func TestHandlerReportsWriteErrors(t *testing.T) {
	broken := errors.New("broken")
	h := safelog.NewHandler(failing{broken}, safelog.Options{})
	if err := h.Handle(context.Background(), slog.NewRecord(at, 0, "m", 0)); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

func TestErrorLog(t *testing.T) {
	var out bytes.Buffer
	l := safelog.ErrorLog(slog.New(safelog.NewHandler(&out, safelog.Options{})))
	l.Printf("http: TLS handshake error from %s: EOF", "192.0.2.1:443")
	if got := out.String(); !strings.HasSuffix(got, " http: TLS handshake error from [scrubbed]: EOF\n") {
		t.Errorf("got %q", got)
	}
}

func TestDiscard(t *testing.T) {
	if safelog.Discard().Enabled(context.Background(), slog.LevelError) {
		t.Error("a discarding logger is enabled")
	}
}

// An Addr does not leak through the Handlers and verbs of other packages.
func TestAddrElsewhere(t *testing.T) {
	var out bytes.Buffer
	a := safelog.Addr("host.example")
	slog.New(slog.NewTextHandler(&out, nil)).Info("m", "a", a)
	fmt.Fprintf(&out, "%v %+v %#v %s", a, a, a, a)
	if strings.Contains(out.String(), "host") {
		t.Errorf("got %s", out.String())
	}
}

func BenchmarkHandler(b *testing.B) {
	logger := slog.New(safelog.NewHandler(io.Discard, safelog.Options{})).With("component", "proxy")
	b.ReportAllocs()
	for b.Loop() {
		logger.Info("client connected", "session", "abcdef", "n", 12)
	}
}

func ExampleNewHandler() {
	h := safelog.NewHandler(os.Stdout, safelog.Options{})
	r := slog.NewRecord(time.Time{}, slog.LevelInfo, "relay refused", 0)
	r.Add("relay", safelog.Addr("relay.example"), "error", "dial 192.0.2.1:443: connection refused")
	_ = h.Handle(context.Background(), r)
	// Output: relay refused relay=[scrubbed] error="dial [scrubbed]: connection refused"
}
