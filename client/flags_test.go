package main

import (
	"bytes"
	"errors"
	"flag"
	"strings"
	"testing"

	pt "gitlab.torproject.org/tpo/anti-censorship/pluggable-transports/goptlib"

	"flurry/client/snowclient"
	"flurry/common/carrier/rtc"
	"flurry/common/covert"
	"flurry/common/messages"
	"flurry/common/vectors"
)

const otherBridge = "8838024498816A039FCBBAB14E6F40A0843051FA"

// full are settings in which nothing is a default.
var full = settings{
	url: "https://broker.example/", fronts: "a.example,b.example", ice: "stun:s.example:3478",
	max: 3, fingerprint: messages.DefaultFingerprint, keepLocal: true,
}

func TestParseFlags(t *testing.T) {
	for _, c := range []struct {
		args string
		want options
	}{
		{"", options{settings: settings{max: 1}}},
		{"-url https://broker.example/ -fronts a.example,b.example -ice stun:s.example:3478 -max 3 -keep-local-addresses",
			options{settings: settings{url: full.url, fronts: full.fronts, ice: full.ice, max: 3, keepLocal: true}}},
		{"-front a.example", options{settings: settings{fronts: "a.example", max: 1}}},
		{"-front a.example,b.example", options{settings: settings{fronts: "a.example,b.example", max: 1}}},
		{"-front a.example -fronts b.example,,c.example,", options{settings: settings{fronts: "b.example,c.example", max: 1}}},
		{"-max 0", options{settings: settings{max: 1}}},
		{"-max -7", options{settings: settings{max: 1}}},
		{"-max 1000000", options{settings: settings{max: snowclient.MaxPaths}}},
		{"--log f -log-to-state-dir -unsafe-logging", options{settings: settings{max: 1}, log: "f", logToStateDir: true, unsafeLogging: true}},
		{"-inband=false", options{settings: settings{max: 1, noInBand: true}}},
		{"-covertdtls-config mimic", options{settings: settings{max: 1, profile: rtc.Chromium}}},
		{"-covertdtls-config Disable", options{settings: settings{max: 1, profile: rtc.Pion}}},
		{"-covertdtls-config randomizemimic", options{settings: settings{max: 1}}},
		{"-covertdtls-config disable -covertdtls-fingerprint " + helloBody, options{settings: settings{max: 1, profile: rtc.Chromium}}},
		{"-inband", options{settings: settings{max: 1}}},
		{"-logToStateDir -keepLocalAddresses", options{settings: settings{max: 1, keepLocal: true}, logToStateDir: true}},
		{"-version", options{settings: settings{max: 1}, version: true}},
	} {
		got, err := parseFlags(strings.Fields(c.args), nil)
		if err != nil || got != c.want {
			t.Errorf("%s:\ngot  %+v, %v\nwant %+v", c.args, got, err, c.want)
		}
	}
}

// helloBody is the least that passes for a hello.
var helloBody = "fefd" + strings.Repeat("00", 32) + "0000" + "0002c02b" + "0100"

func TestParseFlagsRefuses(t *testing.T) {
	for _, args := range []string{
		"-max x", "-max", "-nonsense", "word", "-url ftp://broker.example/", "-url broker.example", "-url https://", "-url ://",
		"-ampcache https://cdn.example/", "-sqsqueue https://sqs.example/", "-sqscreds x",
		"-covertdtls-config none", "-covertdtls-fingerprint fefd", "-unsafe-logging=perhaps",
	} {
		_, err := parseFlags(strings.Fields(args), nil)
		if err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %q, want one line", args, err)
		}
	}
}

