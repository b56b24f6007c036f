package netlab

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"flurry/common/simnet/line"
)

// orphan makes the test binary the process of TestReaper.
const orphan = "FLURRY_NETLAB_ORPHAN"

func TestMain(m *testing.M) {
	if os.Getenv(orphan) != "" {
		runOrphan()
		return
	}
	goleak.VerifyTestMain(m)
}

// runOrphan makes a host, says which, and waits to be killed.
func runOrphan() {
	n, err := New()
	if err == nil {
		var h *Host
		if h, err = n.AddHost(HostConfig{Name: "a", Addrs: []string{"198.18.0.1"}, Up: &line.Shape{}, Down: &line.Shape{}}); err == nil {
			fmt.Println(h.ns)
			time.Sleep(time.Minute)
		}
	}
	fmt.Println(err)
}

func needNet(t *testing.T) {
	t.Helper()
	if err := Missing(); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
}

// TestReaper kills a process that has a network, and looks that the network goes.
func TestReaper(t *testing.T) {
	needNet(t)
	ctx, cancel := context.WithTimeout(t.Context(), toolLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), orphan+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	name, _ := bufio.NewReader(out).ReadString('\n')
	file := filepath.Join("/run/netns", strings.TrimSpace(name))
	_, exists := os.Stat(file)
	cmd.Process.Kill()
	cmd.Wait() //nolint:errcheck // It was killed.
	if exists != nil {
		t.Fatalf("the process says %q: %v", name, exists)
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := os.Stat(file); os.IsNotExist(err) {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s is still there", file)
		}
	}
}

// TestTCPOverLines sends 2 MB by the kernel's TCP from a host behind a NAT over lines of 20 Mbit/s and 20 ms.
func TestTCPOverLines(t *testing.T) {
	needNet(t)
	n, err := New()
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	}()
	link := line.Shape{Rate: 20e6 / 8, Delay: 20 * time.Millisecond}
	var hosts [2]*Host
	for i, kind := range []NAT{Open, PortRestricted} {
		c := HostConfig{Name: fmt.Sprint("h", i), Addrs: []string{fmt.Sprintf("198.18.0.%d", i+1)}, NAT: kind, Up: &link, Down: &link}
		if hosts[i], err = n.AddHost(c); err != nil {
			t.Fatal(err)
		}
	}
	var ln net.Listener
	if err := hosts[0].Do(func() (err error) { ln, err = net.Listen("tcp4", "198.18.0.1:0"); return err }); err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	const size = 2_000_000
	sent := make(chan error, 1)
	go func() {
		c, err := ln.Accept()
		if err == nil {
			defer c.Close()
			if from := c.RemoteAddr().(*net.TCPAddr).IP.String(); from != "198.18.0.2" {
				err = fmt.Errorf("connection from %s", from)
			} else {
				_, err = c.Write(make([]byte, size))
			}
		}
		sent <- err
	}()
	var c net.Conn
	start := time.Now()
	if err := hosts[1].Do(func() (err error) { c, err = net.Dial("tcp4", ln.Addr().String()); return err }); err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if took := time.Since(start); took < 80*time.Millisecond {
		t.Errorf("connected within %v over 40 ms each way", took)
	}
	got, err := io.Copy(io.Discard, c)
	if err != nil || got != size {
		t.Fatalf("got %d bytes: %v", got, err)
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	// The line alone takes 0.8 s for so much; a slow start or a slow machine may double it.
	if took := time.Since(start); took < 800*time.Millisecond || took > 5*time.Second {
		t.Errorf("2 MB took %v at 20 Mbit/s", took)
	}
	if s := hosts[1].BytesFrom("198.18.0.1"); s < size {
		t.Errorf("the line has brought %d bytes", s)
	}
}
