package fuzz

import (
	"encoding/json"
	"slices"
	"testing"

	"flurry/common/vectors"
)

// maxInput is as long as any input the programs hand to a parser: what is longer
// is refused before.
const maxInput = 100_000

// seeds returns the member called member of the input of every case with one of
// these operations, or with any if none is named. Cases without it are passed
// over; a file without any is a fault.
func seeds(f *testing.F, file, member string, ops ...string) []string {
	f.Helper()
	var found []string
	for _, c := range vectors.Load(f, file).Cases {
		if len(ops) > 0 && !slices.Contains(ops, c.Op) {
			continue
		}
		var in map[string]any
		if err := json.Unmarshal(c.In, &in); err != nil {
			f.Fatalf("%s: %v", c.ID, err)
		}
		if text, ok := in[member].(string); ok {
			found = append(found, text)
		}
	}
	if len(found) == 0 {
		f.Fatalf("%s has no seeds in member %q", file, member)
	}
	return found
}

// bounded fails the test if an output is out of proportion to its input. JSON
// writes a byte as up to six.
func bounded(t *testing.T, what string, output, input int) {
	t.Helper()
	const factor, constant = 6, 512
	if output > factor*input+constant {
		t.Errorf("%s: %d bytes out of %d", what, output, input)
	}
}

// boundedError does the same for the text of an error, which may go to a log or
// to a peer.
func boundedError(t *testing.T, err error, input int) {
	t.Helper()
	if err != nil {
		bounded(t, "error", len(err.Error()), input)
	}
}
