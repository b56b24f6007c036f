package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"flurry/common/carrier/ws"

	"go.uber.org/goleak"
)

// asProgram makes this test binary be the program.
const asProgram = "FLURRY_TEST_AS_PROGRAM"

// patience bounds waits that only a failure makes long.
const patience = 30 * time.Second

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
	}
	goleak.VerifyTestMain(m)
}

// program returns the program as a command that is not started.
func program(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	return cmd
}

// output runs the program to its end.
func output(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := program(t, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

func TestProgramRefusesBadFlags(t *testing.T) {
	for _, args := range badFlags() {
		stdout, stderr, code := output(t, strings.Fields(args)...)
		if code != 2 || stdout != "" || strings.Count(stderr, "\n") != 1 || !strings.HasPrefix(stderr, "proxy: ") {
			t.Errorf("%s: exit code %d, stderr %q, stdout %q", args, code, stderr, stdout)
		}
	}
}

func TestProgramHelpAndVersion(t *testing.T) {
	stdout, _, code := output(t, "-version")
	if code != 0 || !regexp.MustCompile(`^snowflake-proxy \d+\.\d+\.\d+\S*\n$`).MatchString(stdout) {
		t.Errorf("-version: exit code %d, %q", code, stdout)
	}
	_, stderr, code := output(t, "-h")
	if code != 0 {
		t.Errorf("-h: exit code %d", code)
	}
	for _, flag := range []string{"broker", "relay", "nat-probe-server", "nat-retest-interval", "nat-type-force-unrestricted", "stun",
		"capacity", "poll-interval", "allowed-relay-hostname-pattern", "allow-non-tls-relay", "allow-proxying-to-private-addresses",
		"keep-local-addresses", "outbound-address", "covertdtls-config", "covertdtls-fingerprint", "ephemeral-ports-range", "summary-interval", "disable-stats-logger", "metrics",
		"metrics-address", "metrics-port", "log", "log-local-time", "verbose", "unsafe-logging", "version"} {
		if !strings.Contains(stderr, "\n  -"+flag+" ") && !strings.Contains(stderr, "\n  -"+flag+"\n") {
			t.Errorf("-h does not list -%s", flag)
		}
	}
	for _, flag := range []string{"geoip"} {
		if strings.Contains(stderr, flag) {
			t.Errorf("-h lists %s", flag)
		}
	}
}

// relayAndBroker are the least that a proxy needs: a WebSocket and a server
// that has no client.
func relayAndBroker(t *testing.T) (args []string) {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/proxy", func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, `{"Status":"no match","Offer":"","NAT":"","NextPoll":1000,"RelayURL":""}`)
	})
	mux.HandleFunc("/relay", func(w http.ResponseWriter, r *http.Request) {
		if c, err := ws.Accept(w, r); err == nil {
			c.Recv(make([]byte, 100))
			c.Close()
		}
	})
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return []string{"-broker", srv.URL, "-relay", "ws" + strings.TrimPrefix(srv.URL, "http") + "/relay",
		"-stun", "", "-nat-type-force-unrestricted"}
}

// running is the program while it runs.
type running struct {
	cmd   *exec.Cmd
	lines *bufio.Scanner // of stderr
}

func startProgram(t *testing.T, args ...string) *running {
	t.Helper()
	r := &running{cmd: program(t, args...)}
	stderr, err := r.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill := time.AfterFunc(patience, func() { r.cmd.Process.Kill() })
	t.Cleanup(func() { kill.Stop(); r.cmd.Process.Kill() })
	r.lines = bufio.NewScanner(stderr)
	return r
}

// until reads lines up to one that contains text.
func (r *running) until(t *testing.T, text string) (line string, all []string) {
	t.Helper()
	for r.lines.Scan() {
		all = append(all, r.lines.Text())
		if strings.Contains(r.lines.Text(), text) {
			return r.lines.Text(), all
		}
	}
	t.Fatalf("%q does not come, only %q", text, all)
	return "", nil
}

