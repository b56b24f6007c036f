package vectors

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Every file loads, bears its own name, and has a name for each of its cases.
func TestFiles(t *testing.T) {
	entries, err := files.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		name := strings.TrimSuffix(e.Name(), ".json")
		f := Load(t, name)
		if f.Name != name {
			t.Errorf("%s: name is %q", name, f.Name)
		}
		ids := make(map[string]bool)
		for _, c := range f.Cases {
			if c.ID == "" || c.Op == "" || ids[c.ID] {
				t.Errorf("%s: case id %q, op %q is empty or there twice", name, c.ID, c.Op)
			}
			ids[c.ID] = true
		}
	}
}

func TestReadFaults(t *testing.T) {
	for name, file := range map[string]string{
		"not JSON":     `{`,
		"other schema": `{"schema":"x","cases":[{}]}`,
		"no cases":     `{"schema":"` + Schema + `","cases":[]}`,
	} {
		if _, err := parse(name, []byte(file)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := read("absent"); err == nil {
		t.Error("a file that is not there is read")
	}
}

func TestDecodeIsStrict(t *testing.T) {
	c := Case{In: []byte(`{"a":1,"b":2}`), Out: []byte(`{"c":1,"upstream_error":"x"}`)}
	var narrow struct{ A int }
	if err := strict(c.In, &narrow); err == nil {
		t.Error("a member without a field is overlooked")
	}
	var in struct{ A, B int }
	var out struct{ C int }
	c.Decode(t, &in, &out)
	if in.A != 1 || in.B != 2 || out.C != 1 {
		t.Errorf("got %+v, %+v", in, out)
	}
}

// The payload is checked against a vector that shows one in full.
func TestPayload(t *testing.T) {
	want, err := hex.DecodeString("282f363d44")
	if err != nil {
		t.Fatal(err)
	}
	if got := Payload(40, 5); !bytes.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
	if got := Payload(0, 257)[256]; got != byte(1) { // 7*256+1 mod 256
		t.Errorf("byte 256 is %d", got)
	}
}
