package interop

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"flurry/test/stage"
)

// A natKind is what stands between a host and the internet of these tests.
type natKind string

const (
	noNAT natKind = "open"
	// The kernel keeps a connection's port, so all peers see the same; only those that were sent to may answer.
	portRestricted natKind = "port-restricted"
	// Each peer sees another port.
	symmetric natKind = "symmetric"
)

// An internet is a set of hosts in network namespaces around a router. Public addresses are from 198.18.0.0/15, which
// RFC 2544 keeps for tests.
type internet struct {
	*lab
	router string
	links  int
}

// nsPrefix begins the names of all namespaces, followed by the number of the process.
const nsPrefix = "flurry-"

func newInternet(t *testing.T) *internet {
	t.Helper()
	needRoot(t)
	for _, tool := range []struct{ name, pkg string }{{"ip", "iproute2"}, {"nft", "nftables"}, {"sysctl", "procps"}} {
		need(t, tool.name, tool.pkg)
	}
	n := &internet{lab: newLab(t)}
	n.removeStale()
	n.router = n.addNS("router")
	n.sh("ip netns exec %s sysctl -qw net.ipv4.ip_forward=1", n.router)
	return n
}

// removeStale removes namespaces of test processes that were killed.
func (n *internet) removeStale() {
	entries, err := os.ReadDir("/run/netns")
	if err != nil {
		return // There are none.
	}
	for _, e := range entries {
		rest, ok := strings.CutPrefix(e.Name(), nsPrefix)
		pid, _, _ := strings.Cut(rest, "-")
		if number, err := strconv.Atoi(pid); ok && err == nil && !running(number) {
			n.sh("ip netns del %s", e.Name())
		}
	}
}

// sh runs lines of shell.
func (n *internet) sh(format string, a ...any) {
	n.t.Helper()
	n.run(n.dir, fmt.Sprintf(format, a...), "sh", "-e")
}

// addNS makes a namespace and returns its full name.
func (n *internet) addNS(name string) string {
	n.t.Helper()
	ns := fmt.Sprintf("%s%d-%s", nsPrefix, os.Getpid(), name)
	n.sh("ip netns add %[1]s", ns)
	n.t.Cleanup(func() {
		if out, err := exec.Command("ip", "netns", "del", ns).CombinedOutput(); err != nil {
			n.t.Errorf("remove namespace %s: %v: %s", ns, err, out)
		}
	})
	n.sh("ip -n %s link set lo up", ns)
	return ns
}

// addHost makes a host with these public addresses and returns the namespace in which its programs run. Behind a NAT that
// is another than the one that has the addresses.
func (n *internet) addHost(name string, kind natKind, addrs ...string) (ns string) {
	n.t.Helper()
	ns = n.addNS(name)
	edge := ns
	if kind != noNAT {
		edge = n.addNS(name + "-nat")
		random := ""
		if kind == symmetric {
			random = "random,fully-random"
		}
		// Packets that nobody asked for are dropped, as a home router does. Were they refused instead, the kernel would
		// remember them, and give the host's own packet to that peer another port.
		n.sh(`ip link add net0 netns %[1]s type veth peer name lan0 netns %[2]s
			ip -n %[1]s addr add 192.168.77.2/24 dev net0; ip -n %[1]s link set net0 up
			ip -n %[2]s addr add 192.168.77.1/24 dev lan0; ip -n %[2]s link set lan0 up
			ip -n %[1]s route add default via 192.168.77.1
			ip netns exec %[2]s sysctl -qw net.ipv4.ip_forward=1
			ip netns exec %[2]s nft 'add table ip nat
				add chain ip nat post { type nat hook postrouting priority 100; }
				add rule ip nat post oifname "net0" masquerade %[3]s
				add chain ip nat pre { type nat hook prerouting priority -100; }
				add chain ip nat in { type filter hook input priority 0; }
				add rule ip nat in iifname "net0" ct state new drop'`, ns, edge, random)
	}
	n.links++
	link := fmt.Sprintf("v%d", n.links)
	n.sh(`ip link add net0 netns %[1]s type veth peer name %[3]s netns %[2]s
		ip -n %[2]s addr add 169.254.1.1/32 dev %[3]s; ip -n %[2]s link set %[3]s up
		for a in %[4]s; do
			ip -n %[1]s addr add $a/32 dev net0
			ip -n %[2]s route add $a/32 dev %[3]s
		done
		ip -n %[1]s link set net0 up
		ip -n %[1]s route add default via 169.254.1.1 dev net0 onlink src %[5]s`,
		edge, n.router, link, strings.Join(addrs, " "), addrs[0])
	return ns
}

// forward opens a TCP port of a host's NAT to the host.
func (n *internet) forward(ns string, port int) {
	n.t.Helper()
	n.sh(`ip netns exec %s-nat nft 'add rule ip nat pre iifname "net0" tcp dport %d dnat to 192.168.77.2'`, ns, port)
}

// in is what stands before a command line to run it in a namespace.
func in(ns string) []string { return []string{"ip", "netns", "exec", ns} }

// inNS runs f on a thread inside a namespace. Sockets that it opens stay there; the thread is thrown away.
func inNS(ns string, f func() error) error {
	errc := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		fd, err := unix.Open("/run/netns/"+ns, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err == nil {
			err = unix.Setns(fd, unix.CLONE_NEWNET)
			unix.Close(fd)
		}
		if err == nil {
			err = f()
		}
		errc <- err
	}()
	return <-errc
}

// serveFiles starts a web site with the files of a stage's on loopback in a namespace and returns its address.
func (n *internet) serveFiles(ns string) string {
	n.t.Helper()
	var ln net.Listener
	err := inNS(ns, func() (err error) {
		ln, err = net.Listen("tcp4", "127.0.0.1:0")
		return err
	})
	if err != nil {
		n.t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(serveFile)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		srv.Serve(ln) //nolint:errcheck // It ends with ErrServerClosed.
	}()
	n.t.Cleanup(func() {
		srv.Close()
		<-done
	})
	return ln.Addr().String()
}

// getIn fetches size bytes through a client that runs in a namespace.
func (c *ptClient) getIn(t *testing.T, ns string, size int64) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), sessionLimit)
	defer cancel()
	var conn net.Conn
	err := inNS(ns, func() (err error) {
		conn, err = stage.DialSOCKS(ctx, c.addr, nil)
		return err
	})
	if err != nil {
		return err
	}
	return stage.Get(ctx, conn, 7, size, nil)
}
