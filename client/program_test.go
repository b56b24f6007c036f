package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/net/proxy"

	"flurry/common/messages"
	"flurry/common/version"
)

// A program is the client as its parent sees it.
type program struct {
	t      *testing.T
	cmd    *exec.Cmd
	stdin  io.Closer
	stdout *bufio.Scanner
	stderr bytes.Buffer
	said   []string // lines of standard output so far
}

// startProgram runs the client with these arguments and environment.
func startProgram(t *testing.T, env []string, args ...string) *program {
	t.Helper()
	p := &program{t: t, cmd: exec.CommandContext(t.Context(), os.Args[0], args...)}
	p.cmd.Env = append([]string{runProgram + "=1"}, env...)
	p.cmd.Stderr = &p.stderr
	stdin, err := p.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.stdin, p.stdout = stdin, bufio.NewScanner(stdout)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return p
}

// ptEnv is the environment that tor gives.
var ptEnv = [...]string{"TOR_PT_MANAGED_TRANSPORT_VER=1", "TOR_PT_CLIENT_TRANSPORTS=snowflake"}

func startPT(t *testing.T, args ...string) *program {
	return startProgram(t, ptEnv[:], args...)
}

// await reads lines of standard output until one matches, and gives its groups.
func (p *program) await(pattern string) []string {
	p.t.Helper()
	re := regexp.MustCompile(pattern)
	for p.stdout.Scan() {
		p.said = append(p.said, p.stdout.Text())
		if m := re.FindStringSubmatch(p.stdout.Text()); m != nil {
			return m
		}
	}
	p.t.Fatalf("no line matches %q in %q; standard error: %s", pattern, p.said, &p.stderr)
	return nil
}

// wait reads to the end and gives the exit code.
func (p *program) wait() int {
	for p.stdout.Scan() {
		p.said = append(p.said, p.stdout.Text())
	}
	p.cmd.Wait()
	return p.cmd.ProcessState.ExitCode()
}

// terminate is SIGTERM; the program must end in order.
func (p *program) terminate() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	if code := p.wait(); code != exitOK {
		p.t.Errorf("exit code %d after SIGTERM", code)
	}
}

// socksAddr waits for the SOCKS port.
func (p *program) socksAddr() string {
	p.t.Helper()
	return p.await(`^CMETHOD snowflake socks5 (127\.0\.0\.1:\d+)$`)[1]
}

// dialSOCKS connects through the program with transport arguments.
func dialSOCKS(t *testing.T, addr, args string) (net.Conn, error) {
	t.Helper()
	var auth *proxy.Auth
	if args != "" {
		auth = &proxy.Auth{User: args, Password: "\x00"}
	}
	d, err := proxy.SOCKS5("tcp", addr, auth, nil)
	if err != nil {
		t.Fatal(err)
	}
	return d.Dial("tcp", "192.0.2.3:80")
}

func TestProgramSpeaksToItsParent(t *testing.T) {
	p := startProgram(t, []string{ptEnv[0], "TOR_PT_CLIENT_TRANSPORTS=snowflake,obfs4", "TOR_PT_EXIT_ON_STDIN_CLOSE=1"})
	p.await("^CMETHODS DONE$")
	want := []string{
		`VERSION 1`,
		`STATUS TYPE=version IMPLEMENTATION="snowflake-client" VERSION="` + version.String() + `"`,
		`CMETHOD snowflake socks5 127\.0\.0\.1:\d+`,
		`CMETHOD-ERROR obfs4 no such method`,
		`CMETHODS DONE`,
	}
	if !slices.EqualFunc(p.said, want, func(line, re string) bool { return regexp.MustCompile("^" + re + "$").MatchString(line) }) {
		t.Errorf("said %q, want %q", p.said, want)
	}
	p.stdin.Close()
	if code := p.wait(); code != exitOK {
		t.Errorf("exit code %d after standard input closed", code)
	}
}

func TestProgramRefusesBadEnvironments(t *testing.T) {
	ver, methods := ptEnv[0], ptEnv[1]
	for _, c := range []struct {
		name string
		env  []string
		want string // last line of standard output
		err  string // part of standard error
	}{
		{"by hand", nil, "ENV-ERROR no TOR_PT_MANAGED_TRANSPORT_VER environment variable", "started by tor, not by hand"},
		{"no methods", []string{ver}, "ENV-ERROR no TOR_PT_CLIENT_TRANSPORTS environment variable", ""},
		{"other version", []string{"TOR_PT_MANAGED_TRANSPORT_VER=2,3", methods}, "VERSION-ERROR no-version", ""},
		{"outbound proxy", []string{ver, methods, "TOR_PT_PROXY=socks5://127.0.0.1:1"}, "PROXY-ERROR outbound proxies are not supported by this version", ""},
		{"malformed outbound proxy", []string{ver, methods, "TOR_PT_PROXY=:"}, "PROXY-ERROR outbound proxies are not supported by this version", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := startProgram(t, c.env)
			if code := p.wait(); code != exitError {
				t.Errorf("exit code %d, want %d", code, exitError)
			}
			if len(p.said) == 0 || p.said[len(p.said)-1] != c.want {
				t.Errorf("said %q, want %q at the end", p.said, c.want)
			}
			if !strings.Contains(p.stderr.String(), c.err) {
				t.Errorf("standard error %q lacks %q", &p.stderr, c.err)
			}
		})
	}
}