func TestHelpListsTheFlags(t *testing.T) {
	var help bytes.Buffer
	if _, err := parseFlags([]string{"-h"}, &help); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("got %v", err)
	}
	for _, name := range []string{"url", "fronts", "front", "ice", "max", "log", "log-to-state-dir", "logToStateDir",
		"keep-local-addresses", "keepLocalAddresses", "covertdtls-config", "covertdtls-fingerprint", "unsafe-logging", "version"} {
		if !strings.Contains(help.String(), "\n  -"+name) {
			t.Errorf("help lacks -%s", name)
		}
	}
}

// args makes pt.Args of alternating keys and values.
func args(kv ...string) pt.Args {
	a := make(pt.Args)
	for i := 0; i < len(kv); i += 2 {
		a.Add(kv[i], kv[i+1])
	}
	return a
}

func TestSOCKSArgsOverFlags(t *testing.T) {
	with := func(change func(*settings)) settings {
		s := full
		change(&s)
		return s
	}
	other, err := messages.ParseFingerprint(otherBridge)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		args pt.Args
		want settings
	}{
		{"none", args(), full},
		{"unknown ones", args("colour", "blue", "", "x"), full},
		{"url", args("url", "http://127.0.0.1:1/x"), with(func(s *settings) { s.url = "http://127.0.0.1:1/x" })},
		{"fronts", args("fronts", "x.example, y.example"), with(func(s *settings) { s.fronts = "x.example,y.example" })},
		{"front", args("front", "x.example"), with(func(s *settings) { s.fronts = "x.example" })},
		{"front list", args("front", "x.example,y.example"), with(func(s *settings) { s.fronts = "x.example,y.example" })},
		{"fronts and front", args("front", "x.example", "fronts", "y.example"), with(func(s *settings) { s.fronts = "y.example" })},
		{"empty fronts hides front", args("front", "x.example", "fronts", ""), full},
		{"empty front", args("front", ""), with(func(s *settings) { s.fronts = "" })},
		{"ice", args("ice", "stun:x.example,stun:y.example:1"), with(func(s *settings) { s.ice = "stun:x.example,stun:y.example:1" })},
		{"max", args("max", "5"), with(func(s *settings) { s.max = 5 })},
		{"max too small", args("max", "-1"), with(func(s *settings) { s.max = 1 })},
		{"max too great", args("max", "999"), with(func(s *settings) { s.max = snowclient.MaxPaths })},
		{"hello", args("utls-imitate", "HelloFirefox_Auto"), with(func(s *settings) { s.hello = "hellofirefox_auto" })},
		{"auto hello", args("utls-imitate", "Auto"), full},
		{"no hello", args("utls-imitate", "none"), with(func(s *settings) { s.hello = covert.Ordinary })},
		{"empty hello", args("utls-imitate", ""), full},
		{"nosni", args("utls-nosni", "TRUE"), with(func(s *settings) { s.noSNI = true })},
		{"nosni yes", args("utls-nosni", "Yes"), with(func(s *settings) { s.noSNI = true })},
		{"nosni else", args("utls-nosni", "1"), full},
		{"inband", args("inband", "yes"), full},
		{"inband off", args("inband", "No"), with(func(s *settings) { s.noInBand = true })},
		{"fingerprint", args("fingerprint", strings.ToLower(otherBridge)), with(func(s *settings) { s.fingerprint = other })},
		{"default fingerprint", args("fingerprint", messages.DefaultFingerprint.String()), full},
		{"empty fingerprint", args("fingerprint", ""), full},
		{"missing parts, not asked for", args("ampcache", "", "sqsqueue", ""), full},
		{"covertdtls", args("covertdtls-config", "Mimic"), with(func(s *settings) { s.profile = rtc.Chromium })},
		{"covertdtls off", args("covertdtls-config", "Disable"), with(func(s *settings) { s.profile = rtc.Pion })},
		{"covertdtls hello", args("covertdtls-fingerprint", helloBody), with(func(s *settings) { s.profile = rtc.Chromium })},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := full.withArgs(c.args)
			if err != nil || got != c.want {
				t.Errorf("got  %+v, %v\nwant %+v", got, err, c.want)
			}
		})
	}
}

