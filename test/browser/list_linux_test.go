package browser

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// list adds the datagrams of all short calls to a file, a line for each call: browser, kind, and for each datagram its direction (> is the
// offerer's), length, what it is, and microseconds since the first. It is for finding what a tree goes by.
func (s *sample) list(t *testing.T, file string) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, k := range kinds {
		for _, tr := range s.traces(short, k) {
			var line strings.Builder
			fmt.Fprintf(&line, "%s %s", s.browser.profile, k)
			for _, d := range tr.all {
				direction := "<"
				if d.up {
					direction = ">"
				}
				fmt.Fprintf(&line, " %s%d%s@%d", direction, d.size, d.what(), d.at.Microseconds())
			}
			if _, err := fmt.Fprintln(f, line.String()); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// what names the sort of a datagram in few letters.
func (d datagram) what() string {
	switch {
	case isRequest(d):
		return "Q"
	case isResponse(d):
		return "A"
	case isHello(d):
		return "H"
	case isDTLS(d):
		return fmt.Sprintf("e%d", d.records[0].epoch)
	}
	return "?"
}
