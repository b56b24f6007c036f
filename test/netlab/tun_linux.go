package netlab

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// openTUN makes a TUN device in the network namespace of the calling thread.
func openTUN(name string) (io.ReadWriteCloser, error) {
	const device = "/dev/net/tun"
	fd, err := unix.Open(device, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", device, err)
	}
	request, err := unix.NewIfreq(name)
	if err == nil {
		request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("make the TUN device %s: %w", name, err)
	}
	return os.NewFile(uintptr(fd), device), nil
}

// inNS runs f on a thread inside a network namespace. Sockets that it opens stay there; the thread is thrown away.
func inNS(ns string, f func() error) error {
	return onThread(func() error {
		fd, err := unix.Open("/run/netns/"+ns, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("open the namespace %s: %w", ns, err)
		}
		defer unix.Close(fd)
		if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter the namespace %s: %w", ns, err)
		}
		return f()
	})
}

// onThread runs f on a thread that is thrown away.
func onThread(f func() error) error {
	errc := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // Never unlocked: the thread ends with the goroutine.
		errc <- f()
	}()
	return <-errc
}

// tools are the programs that a Net is made with, and their Debian packages.
var tools = [...]struct{ name, pkg string }{{"ip", "iproute2"}, {"nft", "nftables"}, {"sysctl", "procps"}}

// Missing says what keeps this machine from making a Net, nil if nothing does.
func Missing() error {
	for _, tool := range tools {
		if _, err := exec.LookPath(tool.name); err != nil {
			if _, err := os.Stat(filepath.Join("/usr/sbin", tool.name)); err != nil { // Not in the PATH of everybody.
				return fmt.Errorf("no %s here; it is in the Debian package %s", tool.name, tool.pkg)
			}
		}
	}
	return onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("no network namespaces here, which take root: %w", err)
		}
		tun, err := openTUN("probe0")
		if err != nil {
			return fmt.Errorf("no TUN devices here, which take root: %w", err)
		}
		return tun.Close()
	})
}

// path is PATH with the directories where the tools are.
func path() string {
	return "PATH=" + strings.Join([]string{os.Getenv("PATH"), "/usr/sbin", "/sbin"}, string(filepath.ListSeparator))
}
