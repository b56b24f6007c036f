package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// asProgram makes the test binary run the broker itself.
const asProgram = "FLURRY_TEST_RUN_BROKER"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	goleak.VerifyTestMain(m)
}

func command(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	return cmd
}

func TestCommandLine(t *testing.T) {
	for name, c := range map[string]struct {
		args   []string
		code   int
		stderr string // a part of the one line, or "" for no line
	}{
		"no geoip":         {[]string{"-disable-tls"}, 2, "-disable-geoip is required"},
		"no certificate":   {[]string{"-disable-geoip"}, 2, "-disable-tls"},
		"not built":        {[]string{"-disable-geoip", "-disable-tls", "-geoipdb", "x"}, 2, "not defined: -geoipdb"},
		"argument":         {[]string{"-disable-geoip", "-disable-tls", "x"}, 2, `unexpected argument "x"`},
		"no bridge list":   {[]string{"-disable-geoip", "-disable-tls", "-bridge-list-path", "/none"}, 1, "/none"},
		"metrics log":      {[]string{"-disable-geoip", "-disable-tls", "-metrics-log", "/none/x"}, 1, "/none/x"},
		"certificate file": {[]string{"-disable-geoip", "-cert", "/none", "-key", "/none"}, 1, "/none"},
		"address":          {[]string{"-disable-geoip", "-disable-tls", "-addr", "nonsense"}, 1, "nonsense"},
		"help":             {[]string{"-h"}, 0, ""},
		"version":          {[]string{"-version"}, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := command(c.args...)
			var stdout, stderr bytes.Buffer
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			_ = cmd.Run() // the exit code tells
			if got := cmd.ProcessState.ExitCode(); got != c.code {
				t.Errorf("exit code %d, want %d", got, c.code)
			}
			if c.stderr == "" {
				if stderr.Len() > 0 || stdout.Len() == 0 {
					t.Errorf("stdout %q, stderr %q", &stdout, &stderr)
				}
				return
			}
			if got := stderr.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, c.stderr) {
				t.Errorf("stderr %q", got)
			}
		})
	}
}

// TestFlagNames: no flag of a part that is not built is accepted.
func TestFlagNames(t *testing.T) {
	help, err := command("-h").CombinedOutput()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range regexp.MustCompile(`(?m)^  -(\S+)`).FindAllStringSubmatch(string(help), -1) {
		got = append(got, m[1])
	}
	want := "acme-cert-cache acme-email acme-hostnames addr allowed-relay-pattern bridge-list-path cert disable-geoip " +
		"disable-tls key metrics-log poll-interval-filepath unsafe-logging version"
	if strings.Join(got, " ") != want {
		t.Errorf("flags %q, want %q", got, want)
	}
}

// program is a broker that runs.
type program struct {
	*exec.Cmd
	t    *testing.T
	log  *bufio.Scanner
	base string // URL
}

func startProgram(t *testing.T, args ...string) *program {
	t.Helper()
	p := &program{Cmd: command(append([]string{"-disable-tls", "-disable-geoip", "-addr", "127.0.0.1:0"}, args...)...), t: t}
	stderr, err := p.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Process.Kill(); p.Wait() })
	p.log = bufio.NewScanner(stderr)
	p.base = "http://" + p.until(`listening on (\S+)`)
	return p
}

// until reads the log up to a line that matches and returns the submatch.
func (p *program) until(pattern string) string {
	p.t.Helper()
	re := regexp.MustCompile(pattern)
	for p.log.Scan() {
		if m := re.FindStringSubmatch(p.log.Text()); m != nil {
			return m[len(m)-1]
		}
	}
	p.t.Fatalf("the log ended without %q", pattern)
	return ""
}

func (p *program) post(path, body string) (string, error) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Post(p.base+path, "", strings.NewReader(body))
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return fmt.Sprint(resp.StatusCode, " ", string(text)), err
}

