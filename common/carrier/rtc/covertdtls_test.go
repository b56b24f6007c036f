package rtc

import (
	"strings"
	"testing"

	"flurry/common/vectors"
)

const helloBody = "fefd" + "0000000000000000000000000000000000000000000000000000000000000000" + "00" + "00" + "0002c02b" + "0100"

func TestParseCovertDTLS(t *testing.T) {
	for _, c := range []struct {
		config, fingerprint string
		want                Profile
		ok                  bool
	}{
		{"", "", AnyBrowser, true},
		{"mimic", "", Chromium, true},
		{"MIMIC", "", Chromium, true},
		{"randomize", "", AnyBrowser, true},
		{"RandomizeMimic", "", AnyBrowser, true},
		{"disable", "", Pion, true},
		{"disable", helloBody, Chromium, true},
		{"", strings.ToUpper(helloBody), Chromium, true},
		{"chromium", "", "", false},
		{"mimic ", "", "", false},
		{"", "fefd", "", false},
		{"", "fefc" + helloBody[4:], "", false},
		{"", helloBody + "0", "", false},
		{"", "hello", "", false},
	} {
		got, err := ParseCovertDTLS(c.config, c.fingerprint)
		if got != c.want || (err == nil) != c.ok {
			t.Errorf("%q, %.10q: %q, %v", c.config, c.fingerprint, got, err)
		}
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("more than one line: %q", err)
		}
	}
}

// The words are those of the specification. An empty one, which is an error
// there, is one that is not given here.
func TestCovertDTLSVectors(t *testing.T) {
	vectors.Run(t, "small_parsers", map[string]func(*testing.T, vectors.Case){
		"covertdtls": func(t *testing.T, c vectors.Case) {
			var in struct{ Text string }
			var out struct{ OK, Mimic, Randomize bool }
			c.Decode(t, &in, &out)
			p, err := ParseCovertDTLS(in.Text, "")
			if (err == nil) != out.OK && in.Text != "" {
				t.Errorf("%q: %v", in.Text, err)
			}
			if err == nil && in.Text != "" && (p == Pion) != (!out.Mimic && !out.Randomize) {
				t.Errorf("%q: %q", in.Text, p)
			}
		},
	}, "fingerprint", "sqscreds_encode", "sqscreds_decode", "utls_name", "scrub", "http_client_ip")
}
