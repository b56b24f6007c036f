package netlab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"flurry/common/simnet/line"
)

// toolLimit bounds one run of the tools, on a busy machine.
const toolLimit = 30 * time.Second

// prefix begins the names of all namespaces, followed by the number of the process.
const prefix = "flurry-"

// A Net is a set of hosts. Its methods may be called by one goroutine at a time, those of its hosts by any.
type Net struct {
	prefix  string
	reaper  reaper
	forward *forwarder
	router  string // the namespace that joins the hosts without lines; made with the first of them
	links   int
}

// New makes a Net without hosts. Close removes it; if this process ends before, however it ends, so does the Net.
func New() (*Net, error) {
	n := &Net{prefix: fmt.Sprintf("%s%d-%x-", prefix, os.Getpid(), time.Now().UnixNano()&0xffffff)}
	if err := n.reaper.start(n.prefix); err != nil {
		return nil, fmt.Errorf("make a network: %w", err)
	}
	n.forward = newForwarder()
	return n, nil
}

// Close removes the hosts. Programs on them must have ended.
func (n *Net) Close() error {
	n.forward.close()
	if err := n.reaper.finish(); err != nil {
		return fmt.Errorf("remove a network: %w", err)
	}
	return nil
}

// A NAT is what stands between a host and the internet.
type NAT string

// The kinds of NAT.
const (
	Open NAT = "open" // none
	// The kernel keeps a connection's port, so all peers see the same; only those that were sent to may answer.
	PortRestricted NAT = "port-restricted"
	// Each peer sees another port.
	Symmetric NAT = "symmetric"
)

// A HostConfig describes a host.
type HostConfig struct {
	Name  string   // unique, of few letters
	Addrs []string // its public addresses, the first of which it sends from; behind a NAT the NAT has them
	NAT   NAT      // empty: Open
	// The lines to the internet. Without both the host is joined to the others of that kind by the kernel, and does not see
	// those that have lines.
	Up, Down *line.Shape
	// Watch, if not nil, sees each IPv4 packet at the far end of its lines, where a provider does, and says whether it goes on: up is
	// one that the host sends. It is called from several goroutines and must not keep the packet. Only hosts with lines have it.
	Watch func(up bool, packet []byte) bool
}

// A Host is one machine of a Net.
type Host struct {
	ns, edge string // namespaces: the host's own, and the one with the public addresses
	addrs    []string
	access   *access
}

// AddHost makes a host.
func (n *Net) AddHost(c HostConfig) (*Host, error) {
	h := &Host{ns: n.prefix + c.Name, addrs: c.Addrs}
	h.edge = h.ns
	err := n.addNS(h.ns)
	if err == nil && c.NAT != "" && c.NAT != Open {
		h.edge += "-nat"
		err = n.addNAT(h, c.NAT)
	}
	if err == nil && c.Up != nil && c.Down != nil {
		err = n.addLines(h, c)
	} else if err == nil {
		err = n.addLink(h)
	}
	if err != nil {
		return nil, fmt.Errorf("add the host %s: %w", c.Name, err)
	}
	return h, nil
}

func (n *Net) addNS(ns string) error {
	return sh("ip netns add %[1]s; ip -n %[1]s link set lo up", ns)
}

// addNAT puts a NAT before a host.
func (n *Net) addNAT(h *Host, kind NAT) error {
	random := ""
	if kind == Symmetric {
		random = "random,fully-random"
	}
	// Packets that nobody asked for are dropped, as a home router does. Were they refused instead, the kernel would
	// remember them, and give the host's own packet to that peer another port.
	return errors.Join(n.addNS(h.edge), sh(`ip link add net0 netns %[1]s type veth peer name lan0 netns %[2]s
		ip -n %[1]s addr add 192.168.77.2/24 dev net0; ip -n %[1]s link set net0 up
		ip -n %[2]s addr add 192.168.77.1/24 dev lan0; ip -n %[2]s link set lan0 up
		ip -n %[1]s route add default via 192.168.77.1
		ip netns exec %[2]s sysctl -qw net.ipv4.ip_forward=1
		ip netns exec %[2]s nft 'add table ip nat
			add chain ip nat post { type nat hook postrouting priority 100; }
			add rule ip nat post oifname "net0" masquerade %[3]s
			add chain ip nat pre { type nat hook prerouting priority -100; }
			add chain ip nat in { type filter hook input priority 0; }
			add rule ip nat in iifname "net0" ct state new drop'`, h.ns, h.edge, random))
}

