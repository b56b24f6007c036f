package fuzz

import (
	"bytes"
	"context"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"flurry/common/safelog"
)

// After scrubbing no word is an address, and scrubbing again changes nothing.
func FuzzScrub(f *testing.F) {
	for _, s := range seeds(f, "small_parsers", "line", "scrub") {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		kept := bytes.Clone(text)
		clean := safelog.Scrub(text)
		if !bytes.Equal(text, kept) {
			t.Error("the text was changed in place")
		}
		bounded(t, "clean text", len(clean), len(text))
		noAddress(t, string(clean))
		if again := safelog.Scrub(clean); !bytes.Equal(again, clean) {
			t.Errorf("%q became %q, then %q", text, clean, again)
		}
	})
}

// noAddress fails the test if a word of text is an address, by the standard
// library's reading.
func noAddress(t *testing.T, text string) {
	t.Helper()
	for _, word := range strings.Fields(text) {
		if addr, err := netip.ParseAddr(word); err == nil {
			t.Errorf("address %v in %q", addr, text)
		}
		if addr, err := netip.ParseAddrPort(word); err == nil {
			t.Errorf("address %v in %q", addr, text)
		}
	}
}

// Text that comes in pieces is scrubbed as if it had come at once.
func FuzzScrubWriter(f *testing.F) {
	for _, s := range seeds(f, "small_parsers", "line", "scrub") {
		f.Add([]byte(s), uint8(3))
	}
	f.Fuzz(func(t *testing.T, text []byte, piece uint8) {
		if len(text) > 60_000 { // where the Writer gives up on the end of a line
			return
		}
		var out bytes.Buffer
		w := safelog.NewWriter(&out)
		for rest := text; len(rest) > 0; {
			n := min(int(piece)+1, len(rest))
			if wrote, err := w.Write(rest[:n]); err != nil || wrote != n {
				t.Fatalf("wrote %d of %d, %v", wrote, n, err)
			}
			rest = rest[n:]
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		if want := safelog.Scrub(text); !bytes.Equal(out.Bytes(), want) {
			t.Errorf("%q in pieces became %q, at once %q", text, out.Bytes(), want)
		}
	})
}

// A record is one line of printable text whatever it holds, and no word that
// went in comes out as an address.
func FuzzLogLine(f *testing.F) {
	for _, s := range seeds(f, "small_parsers", "line", "scrub") {
		f.Add(s, "key", s)
	}
	f.Fuzz(func(t *testing.T, message, key, value string) {
		var out bytes.Buffer
		h := safelog.NewHandler(&out, safelog.Options{})
		h = h.WithGroup(key).WithAttrs([]slog.Attr{slog.String(value, key)})
		r := slog.NewRecord(time.Time{}, slog.LevelInfo, message, 0)
		r.Add(key, value, value, slog.GroupValue(slog.String(key, message)))
		if err := h.Handle(context.Background(), r); err != nil {
			t.Fatal(err)
		}
		line, ok := strings.CutSuffix(out.String(), "\n")
		if !ok || !utf8.ValidString(line) || strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("not a line: %q", out.String())
		}
		// The key, the longest part, is written six times: as group, key and value.
		bounded(t, "line", out.Len(), 6*(len(message)+len(key)+len(value)))
		noAddress(t, strings.NewReplacer(`"`, " ", "=", " ").Replace(line))
	})
}
