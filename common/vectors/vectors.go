// Package vectors holds the wire test vectors and the loader that Go tests and
// fuzz seeds share.
//
// The JSON files beside this source are the vectors of the wire specification,
// Appendix A. They are read generically: a file replaced by another of the same
// schema is simply run, and an operation that a test does not know fails it.
//
//	func TestSDPVectors(t *testing.T) {
//		vectors.Run(t, "sdp", map[string]func(*testing.T, vectors.Case){
//			"is_local": testIsLocal,
//		}, "candidate_addrs") // the last is another package's to test
//	}
package vectors

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
)

//go:embed *.json
var files embed.FS

// Schema is the value of the member schema in every file.
const Schema = "snowflake-wire-vectors/1"

// A File is one vector file.
type File struct {
	Schema string `json:"schema"`
	Name   string `json:"name"`
	Cases  []Case `json:"cases"`
}

// A Case is one input of one operation and what must come of it.
type Case struct {
	ID   string          `json:"id"` // unique within the file; the name of the subtest
	Op   string          `json:"op"` // the operation, see Appendix A
	In   json.RawMessage `json:"in"`
	Out  json.RawMessage `json:"out"`
	Note string          `json:"note"` // what the case is about, or ""
}

// Load returns the vector file called name, without ".json". A file that is
// missing, of another schema, or empty fails the test.
func Load(t testing.TB, name string) File {
	t.Helper()
	f, err := read(name)
	if err != nil {
		t.Fatalf("vectors: %v", err)
	}
	return f
}

func read(name string) (File, error) {
	text, err := files.ReadFile(name + ".json")
	if err != nil {
		return File{}, err
	}
	return parse(name, text)
}

func parse(name string, text []byte) (File, error) {
	var f File
	if err := json.Unmarshal(text, &f); err != nil {
		return File{}, fmt.Errorf("%s: %w", name, err)
	}
	if f.Schema != Schema {
		return File{}, fmt.Errorf("%s: schema %q, want %q", name, f.Schema, Schema)
	}
	if len(f.Cases) == 0 {
		return File{}, fmt.Errorf("%s: no cases", name)
	}
	return f, nil
}

// Run runs one subtest for each case of the file called name, with the function
// that ops has for the operation. Operations that belong to another package's
// test are named in elsewhere and passed over; any other operation fails.
func Run(t *testing.T, name string, ops map[string]func(*testing.T, Case), elsewhere ...string) {
	t.Helper()
	for _, c := range Load(t, name).Cases {
		if slices.Contains(elsewhere, c.Op) {
			continue
		}
		t.Run(c.ID, func(t *testing.T) {
			run := ops[c.Op]
			if run == nil {
				t.Fatalf("operation %q is not known here", c.Op)
			}
			run(t, c)
		})
	}
}

// Decode stores the input of the case in *in and its output in *out. Members
// that these types lack fail the test, so that no expectation goes unread; only
// upstream_error, which is never to be compared, is dropped. Either may be nil.
func (c Case) Decode(t testing.TB, in, out any) {
	t.Helper()
	if in != nil {
		if err := strict(c.In, in); err != nil {
			t.Fatalf("%s: input: %v", c.ID, err)
		}
	}
	if out == nil {
		return
	}
	members := make(map[string]json.RawMessage)
	if err := json.Unmarshal(c.Out, &members); err != nil {
		t.Fatalf("%s: output: %v", c.ID, err)
	}
	delete(members, "upstream_error")
	text, err := json.Marshal(members)
	if err != nil {
		t.Fatalf("%s: output: %v", c.ID, err)
	}
	if err := strict(text, out); err != nil {
		t.Fatalf("%s: output: %v", c.ID, err)
	}
}

func strict(text []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	return d.Decode(v)
}

// Payload returns the n bytes that a vector names by seed and length: byte i is
// (seed + 7*i + floor(i/256)) mod 256.
func Payload(seed, n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(seed + 7*i + i/256)
	}
	return p
}
