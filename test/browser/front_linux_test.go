package browser

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"

	"flurry/common/covert"
	"flurry/common/covert/coverttest"
	"flurry/test/browsers"
)

// frontHost is the name of the server that browsers and ours visit. It has the length of a usual one.
const frontHost = "www.front.example"

// frontBody is the length of a request, about that of an offer twice over, so that it is cut where a browser cuts.
const frontBody = 5000

// frontPage asks twice as we do. It has an icon, so that none is asked for.
const frontPage = `<!doctype html><link rel="icon" href="data:,"><script>(async () => {
	for (let i = 0; i < 2; i++) {
		const reply = await fetch("/client", {method: "POST", body: "o".repeat(5000)});
		await reply.text();
	}
})()</script>`

// trusting returns b, told to find frontHost here and to take its certificate.
func (b browser) trusting(cert tls.Certificate, addr string) browser {
	command := b.command
	b.command = func(t *testing.T, program, dir, url string, loopback bool) []string {
		leaf, err := x509.ParseCertificate(cert.Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		argv := command(t, program, dir, url, loopback)
		if b.Name == "Chromium" {
			key := sha256.Sum256(leaf.RawSubjectPublicKeyInfo)
			return slices.Insert(argv, len(argv)-1, "--host-resolver-rules=MAP "+frontHost+" 127.0.0.1",
				"--ignore-certificate-errors-spki-list="+base64.StdEncoding.EncodeToString(key[:]))
		}
		_, port, _ := net.SplitHostPort(addr)
		sum := sha256.Sum256(leaf.Raw)
		override := fmt.Sprintf("# PSM Certificate Override Settings file\n%s:%s:\tOID.2.16.840.1.101.3.4.2.1\t%s\t\n", frontHost, port, fingerprint(sum))
		err = os.WriteFile(filepath.Join(dir, "cert_override.txt"), []byte(override), 0o600)
		if err := errors.Join(err, browsers.WritePrefs(dir, `user_pref("network.dns.localDomains", "`+frontHost+`");`+"\n")); err != nil {
			t.Fatal(err)
		}
		return argv
	}
	return b
}

// A looked is what one client showed to the front, in a form to compare.
type looked struct {
	hello    []string // facts, without what is drawn for each connection
	opening  []string // HTTP/2: the frames before the first request
	first    string   // HTTP/2: the number of the first stream
	fields   []string // of the second POST, with its first line or its pseudo headers
	coding   []string // HTTP/2: how these were encoded
	frames   []string // HTTP/2: the frames of the second POST
	begin    []string // the TLS records from the hello to the first request
	records  []string // the TLS records of the second POST
	hellos   int      // connections
	requests []coverttest.Request
}

// TestFrontLooks compares our requests to a front with those of a browser's page, of the same run.
func TestFrontLooks(t *testing.T) {
	for _, b := range allBrowsers() {
		for _, protocol := range []string{"h2", "http/1.1"} {
			t.Run(b.Name+" "+protocol, func(t *testing.T) {
				b.Routed = false // There are no calls here.
				b.find(t)
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
				defer cancel()
				ca := coverttest.NewCA(t)
				cert := ca.Certificate(t, frontHost)
				w := coverttest.NewWatcher(t, cert, protocol, frontPage)
				_, port, err := net.SplitHostPort(w.Addr())
				if err != nil {
					t.Fatal(err)
				}
				page := "https://" + net.JoinHostPort(frontHost, port) + "/"
				b.trusting(cert, w.Addr()).open(t, page)
				seen, err := w.Await(ctx, 2)
				if err != nil {
					t.Fatal(err)
				}
				theirs := look(t, seen)

				name := map[string]string{"Chromium": covert.Chromium, "Firefox": covert.Firefox}[b.Name]
				plain := visit(ctx, t, ca, cert, protocol, name, page, nil)
				report := t.Errorf
				if version(theirs.fields) != version(plain.fields) {
					t.Logf("%s is %s here, and ours is %s: what differs is no error, but the profile should follow", b.Name, version(theirs.fields), version(plain.fields))
					report = t.Logf
				}
				if a, b := nameless(theirs.fields), nameless(plain.fields); !slices.Equal(a, b) {
					report("the browser's fields:\n  %s\nours:\n  %s", lines(a), lines(b))
				}
				// The comparison tells browsers apart.
				for _, other := range []string{"hellochrome_72", "hellofirefox_65", covert.Ordinary} {
					if o := visit(ctx, t, ca, cert, protocol, other, page, nil); slices.Equal(o.hello, theirs.hello) || slices.Equal(o.fields, theirs.fields) {
						t.Errorf("%s is %s", other, b.Name)
					}
				}
				// Once more with the browser's words for system and product: then all lengths are equal too.
				same := visit(ctx, t, ca, cert, protocol, name, page, named(theirs.fields))
				for _, c := range []struct {
					what         string
					theirs, ours any
				}{
					{"connections with requests", 1, same.hellos},
					{"hello", theirs.hello, same.hello},
					{"opening", theirs.opening, same.opening},
					{"first stream", theirs.first, same.first},
					{"header fields", theirs.fields, same.fields},
					{"header encoding", theirs.coding, same.coding},
					{"frames of a request", theirs.frames, same.frames},
					{"TLS records of the opening", theirs.begin, same.begin},
					{"TLS records of a request", theirs.records, same.records},
				} {
					equal := fmt.Sprint(c.theirs) == fmt.Sprint(c.ours)
					t.Logf("%-27s equal: %v", c.what, equal)
					if !equal {
						report("%s of %s:\n  %s\nours:\n  %s", c.what, b.Name, lines(c.theirs), lines(c.ours))
					}
				}
			})
		}
	}
}

func lines(v any) string {
	if list, ok := v.([]string); ok {
		return strings.Join(list, "\n  ")
	}
	return fmt.Sprint(v)
}

// visit posts twice as the page does, with the given headers in place of our own, to a Watcher of its own at the same port,
// which stands in every header that names the front.
func visit(ctx context.Context, t *testing.T, ca *coverttest.CA, cert tls.Certificate, protocol, name, page string, headers http.Header) looked {
	t.Helper()
	w := coverttest.NewWatcher(t, cert, protocol, "")
	transport, err := covert.NewTransport(covert.Options{Hello: name, RootCAs: ca.Pool(), DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, w.Addr())
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer transport.Close()
	for range 2 {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, page+"client", bytes.NewReader(bytes.Repeat([]byte("o"), frontBody)))
		if err != nil {
			t.Fatal(err)
		}
		r.Header = headers.Clone()
		if r.Header == nil {
			r.Header = make(http.Header)
		}
		reply, err := transport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(reply.Body); err != nil {
			t.Fatal(err)
		}
		reply.Body.Close()
	}
	return look(t, w.Connections())
}

// look takes from what a Watcher saw the connection with the POSTs, and brings it into a form to compare.
func look(t *testing.T, all []coverttest.Connection) looked {
	t.Helper()
	var l looked
	for _, c := range all {
		if l.hello == nil && len(c.Hello) > 0 {
			l.hello = helloFacts(t, c.Hello) // of the first: a browser's next may resume its session
		}
		if len(c.Requests) > 0 {
			l.hellos++ // browsers also open some that they do not use
		}
		if i := slices.IndexFunc(c.Requests, func(r coverttest.Request) bool { return r.Method == http.MethodPost }); i < 0 || len(l.requests) > 0 {
			continue
		}
		l.requests = c.Requests
		l.begin = c.Records[:2] // the rest of the handshake
		if c.Protocol == "h2" {
			l.begin = c.Records[:3]
		}
		last := c.Requests[len(c.Requests)-1]
		l.fields = last.Fields
		if c.Protocol != "h2" {
			sent := c.Records[2:] // past the rest of the handshake
			if c.Requests[0].Method == http.MethodGet {
				sent = sent[1:]
			}
			l.records = sent[len(sent)/2:] // of two that are alike
			continue
		}
		for _, coding := range last.Coding {
			l.coding = append(l.coding, regexp.MustCompile(`indexed \d+`).ReplaceAllString(coding, "indexed")) // the place in the table depends on what was before
		}
		frames := slices.DeleteFunc(slices.Clone(c.Frames), func(f string) bool { return f == "SETTINGS acknowledged" }) // when the server's come
		begin := slices.IndexFunc(frames, func(f string) bool { return strings.HasPrefix(f, "HEADERS") })
		l.opening = frames[:begin]
		l.first, _, _ = strings.Cut(frames[begin], ",")
		stream := regexp.MustCompile(`stream \d+`)
		begin = slices.Index(frames, last.Frame)
		for _, f := range frames[begin:] {
			l.frames = append(l.frames, stream.ReplaceAllString(f, "stream"))
		}
		data := len(slices.DeleteFunc(slices.Clone(l.frames), func(f string) bool { return !strings.HasPrefix(f, "DATA") }))
		l.records = c.Records[len(c.Records)-data-1:]
	}
	if len(l.requests) == 0 {
		t.Fatal("nothing was asked")
	}
	return l
}

// product finds what names system and product, which depends on where a browser runs and how: ours runs on Windows, is
// Google's if it is Chromium's family, and has a screen.
var product = regexp.MustCompile(`\((X11; Linux x86_64|Windows NT 10\.0; Win64; x64)|"(Linux|Windows)"|Headless|, "Google Chrome";v="\d+"`)

// nameless returns header fields without what names system and product.
func nameless(fields []string) []string {
	var all []string
	for _, f := range fields {
		all = append(all, product.ReplaceAllString(f, ""))
	}
	return all
}

// version finds a browser's name and version in its user agent.
func version(fields []string) string {
	return regexp.MustCompile(`(Chrome|Firefox)/\d+`).FindString(strings.Join(fields, "\n"))
}

// named takes from header fields those that name system and product.
func named(fields []string) http.Header {
	h := make(http.Header)
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		switch strings.ToLower(name) {
		case "user-agent", "sec-ch-ua", "sec-ch-ua-platform":
			h.Set(name, value)
		}
	}
	return h
}

