//go:build linux

package nat

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"flurry/common/messages"
)

// Addresses of the network in the namespaces (RFC 5737, for documentation).
const (
	stunFirst  = "192.0.2.1"
	stunSecond = "192.0.2.2"
)

// needNetworks ends the test where network namespaces cannot be made.
func needNetworks(t *testing.T) {
	t.Helper()
	missing := ""
	for _, tool := range []string{"ip", "nft", "sysctl"} {
		if _, err := exec.LookPath(tool); err != nil {
			missing = "the tool " + tool + " is missing (packages iproute2, nftables, procps)"
		}
	}
	if os.Getuid() != 0 {
		missing = "not root"
	}
	switch {
	case missing != "" && os.Getenv("CI") != "":
		t.Fatal("network namespaces are needed: " + missing)
	case missing != "":
		t.Skip("the NAT probe is not tried through the kernel's NAT: " + missing)
	}
}

// shell runs commands, one a line.
func shell(t *testing.T, script string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "sh", "-ec", script).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, script, out)
	}
}

// newNetwork makes three namespaces, client - edge - net, where the edge
// translates addresses by the given rule, and returns the outer two.
func newNetwork(t *testing.T, masquerade string) (client, outside string) {
	t.Helper()
	base := fmt.Sprintf("flurry-nat-%d-%d", os.Getpid(), time.Now().UnixNano()%1e6)
	client, edge, outside := base+"-c", base+"-e", base+"-n"
	for _, ns := range []string{client, edge, outside} {
		shell(t, "ip netns add "+ns)
		t.Cleanup(func() { _ = exec.Command("ip", "netns", "delete", ns).Run() })
		shell(t, "ip -n "+ns+" link set lo up")
	}
	shell(t, strings.NewReplacer("CLIENT", client, "EDGE", edge, "OUTSIDE", outside, "RULE", masquerade).Replace(`
ip link add lan0 netns CLIENT type veth peer name lan0 netns EDGE
ip link add net0 netns OUTSIDE type veth peer name net0 netns EDGE
ip -n CLIENT addr add 198.51.100.2/24 dev lan0
ip -n CLIENT link set lan0 up
ip -n EDGE addr add 198.51.100.1/24 dev lan0
ip -n EDGE link set lan0 up
ip -n EDGE addr add 192.0.2.77/24 dev net0
ip -n EDGE link set net0 up
ip -n OUTSIDE addr add 192.0.2.1/24 dev net0
ip -n OUTSIDE addr add 192.0.2.2/24 dev net0
ip -n OUTSIDE link set net0 up
ip -n CLIENT route add default via 198.51.100.1
ip netns exec EDGE sysctl -qw net.ipv4.ip_forward=1
ip netns exec EDGE nft 'add table ip nat; add chain ip nat post { type nat hook postrouting priority 100; }; add rule ip nat post oifname "net0" RULE'`))
	return client, outside
}

// listenIn makes a UDP socket inside a namespace.
func listenIn(ns string) func(ctx context.Context) (net.PacketConn, error) {
	return func(ctx context.Context) (net.PacketConn, error) {
		type result struct {
			conn net.PacketConn
			err  error
		}
		results := make(chan result)
		go func() {
			runtime.LockOSThread() // and not unlocked: the thread ends with the goroutine
			conn, err := func() (net.PacketConn, error) {
				file, err := os.Open(filepath.Join("/run/netns", ns))
				if err != nil {
					return nil, err
				}
				defer file.Close()
				if err := unix.Setns(int(file.Fd()), unix.CLONE_NEWNET); err != nil {
					return nil, err
				}
				return new(net.ListenConfig).ListenPacket(ctx, "udp4", "0.0.0.0:0")
			}()
			results <- result{conn, err}
		}()
		r := <-results
		return r.conn, r.err
	}
}

// The kernel's plain NAT keeps a socket's port for every destination; with
// random ports it is what is called symmetric.
func TestProbeThroughKernelNAT(t *testing.T) {
	needNetworks(t)
	for rule, want := range map[string]messages.NATType{
		"masquerade":                     messages.NATUnrestricted,
		"masquerade random,fully-random": messages.NATRestricted,
	} {
		t.Run(string(want), func(t *testing.T) {
			client, outside := newNetwork(t, rule)
			server := startCoturn(t, stunFirst, stunSecond, func(name string, args ...string) *exec.Cmd {
				return exec.CommandContext(context.WithoutCancel(t.Context()), "ip", append([]string{"netns", "exec", outside, name}, args...)...)
			})
			check(t, []string{server}, Options{Timeout: 8 * time.Second, Listen: listenIn(client)}, want, "")
		})
	}
}