func TestSOCKSArgsRefused(t *testing.T) {
	for _, c := range []struct {
		args pt.Args
		text string // part of the error
	}{
		{args("ampcache", "https://cdn.example/"), "ampcache is not supported"},
		{args("inband", "perhaps"), `inband="perhaps" is neither yes nor no`},
		{args("sqsqueue", "https://sqs.example/"), "sqsqueue is not supported"},
		{args("sqscreds", "x"), "sqscreds is not supported"},
		{args("covertdtls-config", "mimic "), `covertdtls-config "mimic " is none of`},
		{args("covertdtls-fingerprint", "fefd"), "covertdtls-fingerprint: not the body"},
		{args("max", "two"), "not a number"},
		{args("max", ""), "not a number"},
		{args("max", "1.5"), "not a number"},
		{args("utls-imitate", "hellochrome_120"), "not a known name"},
		{args("utls-imitate", "hellofirefox_auto "), "not a known name"},
		{args("fingerprint", "12"), "fingerprint"},
		{args("fingerprint", "zz"), "fingerprint"},
		{args("url", ""), "no rendezvous given"},
		{args("url", "gopher://broker.example/"), "broker URL"},
	} {
		if _, err := full.withArgs(c.args); err == nil || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%v: got %v, want %q", c.args, err, c.text)
		}
	}
	if _, err := (settings{max: 1}).withArgs(args("fronts", "a.example")); !errors.Is(err, errNoRendezvous) {
		t.Errorf("no url: got %v", err)
	}
}

// The names of TLS hellos, as the specification has them.
func TestUTLSNameVectors(t *testing.T) {
	vectors.Run(t, "small_parsers", map[string]func(*testing.T, vectors.Case){
		"utls_name": func(t *testing.T, c vectors.Case) {
			var in struct{ Text string }
			var out struct{ OK bool }
			c.Decode(t, &in, &out)
			_, err := full.withArgs(args("utls-imitate", in.Text))
			if (err == nil) != out.OK && in.Text != "" { // empty: no imitation
				t.Errorf("got %v, want ok = %v", err, out.OK)
			}
		},
	}, "fingerprint", "scrub", "http_client_ip", "covertdtls", // tested in common
		"sqscreds_encode", "sqscreds_decode") // of parts that this version does not have
}

// FuzzSOCKSArgs feeds arbitrary arguments, as key=value pairs split at
// semicolons, to the parser. Whatever it accepts must be a fixed point, and
// must name a broker.
func FuzzSOCKSArgs(f *testing.F) {
	f.Add("url=https://broker.example/;fronts=a.example,b.example;ice=stun:s.example;max=2")
	f.Add("fingerprint=" + otherBridge + ";utls-imitate=hellorandomizedalpn;utls-nosni=yes;url=http://[::1]:1/")
	f.Add("max=99999999999999999999;front=,,;url=%")
	f.Add("ampcache=x;sqsqueue=;covertdtls-config=disable")
	f.Fuzz(func(t *testing.T, text string) {
		a := make(pt.Args)
		for pair := range strings.SplitSeq(text, ";") {
			k, v, _ := strings.Cut(pair, "=")
			a.Add(k, v)
		}
		s, err := settings{max: 1}.withArgs(a)
		if err != nil {
			if s, err := full.withArgs(a); err == nil && s.url == "" {
				t.Error("accepted without a broker")
			}
			return
		}
		if s.url == "" || s.max < 1 || s.max > snowclient.MaxPaths || len(s.fingerprint) < 20 {
			t.Errorf("accepted %+v", s)
		}
		if joinList(s.fronts) != s.fronts || joinList(s.ice) != s.ice {
			t.Errorf("lists are not in normal form: %+v", s)
		}
		if again, err := s.withArgs(nil); err != nil || again != s {
			t.Errorf("%+v became %+v, %v", s, again, err)
		}
	})
}
