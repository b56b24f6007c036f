package system

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"flurry/test/stage"
)

// runProgram runs a program that is to end by itself.
func runProgram(t *testing.T, program string, env []string, args ...string) (stdout, stderr string, exit int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = t.TempDir()
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + cmd.Dir}, env...)
	var out, errOut strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := cmd.Run()
	var status *exec.ExitError
	if err != nil && !errors.As(err, &status) {
		t.Fatal(err)
	}
	if ctx.Err() != nil {
		t.Fatalf("%s %v does not end", filepath.Base(program), args)
	}
	return out.String(), errOut.String(), cmd.ProcessState.ExitCode()
}

func program(role stage.Role) string {
	return map[stage.Role]string{stage.RoleClient: programs.Client, stage.RoleBroker: programs.Broker,
		stage.RoleProxy: programs.Proxy, stage.RoleServer: programs.Server}[role]
}

func TestSystemBadFlags(t *testing.T) {
	bad := map[stage.Role][][]string{
		stage.RoleClient: {{"-max", "many"}, {"-url", "ftp://broker.example/"}, {"-url", "http://"}, {"-ampcache", "https://cache.example/"}},
		stage.RoleBroker: {{}, {"-disable-tls"}, {"-disable-geoip"}, {"-disable-geoip", "-cert", "x"}, {"-disable-geoip", "-disable-tls", "-acme-hostnames", "a.example"},
			{"-geoipdb", "/usr/share/tor/geoip"}},
		stage.RoleProxy: {{"-capacity", "-1"}, {"-poll-interval", "1s"}, {"-poll-interval", "soon"}, {"-allowed-relay-hostname-pattern", "no-dollar"},
			{"-allowed-relay-hostname-pattern", ""}, {"-ephemeral-ports-range", "5:2"}, {"-ephemeral-ports-range", "0:9"}, {"-ephemeral-ports-range", "x"},
			{"-outbound-address", "nowhere"}, {"-outbound-address", "192.0.2.1", "-keep-local-addresses"}, {"-broker", "::"}, {"-relay", "http://relay.example/"},
			{"-metrics-port", "70000"}, {"-geoipdb", "/usr/share/tor/geoip"}},
		stage.RoleServer: {{}, {"-acme-hostnames", "a.example", "-disable-tls"}, {"-cert", "x"}, {"-disable-tls", "-acme-email", "a@b.example"}},
	}
	for role, lists := range bad {
		for _, args := range append(lists, []string{"-no-such-flag"}, []string{"word"}, []string{"-unsafe-logging=perhaps"}) {
			t.Run(string(role)+" "+strings.Join(args, " "), func(t *testing.T) {
				stdout, stderr, exit := runProgram(t, program(role), nil, args...)
				if exit != 2 {
					t.Errorf("exit code %d, want 2", exit)
				}
				if line, ok := strings.CutSuffix(stderr, "\n"); !ok || line == "" || strings.Contains(line, "\n") {
					t.Errorf("standard error %q, want one line", stderr)
				}
				if stdout != "" {
					t.Errorf("standard output %q", stdout)
				}
			})
		}
	}
}

func TestSystemHelpAndVersion(t *testing.T) {
	for _, role := range []stage.Role{stage.RoleClient, stage.RoleBroker, stage.RoleProxy, stage.RoleServer} {
		for _, flag := range []string{"-h", "-version"} {
			stdout, stderr, exit := runProgram(t, program(role), nil, flag)
			if exit != 0 {
				t.Errorf("%s %s: exit code %d", role, flag, exit)
			}
			want := map[string]string{"-h": "-unsafe-logging", "-version": "0.1"}[flag]
			if !strings.Contains(stdout+stderr, want) {
				t.Errorf("%s %s does not print %q: %q %q", role, flag, want, stdout, stderr)
			}
		}
	}
}

// Whoever starts the two transports by hand is told so, and the parent in the words of the protocol (spec section 10.1).
func TestSystemTransportEnvironment(t *testing.T) {
	for _, c := range []struct {
		role stage.Role
		args []string
		env  []string
		want string // start of a line of standard output
	}{
		{stage.RoleClient, nil, nil, "ENV-ERROR no TOR_PT_MANAGED_TRANSPORT_VER environment variable"},
		{stage.RoleClient, nil, []string{"TOR_PT_MANAGED_TRANSPORT_VER=9"}, "VERSION-ERROR no-version"},
		{stage.RoleClient, nil, []string{"TOR_PT_MANAGED_TRANSPORT_VER=1"}, "ENV-ERROR no TOR_PT_CLIENT_TRANSPORTS environment variable"},
		{stage.RoleClient, nil, []string{"TOR_PT_MANAGED_TRANSPORT_VER=1", "TOR_PT_CLIENT_TRANSPORTS=snowflake", "TOR_PT_PROXY=http://127.0.0.1:1"}, "PROXY-ERROR "},
		{stage.RoleServer, []string{"-disable-tls"}, nil, "ENV-ERROR no TOR_PT_MANAGED_TRANSPORT_VER environment variable"},
		{stage.RoleServer, []string{"-disable-tls"}, []string{"TOR_PT_MANAGED_TRANSPORT_VER=9"}, "VERSION-ERROR no-version"},
		{stage.RoleServer, []string{"-disable-tls"}, []string{"TOR_PT_MANAGED_TRANSPORT_VER=1"}, "ENV-ERROR no TOR_PT_SERVER_"},
	} {
		stdout, _, exit := runProgram(t, program(c.role), c.env, c.args...)
		if exit != 1 {
			t.Errorf("%s with %v: exit code %d, want 1", c.role, c.env, exit)
		}
		if !strings.Contains("\n"+stdout, "\n"+c.want) {
			t.Errorf("%s with %v says %q, want %q", c.role, c.env, stdout, c.want)
		}
	}
}
