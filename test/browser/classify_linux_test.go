package browser

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"flurry/test/browsers"
)

// classifierLimit bounds one run of a program that looks at a capture.
const classifierLimit = time.Minute

// itoa is short for what it calls.
func itoa(n int) string { return strconv.Itoa(n) }

// lookFor returns the path of a program that looks at captures. Without it the test is skipped, or fails in CI.
func lookFor(t *testing.T, program, debianPackage string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		browsers.Missing(t, "no "+program+" here; it is in the Debian package "+debianPackage)
	}
	return path
}

// capture writes the packets of calls into a file, call by call.
func (s *sample) capture(t *testing.T, k kind) string {
	t.Helper()
	var packets []packet
	for _, tr := range s.traces(short, k) {
		packets = append(packets, tr.packets...)
	}
	slices.SortStableFunc(packets, func(a, b packet) int { return a.at.Compare(b.at) })
	path := filepath.Join(t.TempDir(), string(k)+".pcap")
	if err := os.WriteFile(path, pcap(packets), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func output(t *testing.T, argv ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), classifierLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "HOME="+cmd.Dir)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v: %s", argv[0], err, said.String())
	}
	return string(out)
}

// nDPI puts every call of ours in the class that it puts the browser's in, with the same risks.
func (s *sample) nDPI(t *testing.T) {
	program := lookFor(t, "ndpiReader", "libndpi-bin")
	// A flow is a line such as "1 UDP 198.18.0.1:1 <-> 198.18.1.2:2 [proto: 78/STUN][..][Risk: ** Known Proto ..**][Risk Score: 50]..".
	flow := regexp.MustCompile(`(?m)^\s*\d+\s+UDP .*$`)
	field := regexp.MustCompile(`\[(proto|Category|cat|Risk|Risk Score|Breed|Confidence): ?([^\]]*)\]`)
	classes := func(k kind) map[string]int {
		all := map[string]int{}
		for _, line := range flow.FindAllString(output(t, program, "-i", s.capture(t, k), "-v", "2"), -1) {
			var class []string
			for _, m := range field.FindAllStringSubmatch(line, -1) {
				class = append(class, m[1]+" "+strings.TrimSpace(m[2]))
			}
			all[strings.Join(class, ", ")]++
		}
		return all
	}
	want := classes(bb)
	t.Logf("%s: %v", s.browser.Name, want)
	if len(want) == 0 {
		t.Error("no flows")
	}
	for _, k := range []kind{ob, bo, oo} {
		got := classes(k)
		for class := range got {
			if want[class] == 0 {
				t.Errorf("%s: %d calls are %s", k, got[class], class)
			}
		}
		t.Logf("%s: %v", k, got)
	}
}

// tshark takes as many frames of a call for DTLS as of the browser's: the datagrams of both hellos, more where one came again, and
// nothing of what is encrypted.
func (s *sample) tshark(t *testing.T) {
	program := lookFor(t, "tshark", "tshark")
	// frames counts calls by their number of datagrams of hellos, and of other frames; fewer than none where tshark takes several
	// fragments for one message.
	frames := func(k kind) map[[2]int]int {
		out := output(t, program, "-n", "-r", s.capture(t, k), "-Y", "dtls", "-T", "fields", "-e", "ip.src", "-e", "udp.srcport",
			"-e", "ip.dst", "-e", "udp.dstport")
		seen := map[[2]string]int{}
		for _, line := range strings.Split(strings.TrimSpace(out), "\n") {
			if f := strings.Fields(line); len(f) == 4 {
				seen[[2]string{f[0] + ":" + f[1], f[2] + ":" + f[3]}]++
			}
		}
		all, sum := map[[2]int]int{}, 0
		calls := s.traces(short, k)
		for _, tr := range calls {
			n := 0
			pairs := map[[2]string]bool{}
			for _, p := range tr.packets {
				if f, ok := ends(p.up, p.ip); ok {
					pairs[[2]string{f[0].String(), f[1].String()}], pairs[[2]string{f[1].String(), f[0].String()}] = true, true
				}
			}
			for pair := range pairs {
				n += seen[pair]
			}
			sum += n
			hellos := len(tr.filter(true, isHello)) + len(tr.filter(false, isHello))
			all[[2]int{hellos, n - hellos}]++
		}
		t.Logf("%s, %s: %d frames of DTLS in %d calls; [hellos, frames beside them]: calls %v", s.browser.Name, k, sum, len(calls), all)
		return all
	}
	want := frames(bb)
	for _, k := range []kind{ob, bo, oo} {
		for n, calls := range frames(k) {
			others := 0
			for m, c := range want {
				if m[0] == n[0] {
					others += c
				}
			}
			if want[n] == 0 && others > 0 && calls > 1 { // How hellos that came again mix with others is chance.
				t.Errorf("%s: %d calls with %d frames beside %d hellos, none of the browser's", k, calls, n[1], n[0])
			}
		}
	}
}
