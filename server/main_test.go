package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"flurry/common/carrier"
	"flurry/common/carrier/ws"
	"flurry/common/multipath"
	"flurry/common/turbotunnel"

	"go.uber.org/goleak"
)

// runAsProgram makes the test binary be the program.
const runAsProgram = "FLURRY_TEST_RUN_SERVER"

// testLimit ends a test that waits for something that will not come.
const testLimit = 30 * time.Second

func TestMain(m *testing.M) {
	if os.Getenv(runAsProgram) != "" {
		main()
	}
	goleak.VerifyTestMain(m)
}

// A process is the program as tor runs it.
type process struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Reader
	stderr bytes.Buffer
}

// start runs the program with nothing but env in its environment.
func start(t *testing.T, env []string, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(os.Args[0], args...)}
	p.cmd.Env = append([]string{runAsProgram + "=1"}, env...)
	p.cmd.Stderr = &p.stderr
	p.cmd.WaitDelay = testLimit
	var err error
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.stdout = bufio.NewReader(out)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill := time.AfterFunc(testLimit, func() { p.cmd.Process.Kill() })
	t.Cleanup(func() {
		kill.Stop()
		p.cmd.Process.Kill()
		p.cmd.Wait()
	})
	return p
}

// until reads standard output up to the line that begins with prefix.
func (p *process) until(t *testing.T, prefix string) (lines []string) {
	t.Helper()
	for {
		line, err := p.stdout.ReadString('\n')
		if err != nil {
			t.Fatalf("standard output ended before %q: %q, standard error %s", prefix, lines, &p.stderr)
		}
		lines = append(lines, strings.TrimSuffix(line, "\n"))
		if strings.HasPrefix(line, prefix) {
			return lines
		}
	}
}

// exit returns what is left of standard output, and the exit code.
func (p *process) exit(t *testing.T) (lines []string, code int) {
	t.Helper()
	rest, err := io.ReadAll(p.stdout)
	if err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := p.cmd.Wait(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(rest), "\n"), "\n"), p.cmd.ProcessState.ExitCode()
}

// freeAddr is an address that nobody listens on now.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// torEnv is what tor gives a server that is to listen on addr.
func torEnv(addr, orPort string, more ...string) []string {
	return append([]string{
		"TOR_PT_MANAGED_TRANSPORT_VER=1",
		"TOR_PT_SERVER_TRANSPORTS=snowflake",
		"TOR_PT_SERVER_BINDADDR=snowflake-" + addr,
		"TOR_PT_ORPORT=" + orPort,
		"TOR_PT_EXIT_ON_STDIN_CLOSE=1",
	}, more...)
}

// without takes one variable out of an environment.
func without(env []string, name string) []string {
	return slices.DeleteFunc(env, func(s string) bool { return strings.HasPrefix(s, name+"=") })
}

func TestEnvironmentErrors(t *testing.T) {
	env := func() []string { return torEnv("127.0.0.1:1", "127.0.0.1:2") }
	for name, tc := range map[string]struct {
		env  []string
		want []string
	}{
		"none":         {nil, []string{"ENV-ERROR no TOR_PT_MANAGED_TRANSPORT_VER environment variable"}},
		"version":      {append(env(), "TOR_PT_MANAGED_TRANSPORT_VER=2"), []string{"VERSION-ERROR no-version"}},
		"no bind":      {without(env(), "TOR_PT_SERVER_BINDADDR"), []string{"VERSION 1", "ENV-ERROR no TOR_PT_SERVER_BINDADDR environment variable"}},
		"no transport": {without(env(), "TOR_PT_SERVER_TRANSPORTS"), []string{"VERSION 1", "ENV-ERROR no TOR_PT_SERVER_TRANSPORTS environment variable"}},
		"no OR port":   {without(env(), "TOR_PT_ORPORT"), []string{"VERSION 1", "ENV-ERROR need TOR_PT_ORPORT or TOR_PT_EXTENDED_SERVER_PORT environment variable"}},
		"no cookie":    {append(env(), "TOR_PT_EXTENDED_SERVER_PORT=127.0.0.1:3"), []string{"VERSION 1", "ENV-ERROR need TOR_PT_AUTH_COOKIE_FILE environment variable with TOR_PT_EXTENDED_SERVER_PORT"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := start(t, tc.env, "-disable-tls")
			lines, code := p.exit(t)
			if !slices.Equal(lines, tc.want) || code != 1 {
				t.Errorf("said %q and exited with %d, want %q and 1", lines, code, tc.want)
			}
			if !strings.Contains(p.stderr.String(), "started by tor") {
				t.Errorf("standard error %q has no hint", &p.stderr)
			}
		})
	}
}

