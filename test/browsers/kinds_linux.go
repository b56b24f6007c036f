package browsers

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// A Kind is a kind of browser.
type Kind struct {
	Name          string
	Program       string
	DebianPackage string
	// Routed browsers offer addresses only if there is a route to the outside, be it never used.
	Routed bool
}

// Chromium is the browser that others are made of.
func Chromium() Kind { return Kind{Name: "Chromium", Program: "chromium", DebianPackage: "chromium"} }

// Firefox is the release with extended support, which Debian has.
func Firefox() Kind {
	return Kind{Name: "Firefox", Program: "firefox-esr", DebianPackage: "firefox-esr", Routed: true}
}

// Find returns the path of the program. The error says what is missing, the program or a route.
func (k Kind) Find() (string, error) {
	path, err := exec.LookPath(k.Program)
	if err != nil {
		return "", fmt.Errorf("no %s here; it is in the Debian package %s", k.Program, k.DebianPackage)
	}
	if k.Routed {
		c, err := net.Dial("udp", "192.0.2.99:9") // It sends nothing.
		if err != nil {
			return "", errors.New(k.Name + " offers no address where there is no route but loopback's")
		}
		c.Close()
	}
	return path, nil
}

// Missing skips the test for want of something, or fails it in CI, where everything is to be there.
func Missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(what)
	}
	t.Skip(what)
}

// ChromiumFlags start it without a display, with its files in dir, and tell it to leave the network alone.
func ChromiumFlags(dir string) []string {
	return []string{"--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-breakpad", "--no-first-run",
		"--no-proxy-server", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--user-data-dir=" + dir}
}

// firefoxPrefs tell it to leave the network alone.
const firefoxPrefs = `user_pref("network.proxy.type", 0);
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

// WritePrefs writes the preferences of a Firefox whose files are in dir: those that tell it to leave the network alone, and
// more, lines of user_pref.
func WritePrefs(dir, more string) error {
	return os.WriteFile(filepath.Join(dir, "user.js"), []byte(firefoxPrefs+more), 0o600)
}

// FirefoxFlags start it without a display, with its files in dir.
func FirefoxFlags(dir string) []string { return []string{"-headless", "-no-remote", "-profile", dir} }