func TestProgramExitCodes(t *testing.T) {
	for _, c := range []struct {
		args  string
		code  int
		lines int    // of standard error; 0: any
		text  string // part of it
	}{
		{"-nonsense", exitUsage, 1, "-nonsense"},
		{"-max many", exitUsage, 1, "-max"},
		{"-ampcache https://cdn.example/", exitUsage, 1, "-ampcache"},
		{"-h", exitOK, 0, "-keep-local-addresses"},
		{"-version", exitOK, 2, "hellofirefox_auto"},
		{"-log /nonexistent/dir/log", exitError, 1, "-log"},
	} {
		p := startProgram(t, ptEnv[:], strings.Fields(c.args)...)
		if code := p.wait(); code != c.code {
			t.Errorf("%s: exit code %d, want %d", c.args, code, c.code)
		}
		text := p.stderr.String()
		if n := strings.Count(text, "\n"); c.lines > 0 && n != c.lines || !strings.Contains(text, c.text) {
			t.Errorf("%s: standard error %q", c.args, text)
		}
	}
}

// A brokerStub answers polls as it is told and notes them.
type brokerStub struct {
	*httptest.Server
	mu    sync.Mutex
	polls []messages.ClientPollRequest
}

func newBrokerStub(t *testing.T, refusal string) *brokerStub {
	b := &brokerStub{}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(io.LimitReader(r.Body, messages.MaxBodyBytes))
		poll, err := messages.DecodeClientPollRequest(body)
		if err != nil || r.URL.Path != "/client" {
			t.Errorf("poll at %s: %v", r.URL, err)
		}
		b.mu.Lock()
		b.polls = append(b.polls, poll)
		b.mu.Unlock()
		reply, _ := messages.ClientPollResponse{Error: refusal}.Encode()
		w.Write(reply)
	}))
	t.Cleanup(b.Close)
	return b
}

func TestProgramTellsWhatGoesWrong(t *testing.T) {
	broker := newBrokerStub(t, messages.ErrTextNoProxies)
	dir := t.TempDir()
	p := startProgram(t, append(ptEnv[:], "TOR_PT_STATE_LOCATION="+filepath.Join(dir, "state")),
		"-keep-local-addresses", "-log", "sf.log", "-log-to-state-dir")
	addr := p.socksAddr()

	for args, want := range map[string]string{
		"":              "no rendezvous given",
		"max=x;url=y":   "max=x is not a number",
		"ampcache=x":    "ampcache is not supported by this version",
		"url=ftp://a/":  "broker URL",
		"fingerprint=1": "fingerprint=1",
	} {
		if conn, err := dialSOCKS(t, addr, args); err == nil {
			conn.Close()
			t.Errorf("%q was accepted", args)
		}
		line := strings.ReplaceAll(p.await("^LOG SEVERITY=warning MESSAGE=\"SOCKS request rejected: (.*)\"$")[1], `\042`, "")
		if !strings.Contains(line, want) {
			t.Errorf("%q: said %q, want %q", args, line, want)
		}
	}

	// Bad lines have harmed nothing: a good one is granted at once.
	conn, err := dialSOCKS(t, addr, "url="+broker.URL+"/;fingerprint="+otherBridge)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	p.await(`^LOG SEVERITY=notice MESSAGE="offer created"$`)
	p.await(`^LOG SEVERITY=notice MESSAGE="broker failure no snowflake proxies currently available"$`)
	p.await(`^LOG SEVERITY=notice MESSAGE="offer created"$`) // it tries again
	broker.mu.Lock()
	poll := broker.polls[0]
	broker.mu.Unlock()
	if poll.Fingerprint.String() != otherBridge || poll.NAT != messages.NATUnrestricted {
		t.Errorf("polled for bridge %v, NAT %q", poll.Fingerprint, poll.NAT)
	}
	p.terminate()

	name := filepath.Join(dir, "state", "sf.log")
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if info, _ := os.Stat(name); info.Mode().Perm() != 0o600 {
		t.Errorf("log has mode %v", info.Mode())
	}
	if !bytes.Contains(text, []byte(messages.ErrTextNoProxies)) || bytes.Contains(text, []byte("127.0.0.1")) {
		t.Errorf("log:\n%s", text)
	}
}

func TestProgramScrubsAddresses(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := fmt.Sprintf("http://%s/", ln.Addr())
	ln.Close() // nobody is there
	p := startPT(t, "-keep-local-addresses", "-url", url)
	conn, err := dialSOCKS(t, p.socksAddr(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	line := p.await(`MESSAGE="broker failure (.*)"$`)[1]
	if strings.Contains(line, "127.0.0.1") || !strings.Contains(line, "[scrubbed]") {
		t.Errorf("said %q", line)
	}
	p.terminate()
}

// Without TOR_PT_EXIT_ON_STDIN_CLOSE standard input does not matter.
func TestProgramOutlivesStandardInput(t *testing.T) {
	broker := newBrokerStub(t, messages.ErrTextNoProxies)
	p := startPT(t, "-keep-local-addresses", "-url", broker.URL)
	addr := p.socksAddr()
	p.stdin.Close()
	conn, err := dialSOCKS(t, addr, "")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	p.await(`"broker failure `)
	p.terminate()
}