// helloFacts writes down all that identifies the maker of a ClientHello, one fact a line: not what is drawn for each
// connection. Extensions between two of GREASE are shuffled, and so are sorted.
func helloFacts(t *testing.T, records []byte) []string {
	t.Helper()
	facts := []string{fmt.Sprintf("record of version %x", records[1:3])}
	s := cryptobyte.String(records[5:])
	var body, session, suites, compression, extensions cryptobyte.String
	var version uint16
	if !s.Skip(1) || !s.ReadUint24LengthPrefixed(&body) || !s.Empty() || !body.ReadUint16(&version) || !body.Skip(32) ||
		!body.ReadUint8LengthPrefixed(&session) || !body.ReadUint16LengthPrefixed(&suites) ||
		!body.ReadUint8LengthPrefixed(&compression) || !body.ReadUint16LengthPrefixed(&extensions) || !body.Empty() {
		t.Fatal("not a ClientHello in one record")
	}
	facts = append(facts, fmt.Sprintf("version %04x, session id of %d bytes, compression %x", version, len(session), []byte(compression)),
		"suites "+greased(suites))
	var all []string
	for !extensions.Empty() {
		var id uint16
		var data cryptobyte.String
		if !extensions.ReadUint16(&id) || !extensions.ReadUint16LengthPrefixed(&data) {
			t.Fatal("bad extensions")
		}
		all = append(all, extensionFacts(t, id, data))
	}
	if strings.HasPrefix(all[0], "GREASE") {
		slices.Sort(all[1 : len(all)-1])
	}
	return append(facts, all...)
}

