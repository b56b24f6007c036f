package browser

import (
	"slices"
	"testing"

	"flurry/test/browsers"
	"flurry/test/netlab"
)

// A browser is a kind of browser, as it is started here.
type browser struct {
	browsers.Kind
	profile string // of ours, that looks like it
	// command makes its command line, given a new directory for all that it wants to write. With loopback its calls may use that.
	command func(t *testing.T, program, dir, url string, loopback bool) []string
}

func allBrowsers() []browser {
	return []browser{{browsers.Chromium(), "chromium", chromium}, {browsers.Firefox(), "firefox", firefox}}
}

// chromium is told to put addresses into its candidates in place of names of multicast DNS, and to use loopback, which may be all
// there is.
func chromium(_ *testing.T, program, dir, url string, loopback bool) []string {
	argv := slices.Concat([]string{program}, browsers.ChromiumFlags(dir), []string{"--disable-quic",
		"--disable-features=WebRtcHideLocalIpsWithMdns", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
		"--autoplay-policy=no-user-gesture-required"})
	if loopback {
		argv = append(argv, "--allow-loopback-in-peer-connection")
	}
	return append(argv, url)
}

// firefoxPrefs do the same for Firefox.
const firefoxPrefs = `user_pref("media.peerconnection.ice.obfuscate_host_addresses", false);
user_pref("media.navigator.streams.fake", true);
user_pref("media.navigator.permission.disabled", true);
`

func firefox(t *testing.T, program, dir, url string, loopback bool) []string {
	prefs := firefoxPrefs
	if loopback {
		prefs += `user_pref("media.peerconnection.ice.loopback", true);
`
	}
	if err := browsers.WritePrefs(dir, prefs); err != nil {
		t.Fatal(err)
	}
	return append(append([]string{program}, browsers.FirefoxFlags(dir)...), url)
}

// find returns the path of the program. Without it, or what it needs, the test is skipped, or fails in CI.
func (b browser) find(t *testing.T) string {
	t.Helper()
	path, err := b.Find()
	if err != nil {
		browsers.Missing(t, err.Error())
	}
	return path
}

// open shows a page until the test ends.
func (b browser) open(t *testing.T, url string) {
	t.Helper()
	b.openOn(t, nil, url)
}

// openOn is open on a host of a network, or on this machine if it is nil.
func (b browser) openOn(t *testing.T, host *netlab.Host, url string) {
	t.Helper()
	path, dir := b.find(t), t.TempDir()
	argv := b.command(t, path, dir, url, host == nil)
	if host != nil {
		argv = host.Command(argv...)
	}
	g, err := browsers.Start(dir, argv...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.End(); err != nil {
			t.Errorf("%s: %v", b.Name, err)
		}
		if t.Failed() {
			t.Logf("%s said: %s", b.Name, g.Said())
		}
	})
}
