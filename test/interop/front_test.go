package interop

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	utls "github.com/refraction-networking/utls"

	"flurry/common/covert"
	"flurry/test/stage"
)

// frontName is the name of the fronts here. It is one that resolves to this machine everywhere.
const frontName = "localhost"

// A fronting is a running system whose broker a client reaches through nginx.
type fronting struct {
	*lab
	stage  *stage.Stage
	ca     *authority
	front  *front
	tee    *tee // stands before the front and sees what a censor sees
	client *ptClient
}

func newFronting(t *testing.T) *fronting {
	l := newLab(t)
	f := &fronting{lab: l, stage: newStage(t, stage.Options{Programs: programs(t), Proxies: 3}), ca: l.newAuthority("ca")}
	f.front = l.startFront("front", f.ca.issue(frontName), f.stage.BrokerURL())
	f.tee = startTee(t, f.front.addr)
	// Only the client knows the front's certificate authority.
	f.client = l.startClient("client", programs(t).Client, nil, []string{"SSL_CERT_FILE=" + f.ca.file, "SSL_CERT_DIR=/nonexistent"},
		"-ice", f.stage.STUN(), "-keep-local-addresses")
	return f
}

// args are the SOCKS arguments for a connection through fronts at these ports.
func (f *fronting) args(hello string, ports ...int) stage.Args {
	var fronts []string
	for _, p := range ports {
		fronts = append(fronts, fmt.Sprintf("%s:%d", frontName, p))
	}
	a := stage.Args{"url": "https://" + brokerName + "/", "fronts": strings.Join(fronts, ",")}
	if hello != "" {
		a["utls-imitate"] = hello
	}
	return a
}

// news returns what the front has served since it had served n requests.
func (f *fronting) news(t *testing.T, n int) []request {
	t.Helper()
	all := f.front.requests(t)
	if len(all) == n {
		t.Fatal("the front has served nothing")
	}
	return all[n:]
}

// TestFront fetches a file by a rendezvous through nginx, under each of the browsers that can be imitated, and compares what
// stands on the wire with the hello of that browser as uTLS knows it; that of the current ones, as package covert makes it,
// which test/browser compares with the browsers.
func TestFront(t *testing.T) {
	t.Parallel()
	f := newFronting(t)
	for _, c := range []struct {
		name     string
		id       utls.ClientHelloID
		current  []string // in place of id: the hello is of one of these
		protocol string   // as nginx calls it
	}{
		{name: "hellofirefox_auto", current: []string{covert.Firefox}, protocol: "HTTP/2.0"},
		{"hellofirefox_55", utls.HelloFirefox_55, nil, "HTTP/2.0"},
		{"hellofirefox_56", utls.HelloFirefox_56, nil, "HTTP/2.0"},
		{"hellofirefox_63", utls.HelloFirefox_63, nil, "HTTP/2.0"},
		{"hellofirefox_65", utls.HelloFirefox_65, nil, "HTTP/2.0"},
		{name: "hellochrome_auto", current: []string{covert.Chromium}, protocol: "HTTP/2.0"},
		{"hellochrome_58", utls.HelloChrome_58, nil, "HTTP/2.0"},
		{"hellochrome_62", utls.HelloChrome_62, nil, "HTTP/2.0"},
		{"hellochrome_70", utls.HelloChrome_70, nil, "HTTP/2.0"},
		{"hellochrome_72", utls.HelloChrome_72, nil, "HTTP/2.0"},
		{"helloios_auto", utls.HelloIOS_Auto, nil, "HTTP/2.0"},
		{"helloios_11_1", utls.HelloIOS_11_1, nil, "HTTP/2.0"},
		{"HelloiOS_12_1", utls.HelloIOS_12_1, nil, "HTTP/2.0"}, // Names have no case.
		{name: "hellorandomizedalpn", protocol: "HTTP/2.0"},
		{name: "hellorandomizednoalpn", protocol: "HTTP/1.1"},
		{name: covert.Ordinary, protocol: "HTTP/2.0"},
		{name: "", current: []string{covert.Chromium, covert.Firefox}, protocol: "HTTP/2.0"},
	} {
		t.Run("hello="+c.name, func(t *testing.T) {
			served := len(f.front.requests(t))
			f.tee.takeHeads()
			if err := f.client.get(t, f.args(c.name, f.tee.port()), 100_000); err != nil {
				t.Fatal(err)
			}
			for _, r := range f.news(t, served) {
				if want := (request{frontName, brokerName, c.protocol, "POST", "/client", "200"}); r != want {
					t.Errorf("the front saw %+v, want %+v", r, want)
				}
			}
			heads := f.tee.takeHeads()
			if len(heads) == 0 {
				t.Fatal("no ClientHello")
			}
			for _, head := range heads {
				var want []expected
				if c.id != (utls.ClientHelloID{}) {
					want = []expected{{helloOf(t, c.id, frontName), false}}
				}
				for _, name := range c.current {
					want = append(want, currentHello(t, name, false))
				}
				checkHello(t, head, want...)
			}
		})
	}
}