// addLink joins a host to the router.
func (n *Net) addLink(h *Host) error {
	if n.router == "" {
		n.router = n.prefix + "router"
		if err := errors.Join(n.addNS(n.router), sh("ip netns exec %s sysctl -qw net.ipv4.ip_forward=1", n.router)); err != nil {
			return err
		}
	}
	n.links++
	return sh(`ip link add net0 netns %[1]s type veth peer name v%[3]d netns %[2]s
		ip -n %[2]s addr add 169.254.1.1/32 dev v%[3]d; ip -n %[2]s link set v%[3]d up
		for a in %[4]s; do
			ip -n %[1]s addr add $a/32 dev net0
			ip -n %[2]s route add $a/32 dev v%[3]d
		done
		ip -n %[1]s link set net0 up
		ip -n %[1]s route add default via 169.254.1.1 dev net0 onlink src %[5]s`,
		h.edge, n.router, n.links, strings.Join(h.addrs, " "), h.addrs[0])
}

// addLines joins a host to the forwarder. There is no way to other addresses than those for tests, so that a program that
// asks for one of them is told at once. The kernel's own queue before the line is so long that the line's is the one that
// counts.
func (n *Net) addLines(h *Host, c HostConfig) error {
	var addrs [][4]byte
	for _, a := range h.addrs {
		addr, err := netip.ParseAddr(a)
		if err != nil || !addr.Is4() {
			return fmt.Errorf("%q is no IPv4 address", a)
		}
		addrs = append(addrs, addr.As4())
	}
	var tun io.ReadWriteCloser
	if err := inNS(h.edge, func() (err error) { tun, err = openTUN("net0"); return err }); err != nil {
		return err
	}
	h.access = n.forward.join(tun, c, addrs...)
	return sh(`for a in %[2]s; do ip -n %[1]s addr add $a/32 dev net0; done
		ip -n %[1]s link set net0 mtu 1500 txqueuelen 10000 up
		ip -n %[1]s route add 198.18.0.0/15 dev net0 src %[3]s`, h.edge, strings.Join(h.addrs, " "), h.addrs[0])
}

// Addrs are the public addresses.
func (h *Host) Addrs() []string { return h.addrs }

// Command returns the command line that runs argv on the host.
func (h *Host) Command(argv ...string) []string {
	return append([]string{"ip", "netns", "exec", h.ns}, argv...)
}

// Do runs f on a thread of its own such that the sockets it opens are the host's. They stay so.
func (h *Host) Do(f func() error) error { return inNS(h.ns, f) }

// Forward opens a TCP port of the host's NAT to the host.
func (h *Host) Forward(port int) error {
	return sh(`ip netns exec %s nft 'add rule ip nat pre iifname "net0" tcp dport %d dnat to 192.168.77.2'`, h.edge, port)
}

// Up is the line from the host, nil if it has none.
func (h *Host) Up() *line.Line {
	if h.access == nil {
		return nil
	}
	return h.access.up
}

// Down is the line to the host, nil if it has none.
func (h *Host) Down() *line.Line {
	if h.access == nil {
		return nil
	}
	return h.access.down
}

// BytesFrom returns the bytes of IP packets that the line down has brought from hosts with one of these addresses.
func (h *Host) BytesFrom(addrs ...string) int64 {
	h.access.mu.Lock()
	defer h.access.mu.Unlock()
	sum := int64(0)
	for _, a := range addrs {
		sum += h.access.from[netip.MustParseAddr(a).As4()]
	}
	return sum
}

// sh runs lines of shell, up to the first that fails.
func sh(format string, a ...any) error {
	ctx, cancel := context.WithTimeout(context.Background(), toolLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-e")
	cmd.Env = append(os.Environ(), path())
	cmd.Stdin = strings.NewReader(fmt.Sprintf(format, a...))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, bytes.TrimSpace(out))
	}
	return nil
}

// A reaper is a process that removes namespaces when it is asked to, or when this process is gone, which it learns from the
// end of its standard input. No signal handler could do that after a SIGKILL, nor after the panic of a test that takes too
// long.
type reaper struct {
	cmd  *exec.Cmd
	in   io.Closer
	said bytes.Buffer
	once sync.Once
	err  error
}

func (r *reaper) start(prefix string) error {
	r.cmd = exec.Command("sh", "-c", `read -r _
		for f in /run/netns/`+prefix+`*; do
			[ ! -e "$f" ] || ip netns del "${f##*/}" || failed=1
		done
		exit ${failed:-0}`)
	r.cmd.Env = append(os.Environ(), path())
	r.cmd.Stderr = &r.said
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // The terminal's Ctrl-C is not for it.
	in, err := r.cmd.StdinPipe()
	if err != nil {
		return err
	}
	r.in = in
	return r.cmd.Start()
}

// finish has the namespaces removed now.
func (r *reaper) finish() error {
	r.once.Do(func() {
		r.in.Close()
		timer := time.AfterFunc(toolLimit, func() { r.cmd.Process.Kill() })
		defer timer.Stop()
		if err := r.cmd.Wait(); err != nil {
			r.err = fmt.Errorf("%w: %s", err, bytes.TrimSpace(r.said.Bytes()))
		}
	})
	return r.err
}