func extensionFacts(t *testing.T, id uint16, data cryptobyte.String) string {
	t.Helper()
	name := greased([]byte{byte(id >> 8), byte(id)})
	raw := []byte(data)
	switch id {
	case 10, 13: // groups and signature schemes
		return name + ": " + greased(raw[2:])
	case 43: // versions
		return name + ": " + greased(raw[1:])
	case 51: // key shares
		keys := make(map[string]string)
		for b := raw[2:]; len(b) > 4; {
			n := int(b[2])<<8 + int(b[3])
			group := greased(b[:2])
			keys[group] = string(b[4 : 4+n])
			name += fmt.Sprintf(" %s of %d bytes", group, n)
			b = b[4+n:]
		}
		return name + fmt.Sprintf(", X25519 is that of the hybrid: %v", strings.HasSuffix(keys["11ec"], keys["001d"]))
	case 0xfe0d: // GREASE of ECH: AEAD, configuration, key and payload are drawn
		payload := len(raw) - 42
		if payload == 144 || payload == 176 || payload == 208 || payload == 240 { // what Chromium draws from
			payload = 144
		}
		return name + fmt.Sprintf(": %x, AEAD drawn, %x, payload of %d bytes", raw[:3], raw[6:8], payload)
	}
	return name + fmt.Sprintf(": %x", raw)
}

// greased writes down a list of two-byte values, those of GREASE (RFC 8701) without their number.
func greased(list []byte) string {
	var all []string
	for ; len(list) >= 2; list = list[2:] {
		if list[0] == list[1] && list[0]&0x0f == 0x0a {
			all = append(all, "GREASE")
		} else {
			all = append(all, fmt.Sprintf("%02x%02x", list[0], list[1]))
		}
	}
	return strings.Join(all, " ")
}