func TestMethodLines(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	free := freeAddr(t)
	options := func(o string) []string {
		return torEnv(free, "127.0.0.1:2", "TOR_PT_SERVER_TRANSPORT_OPTIONS="+o)
	}
	for name, tc := range map[string]struct {
		env  []string
		want string // the lines between STATUS and SMETHODS DONE begin so
	}{
		"good":         {torEnv(free, "127.0.0.1:2"), "SMETHOD snowflake " + free + " ARGS:tls=no"},
		"good options": {options("snowflake:num-turbotunnel=2;snowflake:orport-srcaddr=127.0.2.0/24;other:x=y"), "SMETHOD snowflake " + free + " ARGS:tls=no"},
		"port 0":       {torEnv("127.0.0.1:0", "127.0.0.1:2"), "SMETHOD-ERROR snowflake cannot listen on port 0; configure a port using ServerTransportListenAddr"},
		"busy":         {torEnv(busy.Addr().String(), "127.0.0.1:2"), "SMETHOD-ERROR snowflake listen tcp " + busy.Addr().String() + ": bind: address already in use"},
		"bad source":   {options("snowflake:orport-srcaddr=abc"), "SMETHOD-ERROR snowflake parsing srcaddr: invalid CIDR address: abc"},
		"bad number":   {options("snowflake:num-turbotunnel=two"), "SMETHOD-ERROR snowflake parsing num-turbotunnel: "},
		"no engine":    {options("snowflake:num-turbotunnel=0"), "SMETHOD-ERROR snowflake parsing num-turbotunnel: "},
		"other method": {append(without(torEnv(free, "127.0.0.1:2"), "TOR_PT_SERVER_BINDADDR"),
			"TOR_PT_SERVER_TRANSPORTS=obfs4", "TOR_PT_SERVER_BINDADDR=obfs4-"+free), "SMETHOD-ERROR obfs4 no such method"},
	} {
		t.Run(name, func(t *testing.T) {
			p := start(t, tc.env, "-disable-tls")
			lines := p.until(t, "SMETHODS DONE")
			if len(lines) != 4 || lines[0] != "VERSION 1" ||
				!strings.HasPrefix(lines[1], `STATUS TYPE=version IMPLEMENTATION="snowflake-server" VERSION="`) {
				t.Fatalf("said %q", lines)
			}
			if !strings.HasPrefix(lines[2], tc.want) {
				t.Errorf("said %q, want %q", lines[2], tc.want)
			}
			if strings.HasPrefix(tc.want, "SMETHOD ") {
				c, err := net.Dial("tcp", free)
				if err != nil {
					t.Errorf("not bound: %v", err)
				} else {
					c.Close()
				}
			}
			p.stdin.Close()
			if rest, code := p.exit(t); code != 0 || rest[0] != "" {
				t.Errorf("then said %q and exited with %d, want nothing and 0; standard error %s", rest, code, &p.stderr)
			}
		})
	}
}