func (p *program) expect(path, body, want string) {
	p.t.Helper()
	if got, err := p.post(path, body); got != want || err != nil {
		p.t.Errorf("%s: got %s, %v, want %s", path, got, err, want)
	}
}

const testBridge = `{"displayName":"a","webSocketAddress":"ws://127.0.0.1:1/","fingerprint":"2B280B23E1107BB62ABFC40DDCC8824814F80A72"}`

// TestProgram introduces a client to a proxy, reloads, and ends while a poll
// waits and a client's answer is due.
func TestProgram(t *testing.T) {
	dir := t.TempDir()
	bridges, metrics, intervals := filepath.Join(dir, "bridges"), filepath.Join(dir, "metrics"), filepath.Join(dir, "intervals")
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(bridges, testBridge+"\n")
	write(intervals, `{"unrestricted_poll_interval": 1000, "restricted_poll_interval": 2000}`)
	p := startProgram(t, "-bridge-list-path", bridges, "-metrics-log", metrics, "-poll-interval-filepath", intervals,
		"-allowed-relay-pattern", "^127.0.0.1$")
	p.expect("/metrics", "", "200 ")

	poll := func(sid string) <-chan string {
		ch := make(chan string, 1)
		go func() {
			got, err := p.post("/proxy", fmt.Sprintf(
				`{"Sid":%q,"Version":"1.3","Type":"standalone","NAT":"unrestricted","AcceptedRelayPattern":"^127.0.0.1$"}`, sid))
			ch <- fmt.Sprint(got, err)
		}()
		return ch
	}
	waitAvailable := func(n int) {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); ; {
			got, err := p.post("/debug", "")
			if strings.Contains(got, fmt.Sprintf("available: %d\n", n)) {
				return
			}
			if err != nil || time.Now().After(deadline) {
				t.Fatalf("/debug: %s, %v", got, err)
			}
		}
	}
	first := poll("a")
	waitAvailable(1)
	client := make(chan string, 1)
	go func() {
		got, err := p.post("/client", "1.0\n"+`{"offer":"{\"type\":\"offer\",\"sdp\":\"\"}","nat":"restricted"}`)
		client <- fmt.Sprint(got, err)
	}()
	if got := <-first; !strings.Contains(got, `"NextPoll":1000,"RelayURL":"ws://127.0.0.1:1/"`) {
		t.Errorf("poll: %s", got)
	}

	// A reload takes the new intervals and leaves the client alone.
	write(intervals, `{"unrestricted_poll_interval": 5000}`)
	if err := os.Rename(metrics, metrics+".1"); err != nil {
		t.Fatal(err)
	}
	p.Process.Signal(syscall.SIGHUP)
	p.until("reloaded")
	p.expect("/metrics", "", "200 ")

	second := poll("b")
	waitAvailable(2)
	p.Process.Signal(syscall.SIGTERM)
	if got := <-second; !strings.Contains(got, `"no match"`) || !strings.Contains(got, `"NextPoll":5000`) {
		t.Errorf("poll at the end: %s", got)
	}
	if got := <-client; !strings.Contains(got, "timed out") {
		t.Errorf("client at the end: %s", got)
	}
	p.until("broker ended")
	if err := p.Wait(); err != nil {
		t.Errorf("end: %v", err)
	}
}

// TestBadReload: what cannot be read changes nothing.
func TestBadReload(t *testing.T) {
	intervals := filepath.Join(t.TempDir(), "intervals")
	if err := os.WriteFile(intervals, []byte(`x`), 0o600); err != nil {
		t.Fatal(err)
	}
	p := startProgram(t, "-poll-interval-filepath", intervals)
	p.Process.Signal(syscall.SIGHUP)
	p.until("keeping the old poll intervals")
	p.until("reloaded")
	p.expect("/robots.txt", "", "200 User-agent: *\nDisallow: /\n")
	p.Process.Signal(os.Interrupt)
	p.until("broker ended")
	if err := p.Wait(); err != nil {
		t.Errorf("end: %v", err)
	}
}
