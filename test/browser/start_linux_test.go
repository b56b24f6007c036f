package browser

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"flurry/test/netlab"
)

// A browser is a kind of browser.
type browser struct {
	name          string
	program       string
	debianPackage string
	profile       string // of ours, that looks like it
	routed        bool   // offers addresses only if there is a route to the outside, be it never used
	// command makes its command line, given a new directory for all that it wants to write. With loopback its calls may use that.
	command func(t *testing.T, program, dir, url string, loopback bool) []string
}

var browsers = []browser{
	{"Chromium", "chromium", "chromium", "chromium", false, chromium},
	{"Firefox", "firefox-esr", "firefox-esr", "firefox", true, firefox},
}

// chromium is told to leave the network alone, to put addresses into its candidates in place of names of multicast DNS, and
// to use loopback, which may be all there is.
func chromium(_ *testing.T, program, dir, url string, loopback bool) []string {
	argv := []string{program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage", "--disable-breakpad",
		"--no-first-run", "--no-proxy-server", "--disable-background-networking", "--disable-component-update", "--disable-sync",
		"--disable-features=WebRtcHideLocalIpsWithMdns", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
		"--autoplay-policy=no-user-gesture-required", "--user-data-dir=" + dir}
	if loopback {
		argv = append(argv, "--allow-loopback-in-peer-connection")
	}
	return append(argv, url)
}

// firefoxPrefs do the same for Firefox.
const firefoxPrefs = `user_pref("media.peerconnection.ice.obfuscate_host_addresses", false);
user_pref("media.navigator.streams.fake", true);
user_pref("media.navigator.permission.disabled", true);
user_pref("network.proxy.type", 0);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
user_pref("network.dns.disablePrefetch", true);
user_pref("app.update.enabled", false);
user_pref("app.normandy.enabled", false);
user_pref("browser.aboutwelcome.enabled", false);
user_pref("browser.region.network.url", "");
user_pref("browser.safebrowsing.malware.enabled", false);
user_pref("browser.safebrowsing.phishing.enabled", false);
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("extensions.update.enabled", false);
user_pref("services.settings.server", "http://127.0.0.1:9");
user_pref("toolkit.telemetry.server", "");
`

func firefox(t *testing.T, program, dir, url string, loopback bool) []string {
	prefs := firefoxPrefs
	if loopback {
		prefs += `user_pref("media.peerconnection.ice.loopback", true);
`
	}
	if err := os.WriteFile(filepath.Join(dir, "user.js"), []byte(prefs), 0o600); err != nil {
		t.Fatal(err)
	}
	return []string{program, "-headless", "-no-remote", "-profile", dir, url}
}

// find returns the path of the program. Without it, or what it needs, the test is skipped, or fails in CI.
func (b browser) find(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath(b.program)
	if err != nil {
		missing(t, "no "+b.program+" here; it is in the Debian package "+b.debianPackage)
	}
	if b.routed {
		c, err := net.Dial("udp", "192.0.2.99:9") // It sends nothing.
		if err != nil {
			missing(t, b.name+" offers no address where there is no route but loopback's")
		} else {
			c.Close()
		}
	}
	return path
}

func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(what)
	}
	t.Skip(what)
}

// open shows a page until the test ends.
func (b browser) open(t *testing.T, url string) {
	t.Helper()
	b.openOn(t, nil, url)
}

// begin starts a program from a thread that lives as long as the program: at the end of that thread the kernel sends Pdeathsig, and
// threads end that were in a host's namespace. The channel gets what Wait returns.
func begin(cmd *exec.Cmd) (ended <-chan error, err error) {
	started, waited := make(chan error), make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			waited <- cmd.Wait()
		}
	}()
	return waited, <-started
}

// openOn is open on a host of a network, or on this machine if it is nil.
func (b browser) openOn(t *testing.T, host *netlab.Host, url string) {
	t.Helper()
	path, dir := b.find(t), t.TempDir()
	ctx, cancel := context.WithCancel(context.Background())
	argv := b.command(t, path, dir, url, host == nil)
	if host != nil {
		argv = host.Command(argv...)
	}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "TMPDIR=" + dir, "XDG_RUNTIME_DIR=" + dir, "MOZ_CRASHREPORTER_DISABLE=1"}
	// All its processes are one group. The kernel ends the first if this one dies without a word, and the others follow.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 10 * time.Second // For the last of the group to close its standard error.
	ended, err := begin(cmd)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		select {
		case err := <-ended:
			t.Errorf("%s ended by itself: %v", b.name, err)
			cancel()
		default:
			cancel()
			if err := <-ended; errors.Is(err, exec.ErrWaitDelay) {
				t.Errorf("%s: processes are left", b.name)
			}
		}
		if t.Failed() {
			t.Logf("%s said: %.4000s", b.name, said.String())
		}
	})
}