func TestCommandLine(t *testing.T) {
	dir := t.TempDir()
	for name, tc := range map[string]struct {
		args   []string
		code   int
		stderr string // the one line, or part of more
	}{
		"unknown":         {[]string{"-nonsense"}, 2, "flag provided but not defined: -nonsense"},
		"argument":        {[]string{"-disable-tls", "please"}, 2, `unexpected argument "please"`},
		"no certificate":  {nil, 2, "need -acme-hostnames, or -cert and -key, or -disable-tls"},
		"cert alone":      {[]string{"-cert", "x"}, 2, "-cert and -key need each other"},
		"TLS on and off":  {[]string{"-disable-tls", "-acme-hostnames", "x"}, 2, "-disable-tls excludes"},
		"two ways":        {[]string{"-cert", "x", "-key", "y", "-acme-hostnames", "z"}, 2, "-acme-hostnames excludes"},
		"WebTransport":    {[]string{"-disable-tls", "-webtransport"}, 2, "-webtransport needs TLS"},
		"email alone":     {[]string{"-disable-tls", "-acme-email", "x"}, 2, "-acme-email needs"},
		"bad bool":        {[]string{"-disable-tls=maybe"}, 2, "maybe"},
		"log unwritable":  {[]string{"-disable-tls", "-log", dir}, 1, "open the log"},
		"help":            {[]string{"-h"}, 0, "-acme-hostnames"},
		"version":         {[]string{"-version"}, 0, ""},
		"upstream dashes": {[]string{"--disable-tls", "--acme-hostnames=x"}, 2, "excludes"},
	} {
		t.Run(name, func(t *testing.T) {
			p := start(t, nil, tc.args...)
			out, code := p.exit(t)
			text := p.stderr.String()
			if code != tc.code || !strings.Contains(text, tc.stderr) {
				t.Errorf("exit code %d, standard error %q; want %d and %q", code, text, tc.code, tc.stderr)
			}
			if code != 0 && strings.Count(text, "\n") != 1 {
				t.Errorf("standard error %q is not one line", text)
			}
			if name == "version" && !strings.HasPrefix(out[0], "snowflake-server ") {
				t.Errorf("the version is %q", out)
			}
			if code != 0 && out[0] != "" {
				t.Errorf("standard output %q, want nothing", out)
			}
		})
	}
}

// client opens a stream through a WebSocket, as client and proxy in one.
func client(t *testing.T, relay string) net.Conn {
	t.Helper()
	u, err := url.Parse(relay)
	if err != nil {
		t.Fatal(err)
	}
	c, err := ws.Dial(t.Context(), u, ws.DialOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return clientOver(t, c)
}

// clientOver opens a stream through a carrier, which it takes over.
func clientOver(t *testing.T, c carrier.Conn) net.Conn {
	t.Helper()
	id := turbotunnel.NewClientID()
	path, err := turbotunnel.Attach(t.Context(), c, id)
	if err != nil {
		t.Fatal(err)
	}
	conn := multipath.New(multipath.Options{Ask: true})
	conn.Add(path)
	session, err := turbotunnel.Client(conn, turbotunnel.ClientTuning())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { session.Close() })
	stream, err := session.OpenStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

// The end of the program must reach tor and the client, and come soon.
func TestStopsCleanly(t *testing.T) {
	for name, stop := range map[string]func(p *process) error{
		"SIGTERM":       func(p *process) error { return p.cmd.Process.Signal(syscall.SIGTERM) },
		"stdin closed":  func(p *process) error { return p.stdin.Close() },
		"SIGHUP before": func(p *process) error { p.cmd.Process.Signal(syscall.SIGHUP); return p.stdin.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			orPort, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer orPort.Close()
			addr := freeAddr(t)
			log := filepath.Join(t.TempDir(), "log")
			p := start(t, torEnv(addr, orPort.Addr().String()), "-disable-tls", "-log", log)
			p.until(t, "SMETHODS DONE")

			stream := client(t, "ws://"+addr+"/?client_ip=192.0.2.1")
			io.WriteString(stream, "hello")
			or, err := orPort.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer or.Close()
			expect(t, or, "hello")
			io.WriteString(or, "world")
			expect(t, stream, "world")

			if err := stop(p); err != nil {
				t.Fatal(err)
			}
			expectEOF(t, or)
			expectEOF(t, stream)
			if _, code := p.exit(t); code != 0 {
				t.Errorf("exit code %d, want 0", code)
			}
			text, err := os.ReadFile(log)
			if err != nil || !strings.Contains(string(text), "listening") || strings.Contains(string(text), "127.0.0.1") {
				t.Errorf("the log is %q, %v; want it scrubbed", text, err)
			}
			if info, err := os.Stat(log); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("the log's mode is %v", info.Mode())
			}
			if p.stderr.Len() > 0 {
				t.Errorf("standard error has %q", &p.stderr)
			}
		})
	}
}

// expect reads exactly text.
func expect(t *testing.T, c net.Conn, text string) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(testLimit))
	buf := make([]byte, len(text))
	if n, err := io.ReadFull(c, buf); err != nil || string(buf) != text {
		t.Fatalf("read %q, %v, want %q", buf[:n], err, text)
	}
}

// expectEOF reads the end.
func expectEOF(t *testing.T, c net.Conn) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(testLimit))
	if n, err := c.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Fatalf("read %d bytes, %v, want io.EOF", n, err)
	}
}
