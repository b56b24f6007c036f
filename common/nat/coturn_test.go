//go:build linux

package nat

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"flurry/common/messages"
)

// startCoturn runs Debian's coturn as a STUN server on two addresses of this
// machine and returns its main one.
func startCoturn(t *testing.T, first, second string, run func(name string, args ...string) *exec.Cmd) string {
	t.Helper()
	program, err := exec.LookPath("turnserver")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("turnserver is missing: install the package coturn")
		}
		t.Skip("turnserver is missing (package coturn): the NAT probe is not tried against a deployed STUN server")
	}
	const loopback = "127.0.0.1" // a namespace of the test's own has every port free
	port := freePort(t, loopback)
	dir := t.TempDir()
	config := filepath.Join(dir, "turnserver.conf")
	text := fmt.Sprintf(`listening-ip=%s
listening-ip=%s
listening-port=%d
alt-listening-port=%d
stun-only
no-auth
no-tls
no-dtls
no-cli
no-tcp
log-file=stdout
simple-log
pidfile=%s
userdb=%s
`, first, second, port, port+1, filepath.Join(dir, "pid"), filepath.Join(dir, "db"))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := run(program, "-c", config)
	var output lockedBuffer
	cmd.Stdout, cmd.Stderr = &output, &output
	cmd.Dir = dir
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// SIGTERM, so that it writes out what it has to say.
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait() // reports the signal
		if t.Failed() {
			t.Logf("coturn said:\n%s", output.String())
		}
	})
	return fmt.Sprintf("stun:%s:%d", first, port)
}

// A lockedBuffer collects a program's output.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// freePort returns a UDP port whose successor is free as well.
func freePort(t *testing.T, host string) int {
	t.Helper()
	for range 100 {
		first, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP(host)})
		if err != nil {
			t.Fatal(err)
		}
		port := first.LocalAddr().(*net.UDPAddr).Port
		second, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP(host), Port: port + 1})
		_ = first.Close()
		if err == nil {
			_ = second.Close()
			return port
		}
	}
	t.Fatal("no two ports in a row are free")
	return 0
}

// The probe agrees with a deployed STUN server. It sends its request again until
// the server has started.
func TestProbeCoturn(t *testing.T) {
	server := startCoturn(t, "127.0.0.1", "127.0.0.2", func(name string, args ...string) *exec.Cmd {
		return exec.CommandContext(context.WithoutCancel(t.Context()), name, args...)
	})
	check(t, []string{server}, Options{Timeout: 30 * time.Second}, messages.NATUnrestricted, "")
}