// end sends a signal and returns the lines that still come and the exit code.
func (r *running) end(sig syscall.Signal) (rest []string, code int) {
	r.cmd.Process.Signal(sig)
	for r.lines.Scan() {
		rest = append(rest, r.lines.Text())
	}
	r.cmd.Wait()
	return rest, r.cmd.ProcessState.ExitCode()
}

// Without -verbose only events are shown, on stderr and in the file, which is
// appended to and kept private; either signal ends the program with code 0.
func TestProgramLogsEventsOnly(t *testing.T) {
	args := relayAndBroker(t)
	file := filepath.Join(t.TempDir(), "proxy.log")
	stamp := regexp.MustCompile(`^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d `)
	var want []string
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		r := startProgram(t, append(args, "-log", file, "-summary-interval", "1s")...)
		_, lines := r.until(t, "In the last 1s, there were 0 completed successful connections. Traffic Relayed ↓ 0 KB (0.00 KB/s), ↑ 0 KB (0.00 KB/s).")
		rest, code := r.end(sig)
		if code != 0 {
			t.Errorf("%v: exit code %d", sig, code)
		}
		want = append(append(want, lines...), rest...)
		for i, text := range []string{"Proxy starting", "NAT type: unrestricted"} {
			if !stamp.MatchString(lines[i]) || stamp.ReplaceAllString(lines[i], "") != text {
				t.Errorf("line %d: %q", i, lines[i])
			}
		}
		for _, l := range append(lines[2:], rest...) {
			if !strings.Contains(l, "In the last") {
				t.Errorf("not an event: %q", l)
			}
		}
	}
	text, err := os.ReadFile(file)
	if err != nil || string(text) != strings.Join(want, "\n")+"\n" {
		t.Errorf("%v; the file has %q, stderr had %q", err, text, want)
	}
	if i, err := os.Stat(file); err != nil || i.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", i.Mode(), err)
	}
}

func TestProgramWithoutSummaries(t *testing.T) {
	r := startProgram(t, append(relayAndBroker(t), "-summary-interval", "10ms", "-disable-stats-logger", "-verbose", "-log-local-time")...)
	_, lines := r.until(t, "NAT type: unrestricted")
	if !strings.Contains(lines[0], "Log times are local") {
		t.Errorf("no hint about local time: %q", lines)
	}
	rest, _ := r.end(syscall.SIGTERM)
	for _, l := range append(lines, rest...) {
		if strings.Contains(l, "In the last") {
			t.Errorf("a summary: %q", l)
		}
	}
}

func TestProgramMetrics(t *testing.T) {
	r := startProgram(t, append(relayAndBroker(t), "-metrics", "-metrics-port", "0", "-metrics-address", "127.0.0.1", "-verbose", "-unsafe-logging")...)
	line, _ := r.until(t, "metrics at ")
	_, at, _ := strings.Cut(line, "metrics at ")
	r.until(t, "Proxy starting")
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(at)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"go_goroutines ", "process_resident_memory_bytes ", "process_open_fds ",
		"tor_snowflake_proxy_connection_timeouts_total 0", "tor_snowflake_proxy_traffic_inbound_bytes_total 0",
		"tor_snowflake_proxy_traffic_outbound_bytes_total 0"} {
		if !strings.Contains(string(text), "\n"+name) {
			t.Errorf("no %q in the metrics", name)
		}
	}
	if _, code := r.end(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestProgramNeedsItsMetricsPort(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	port := strconv.Itoa(ln.Addr().(*net.TCPAddr).Port)
	_, stderr, code := output(t, append(relayAndBroker(t), "-metrics", "-metrics-address", "127.0.0.1", "-metrics-port", port)...)
	if code != 1 || !strings.Contains(stderr, "address already in use") || strings.Count(stderr, "\n") != 1 {
		t.Errorf("exit code %d, stderr %q", code, stderr)
	}
}

func TestProgramNeedsItsLogFile(t *testing.T) {
	_, stderr, code := output(t, append(relayAndBroker(t), "-log", filepath.Join(t.TempDir(), "no", "such", "dir"))...)
	if code != 1 || strings.Count(stderr, "\n") != 1 {
		t.Errorf("exit code %d, stderr %q", code, stderr)
	}
}
