package safelog_test

import (
	"testing"

	"flurry/common/safelog"
	"flurry/common/vectors"
)

func TestScrubVectors(t *testing.T) {
	vectors.Run(t, "small_parsers", map[string]func(*testing.T, vectors.Case){
		"scrub": scrub,
	},
		"fingerprint",                        // common/messages
		"http_client_ip",                     // broker
		"utls_name",                          // client side of the rendezvous
		"covertdtls",                         // not built
		"sqscreds_encode", "sqscreds_decode", // not built
	)
}

func scrub(t *testing.T, c vectors.Case) {
	var in, want struct{ Line string }
	c.Decode(t, &in, &want)
	if got := string(safelog.Scrub([]byte(in.Line))); got != want.Line {
		t.Errorf("%q became %q, want %q", in.Line, got, want.Line)
	}
}