// An expected is a ClientHello message, of a browser that may shuffle its extensions.
type expected struct {
	message  []byte
	shuffled bool
}

// checkHello compares the ClientHello at the start of a connection with those given, one of which it should be like. Without
// any it belongs to nobody.
func checkHello(t *testing.T, head []byte, wants ...expected) {
	t.Helper()
	message, err := helloMessage(head)
	if err != nil {
		t.Fatal(err)
	}
	got, err := describeHello(message)
	if err != nil {
		t.Fatal(err)
	}
	var all string
	for _, e := range wants {
		want, err := describeHello(e.message)
		if err != nil {
			t.Fatal(err)
		}
		if sameHello(got, want, e.shuffled) {
			return
		}
		all += "\nit should be\n  " + strings.Join(want, "\n  ")
	}
	if all != "" {
		t.Errorf("the hello is\n  %s%s", strings.Join(got, "\n  "), all)
	}
}

// currentHello returns the ClientHello message of one of package covert's own browsers.
func currentHello(t *testing.T, name string, noSNI bool) expected {
	t.Helper()
	ours, theirs := net.Pipe()
	transport, err := covert.NewTransport(covert.Options{Hello: name, NoSNI: noSNI, DialContext: func(context.Context, string, string) (net.Conn, error) {
		return ours, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	transport.Connect(&url.URL{Scheme: "https", Host: frontName})
	head := make([]byte, keptHead)
	n, err := theirs.Read(head)
	if err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	transport.Close()
	message, err := helloMessage(head[:n])
	if err != nil {
		t.Fatal(err)
	}
	return expected{message, name == covert.Chromium}
}

// helloOf returns the ClientHello message that uTLS makes for id.
func helloOf(t *testing.T, id utls.ClientHelloID, sni string) []byte {
	t.Helper()
	c := utls.UClient(&net.TCPConn{}, &utls.Config{ServerName: sni, InsecureSkipVerify: sni == ""}, id)
	if sni == "" {
		if err := c.RemoveSNIExtension(); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.BuildHandshakeState(); err != nil {
		t.Fatal(err)
	}
	return c.HandshakeState.Hello.Raw
}

// TestFrontWithoutSNI leaves the name out of the hello. The front's certificate must be the right one all the same.
func TestFrontWithoutSNI(t *testing.T) {
	t.Parallel()
	f := newFronting(t)
	for _, c := range []struct {
		name string
		id   utls.ClientHelloID
	}{{name: "hellofirefox_auto"}, {"hellochrome_72", utls.HelloChrome_72}, {"helloios_auto", utls.HelloIOS_Auto}, {name: "hellorandomizedalpn"}} {
		t.Run("hello="+c.name, func(t *testing.T) {
			served := len(f.front.requests(t))
			f.tee.takeHeads()
			args := f.args(c.name, f.tee.port())
			args["utls-nosni"] = "true"
			if err := f.client.get(t, args, 100_000); err != nil {
				t.Fatal(err)
			}
			for _, r := range f.news(t, served) {
				if r.sni != "" && r.sni != "-" || r.host != brokerName || r.status != "200" {
					t.Errorf("the front saw %+v", r)
				}
			}
			for _, head := range f.tee.takeHeads() {
				switch {
				case c.name == "hellofirefox_auto":
					checkHello(t, head, currentHello(t, covert.Firefox, true))
				case c.id != (utls.ClientHelloID{}):
					checkHello(t, head, expected{helloOf(t, c.id, ""), false})
				}
				message, err := helloMessage(head)
				if err != nil {
					t.Fatal(err)
				}
				if strings.Contains(string(message), frontName) {
					t.Error("the front's name stands in the hello")
				}
			}
		})
	}
	t.Run("the certificate still counts", func(t *testing.T) {
		other := f.startFront("other", f.ca.issue("other.example"), f.stage.BrokerURL())
		refused(t, f, other, "hellofirefox_auto", true)
	})
}

// TestFrontDown has a list of fronts of which one works. The others are passed over within the same rendezvous.
func TestFrontDown(t *testing.T) {
	t.Parallel()
	f := newFronting(t)
	ports := freePorts(t, 1) // Connections to this one are refused.
	var hits atomic.Int64
	for range 3 { // These take a connection and drop it.
		ln, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			for {
				c, err := ln.Accept()
				if err != nil {
					return
				}
				hits.Add(1)
				c.Close()
			}
		}()
		t.Cleanup(func() {
			ln.Close()
			<-done
		})
		ports = append(ports, ln.Addr().(*net.TCPAddr).Port)
	}
	ports = append(ports, f.tee.port())
	// The choice is random: with one chance in five a rendezvous begins at the right one.
	for i := 0; hits.Load() == 0; i++ {
		if i == 20 {
			t.Fatal("in 20 sessions no rendezvous has tried a front that is down")
		}
		args := f.args("hellofirefox_auto", ports...)
		args["fingerprint"] = stage.DefaultFingerprint
		args["max"] = fmt.Sprint(i + 1) // Another configuration is another session.
		if err := f.client.get(t, args, 10_000); err != nil {
			t.Fatal(err)
		}
	}
	for line := range strings.Lines(f.client.output()) {
		if strings.Contains(line, "broker failure") && !strings.Contains(line, "no snowflake proxies") {
			t.Errorf("a front that is down has failed a rendezvous: %s", line)
		}
	}
}

// TestFrontCertificate has fronts with certificates for another name and of a stranger. The client refuses them, says so to
// tor, and sends them no request.
func TestFrontCertificate(t *testing.T) {
	t.Parallel()
	f := newFronting(t)
	name := f.startFront("other", f.ca.issue("other.example"), f.stage.BrokerURL())
	stranger := f.startFront("stranger", f.newAuthority("strange").issue(frontName), f.stage.BrokerURL())
	for _, hello := range []string{"", "hellofirefox_auto", "hellochrome_auto"} {
		t.Run("hello="+hello, func(t *testing.T) {
			t.Run("other name", func(t *testing.T) { refused(t, f, name, hello, false) })
			t.Run("stranger", func(t *testing.T) { refused(t, f, stranger, hello, false) })
		})
	}
}

// refused connects through a front with the wrong certificate.
func refused(t *testing.T, f *fronting, bad *front, hello string, noSNI bool) {
	t.Helper()
	_, port, err := net.SplitHostPort(bad.addr)
	if err != nil {
		t.Fatal(err)
	}
	before := len(f.client.output())
	args := f.args(hello)
	args["fronts"] = frontName + ":" + port
	if noSNI {
		args["utls-nosni"] = "true"
	}
	c, err := stage.DialSOCKS(t.Context(), f.client.addr, args)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var said string
	eventually(t, startLimit, "the client tells tor of the failure", f.client.output, func() bool {
		for line := range strings.Lines(f.client.output()[before:]) {
			if strings.HasPrefix(line, "LOG ") && strings.Contains(line, "broker failure") {
				said = line
				return true
			}
		}
		return false
	})
	if !strings.Contains(said, "SEVERITY=notice") && !strings.Contains(said, "SEVERITY=warning") || !strings.Contains(said, "certificate") {
		t.Errorf("the client says %q, nothing of a certificate", said)
	}
	if served := bad.requests(t); len(served) > 0 {
		t.Errorf("the front with the wrong certificate was sent %+v", served)
	}
}
