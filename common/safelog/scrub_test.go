package safelog_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"flurry/common/safelog"
)

func TestScrub(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		// Addresses, wherever they stand.
		{"192.0.2.1", "[scrubbed]"},
		{"addr=192.0.2.1,192.0.2.2;", "addr=[scrubbed],[scrubbed];"},
		{"(192.0.2.1:80)", "([scrubbed])"},
		{"192.0.2.1.", "[scrubbed]."},
		{"192.0.2.1/24", "[scrubbed]/24"},
		{"a\n192.0.2.1\nb", "a\n[scrubbed]\nb"},
		{"http://192.0.2.1:8080/x", "http://[scrubbed]/x"},
		{"wss://[2001:db8::1]:443/x", "wss://[scrubbed]/x"},
		{"client_ip=2001%3Adb8%3A%3A1&x", "client_ip=[scrubbed]&x"},
		{"client_ip=%5B2001%3Adb8%3A%3A1%5D", "client_ip=%5B[scrubbed]%5D"},
		{"192.0.2.1%3a80 x", "[scrubbed] x"},
		{"\"192.0.2.1\"", "\"[scrubbed]\""},
		{"::", "[scrubbed]"},
		{"[::]:0", "[scrubbed]"},
		{"2001:db8:1:2:3:4:5:6", "[scrubbed]"},
		{"2001:db8:1:2:3:4:192.0.2.1", "[scrubbed]"},
		{"64:ff9b::192.0.2.1", "[scrubbed]"},
		{"[64:ff9b::192.0.2.1]:1", "[scrubbed]"},
		{"2001:db8:1:2:3:4:5:6:443", "[scrubbed]"},
		{"2001:db8::1:12345", "[scrubbed]"}, // an address and a port
		{"2001:DB8::", "[scrubbed]"},
		{"2001:db8::%eth0", "[scrubbed]%eth0"},
		{"1:2:3:4:5:6:7:8::5", "[scrubbed][scrubbed]"},
		{"999.999.999.999", "[scrubbed]"},
		// A letter beyond ASCII is no hiding place, and comes out whole.
		{"é192.0.2.1é", "é[scrubbed]é"},
		{"日本192.0.2.1:1日本", "日本[scrubbed]日本"},
		{"\xff192.0.2.1\xff", "\xff[scrubbed]\xff"},
		// What only looks like one.
		{"", ""},
		{"15:04:05", "15:04:05"},
		{"2006/01/02 15:04:05.000", "2006/01/02 15:04:05.000"},
		{"a:b:c", "a:b:c"},
		{"std::string", "std::string"},
		{"1.2.3", "1.2.3"},
		{"v1.2.3.4x", "v1.2.3.4x"},
		{"1234.5.6.7", "1234.5.6.7"},
		{"02:00:5e:10:00:00", "02:00:5e:10:00:00"},
		{"100%3A", "100%3A"},
		{"[]", "[]"},
		// Ports that are none stay.
		{"192.0.2.1:123456", "[scrubbed]:123456"},
		{"192.0.2.1:80x", "[scrubbed]:80x"},
		{"[2001:db8::1]x", "[[scrubbed]]x"},
	} {
		in := []byte(c.text)
		if got := string(safelog.Scrub(in)); got != c.want {
			t.Errorf("%q became %q, want %q", c.text, got, c.want)
		}
		if string(in) != c.text {
			t.Errorf("%q was changed in place", c.text)
		}
	}
}

func TestScrubWithoutAddressDoesNotAllocate(t *testing.T) {
	text := []byte("2026/11/22 15:04:05 proxy starting version=0.1.0 nat=unrestricted")
	if n := testing.AllocsPerRun(100, func() { safelog.Scrub(text) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// However a text is cut into writes, what comes out is the same.
func TestWriterPieces(t *testing.T) {
	const text = "from 192.0.2.1:443 é\n2001:db8::1\n\nlast [2001:db8::2]:1"
	const want = "from [scrubbed] é\n[scrubbed]\n\nlast [scrubbed]"
	for size := 1; size <= len(text); size++ {
		var out lineWriter
		w := safelog.NewWriter(&out)
		for rest := text; rest != ""; {
			n := min(size, len(rest))
			if wrote, err := w.Write([]byte(rest[:n])); err != nil || wrote != n {
				t.Fatalf("wrote %d of %d, %v", wrote, n, err)
			}
			rest = rest[n:]
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(out.writes, ""); got != want || len(out.writes) != 4 {
			t.Fatalf("in pieces of %d: %q", size, out.writes)
		}
	}
}

// lineWriter notes each write.
type lineWriter struct{ writes []string }

func (w *lineWriter) Write(p []byte) (int, error) {
	w.writes = append(w.writes, string(p))
	return len(p), nil
}

// A line without end takes bounded memory, and an address in it is not let
// through in halves.
func TestWriterLongLine(t *testing.T) {
	var out bytes.Buffer
	w := safelog.NewWriter(&out)
	text := strings.Repeat("x 192.0.2.1 ", 30_000)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if out.Len() == 0 {
		t.Error("nothing was passed on of a long line")
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if want := strings.ReplaceAll(text, "192.0.2.1", "[scrubbed]"); out.String() != want {
		t.Error("a long line came out otherwise than a short one")
	}

	out.Reset()
	if _, err := w.Write([]byte(strings.Repeat("1.", 100_000) + "\n")); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), "1.1.1.1") || strings.HasPrefix(out.String(), "1") {
		t.Errorf("a word without end was let through: %.80q", out.String())
	}
}

func TestWriterError(t *testing.T) {
	broken := errors.New("broken")
	w := safelog.NewWriter(failing{broken})
	if n, err := w.Write([]byte("a\nb\n")); n != 4 || !errors.Is(err, broken) {
		t.Errorf("got %d, %v", n, err)
	}
	if err := w.Flush(); err != nil {
		t.Errorf("flush of nothing: %v", err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func BenchmarkScrubClean(b *testing.B) {
	text := []byte("2026/11/22 15:04:05 proxy starting version=0.1.0 nat=unrestricted relay=wss://snowflake.example/")
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		safelog.Scrub(text)
	}
}

func BenchmarkScrubHostile(b *testing.B) {
	text := bytes.Repeat([]byte("1:"), 5000)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		safelog.Scrub(text)
	}
}
