package browser

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"flurry/common/simnet/line"
	"flurry/test/browsers"
	"flurry/test/netlab"
)

// A packet takes nearest to nearest+farther on the line between a host and the internet: as with a good wireless network at home, and
// less than a mobile one varies. Whoever watches sits at the far end: there nobody sees how many microseconds a program takes, and
// milliseconds, which say how busy its machine is, only roughly.
const nearest, farther = 8 * time.Millisecond, 4 * time.Millisecond

// A lab has a host for each end of each kind of call. The line of whoever offers is watched, as a censor would.
type lab struct {
	*switchboard
	net   *netlab.Net
	tap   *tap
	hosts map[string]*netlab.Host // by seat
}

// newLab makes hosts with our two ends; browsers come with addBrowser.
func newLab(t *testing.T) *lab {
	t.Helper()
	if err := netlab.Missing(); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	n, err := netlab.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	board := newSwitchboard()
	l := &lab{switchboard: board, net: n, tap: newTap(board), hosts: map[string]*netlab.Host{}}
	for name, loss := range map[string]float64{"oura": 0, "ourb": 0, "lossya": lossShare, "lossyb": lossShare} {
		h, url := l.addHost(t, name, fmt.Sprintf("198.18.0.%d", len(l.hosts)+1), loss)
		l.startOurs(t, h, url)
	}
	return l
}

// addHost makes a host and returns the address of its switchboard.
func (l *lab) addHost(t *testing.T, name, addr string, loss float64) (host *netlab.Host, url string) {
	t.Helper()
	h, err := l.net.AddHost(netlab.HostConfig{Name: name, Addrs: []string{addr}, Watch: l.tap.watch,
		Up:   &line.Shape{Delay: nearest, Jitter: farther, Loss: loss, Seed: rand.Uint64()},
		Down: &line.Shape{Delay: nearest, Jitter: farther, Loss: loss, Seed: rand.Uint64()}})
	if err != nil {
		t.Fatal(err)
	}
	l.hosts[name] = h
	l.seat(name).addr = netip.MustParseAddr(addr)
	// What chooses an address by the way to the internet is to find one, and IPv6 is not carried.
	setup := exec.Command("sh", "-ec", "ip route add default dev net0 src "+addr+"; sysctl -qw net.ipv6.conf.net0.disable_ipv6=1")
	setup.Args = h.Command(setup.Args...)
	if setup.Path, err = exec.LookPath("ip"); err == nil {
		var out []byte
		if out, err = setup.CombinedOutput(); err != nil {
			t.Log(string(out))
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	l.handle(mux)
	mux.Handle("GET /testdata/", http.FileServerFS(testdata))
	srv := httptest.NewUnstartedServer(mux)
	srv.Listener.Close()
	if err := h.Do(func() (err error) { srv.Listener, err = net.Listen("tcp", "127.0.0.1:0"); return err }); err != nil {
		t.Fatal(err)
	}
	srv.Start()
	t.Cleanup(func() {
		srv.CloseClientConnections()
		srv.Close()
	})
	return h, srv.URL + "/?who=" + name
}

// startOurs starts the test binary as one of our ends, until the test ends.
func (l *lab) startOurs(t *testing.T, h *netlab.Host, url string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	argv := h.Command(os.Args[0])
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), ourSeat+"="+url)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	ended, err := browsers.Begin(cmd)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		<-ended // It was killed.
	})
}

// addBrowsers opens the page on two hosts for each browser, and returns what each browser calls itself.
func (l *lab) addBrowsers(t *testing.T, some []browser) (versions []string) {
	t.Helper()
	for i, b := range some {
		for j, at := range []string{"a", "b"} {
			h, url := l.addHost(t, b.profile+at, fmt.Sprintf("198.18.%d.%d", i+1, j+1), 0)
			b.openOn(t, h, "http://"+hostOf(url)+"/testdata/peer.html?who="+b.profile+at)
		}
	}
	for _, b := range some {
		said := ""
		for _, at := range []string{"a", "b"} {
			select {
			case said = <-l.seat(b.profile + at).hello:
			case <-time.After(limit):
				t.Fatalf("%s does not open its page", b.Name)
			}
		}
		versions = append(versions, said)
	}
	return versions
}

func hostOf(raw string) string {
	r, err := http.NewRequest(http.MethodGet, raw, nil)
	if err != nil {
		return ""
	}
	return r.URL.Host
}
