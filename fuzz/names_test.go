package fuzz

import (
	"strings"
	"testing"

	"flurry/common/messages"
)

// What a pattern covers it accepts: a broker relies on it when it sends a relay
// to a proxy.
func FuzzRelayPattern(f *testing.F) {
	hosts := seeds(f, "name_matcher", "host")
	for i, rule := range seeds(f, "name_matcher", "rule", "member") {
		f.Add(rule, rule, hosts[i%len(hosts)])
	}
	inner := seeds(f, "name_matcher", "b")
	for i, outer := range seeds(f, "name_matcher", "a") {
		f.Add(outer, inner[i], hosts[i%len(hosts)])
	}
	f.Fuzz(func(t *testing.T, outer, inner, host string) {
		a, b := messages.ParseRelayPattern(outer), messages.ParseRelayPattern(inner)
		if messages.ParseRelayPattern(a.String()) != a {
			t.Errorf("%q is written %q, which is another pattern", outer, a)
		}
		if !messages.ValidRelayPattern(a.String()) {
			t.Errorf("%q is written %q, which no operator may give", outer, a)
		}
		if !a.Covers(a) || !(messages.RelayPattern{}).Covers(a) {
			t.Errorf("%q is not covered by itself and by the pattern for all", outer)
		}
		if a.Covers(b) && b.Matches(host) && !a.Matches(host) {
			t.Errorf("%q covers %q but does not accept %q", outer, inner, host)
		}
	})
}

// A fingerprint that is accepted is written as it was read, but for the case.
func FuzzFingerprint(f *testing.F) {
	for _, s := range seeds(f, "small_parsers", "text", "fingerprint") {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := messages.ParseFingerprint(text)
		boundedError(t, err, len(text))
		if err != nil {
			return
		}
		if text == "" {
			text = messages.DefaultFingerprint.String()
		}
		if p.String() != strings.ToUpper(text) || len(p) != 20 && len(p) != 32 {
			t.Errorf("%q became %v", text, p)
		}
	})
}
