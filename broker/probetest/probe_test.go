package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"flurry/common/carrier/rtc"
	"flurry/common/messages"
	"flurry/common/safelog"
)

// asProgram makes the test binary run the service itself.
const asProgram = "FLURRY_TEST_RUN_PROBETEST"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	goleak.VerifyTestMain(m)
}

// newService is a prober behind a server.
func newService(t *testing.T) (*prober, *httptest.Server) {
	t.Helper()
	endpoint, err := newEndpoint(options{keepLocalAddresses: true}, safelog.Discard())
	if err != nil {
		t.Fatal(err)
	}
	p := newProber(endpoint, safelog.Discard())
	srv := httptest.NewServer(p.handler())
	t.Cleanup(func() { srv.Close(); p.close() })
	return p, srv
}

// post returns "STATUS BODY" and the response's headers.
func post(url, body string) (string, http.Header, error) {
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	resp, err := (&http.Client{Transport: tr}).Post(url, "", strings.NewReader(body))
	if err != nil {
		return "", nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return fmt.Sprint(resp.StatusCode, " ", string(text)), resp.Header, err
}

// probe plays the proxy's part against the service at url.
func probe(t *testing.T, url string) (*rtc.Conn, error) {
	t.Helper()
	mine, err := newEndpoint(options{keepLocalAddresses: true}, safelog.Discard())
	if err != nil {
		t.Fatal(err)
	}
	return mine.Dial(t.Context(), "test", func(_ context.Context, offer string) (string, error) {
		body, err := messages.ProxyPollResponse{Status: messages.StatusClientMatch, Offer: offer}.Encode()
		if err != nil {
			return "", err
		}
		reply, header, err := post(url, string(body))
		if err != nil {
			return "", err
		}
		if got := header.Get("Access-Control-Allow-Origin"); got != "*" {
			t.Errorf("Access-Control-Allow-Origin: %q", got)
		}
		text, ok := strings.CutPrefix(reply, "200 ")
		if !ok || !strings.HasPrefix(text, `{"Version":"1.3","Sid":"stub-sid","Answer":"`) {
			return "", fmt.Errorf("reply %s", reply)
		}
		var m struct{ Answer string }
		err = json.Unmarshal([]byte(text), &m)
		return m.Answer, err
	})
}

// TestProbe opens a channel as a proxy would, and closes it.
func TestProbe(t *testing.T) {
	p, srv := newService(t)
	conn, err := probe(t, srv.URL+probePath)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	p.probes.Wait() // ends by itself when the other side has closed
	if n := len(p.slots); n != 0 {
		t.Errorf("%d slots are taken after the end", n)
	}
}

// TestCloseEndsProbes: the end does not wait for the other sides.
func TestCloseEndsProbes(t *testing.T) {
	p, srv := newService(t)
	conn, err := probe(t, srv.URL+probePath)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	p.close()
	if n := len(p.slots); n != 0 {
		t.Errorf("%d slots are taken after the end", n)
	}
}

func TestBadRequests(t *testing.T) {
	p, srv := newService(t)
	offer := func(description string) string {
		b, err := messages.ProxyPollResponse{Status: messages.StatusClientMatch, Offer: description}.Encode()
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	for name, c := range map[string]struct{ body, want string }{
		"not JSON":         {"x", "400 "},
		"empty":            {"", "400 "},
		"no offer":         {offer(""), "400 "},
		"no match":         {`{"Status":"no match","Offer":""}`, "400 "},
		"unknown status":   {`{"Status":"other","Offer":"x"}`, "400 "},
		"not a wrapper":    {offer("x"), "400 "},
		"an answer":        {offer(`{"type":"answer","sdp":"v=0\r\n"}`), "400 "},
		"bad description":  {offer(`{"type":"offer","sdp":"junk"}`), "400 "},
		"no media section": {offer(`{"type":"offer","sdp":"v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"}`), "400 "},
		"too long":         {strings.Repeat(" ", messages.MaxBodyBytes+1), "400 "},
	} {
		if got, _, err := post(srv.URL+probePath, c.body); got != c.want || err != nil {
			t.Errorf("%s: got %s, %v, want %s", name, got, err, c.want)
		}
	}
	if got, _, err := post(srv.URL+"/other", ""); !strings.HasPrefix(got, "404 ") || err != nil {
		t.Errorf("other path: %s, %v", got, err)
	}
	for range maxProbes {
		p.slots <- struct{}{}
	}
	if got, _, err := post(srv.URL+probePath, ""); got != "503 " || err != nil {
		t.Errorf("full: %s, %v", got, err)
	}
}

// A browser sends the offer as text/plain and shows the reply, whatever it is, to a
// script of any origin; which origin that is makes no difference.
func TestProbesFromBrowsers(t *testing.T) {
	_, srv := newService(t)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for _, origin := range []string{"", "https://page.example", "moz-extension://7a1d5e0a-5f0c-4a4e-9d3f-2f6b9d0b7c55", "null"} {
		ask := func(body string) int {
			req, err := http.NewRequest(http.MethodPost, srv.URL+probePath, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "text/plain;charset=UTF-8")
			if origin != "" {
				req.Header.Set("Origin", origin)
			}
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if got := resp.Header.Get("Access-Control-Allow-Origin"); got != "*" {
				t.Errorf("%q: Access-Control-Allow-Origin is %q with status %d", origin, got, resp.StatusCode)
			}
			return resp.StatusCode
		}
		var status int
		mine, err := newEndpoint(options{keepLocalAddresses: true}, safelog.Discard())
		if err != nil {
			t.Fatal(err)
		}
		enough := errors.New("enough")
		_, err = mine.Dial(t.Context(), "test", func(_ context.Context, offer string) (string, error) {
			body, err := messages.ProxyPollResponse{Status: messages.StatusClientMatch, Offer: offer}.Encode()
			if err == nil {
				status = ask(string(body))
			}
			return "", errors.Join(enough, err)
		})
		if !errors.Is(err, enough) || status != http.StatusOK {
			t.Errorf("%q: status %d, %v", origin, status, err)
		}
		if got := ask("x"); got != http.StatusBadRequest {
			t.Errorf("%q: status %d for a bad body", origin, got)
		}
	}
	p, full := newService(t)
	for range maxProbes {
		p.slots <- struct{}{}
	}
	resp, err := client.Post(full.URL+probePath, "text/plain", strings.NewReader(""))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if got := resp.Header.Get("Access-Control-Allow-Origin"); resp.StatusCode != http.StatusServiceUnavailable || got != "*" {
		t.Errorf("full: status %d, Access-Control-Allow-Origin is %q", resp.StatusCode, got)
	}
}

func command(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	return cmd
}

func TestCommandLine(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		code int
	}{
		"no certificate": {nil, 2},
		"not built":      {[]string{"-disable-tls", "-strictInteractiveConnectivitySimulationSocks5Proxy", "x"}, 2},
		"bad STUN":       {[]string{"-disable-tls", "-stun", "turn:x,http://y"}, 2},
		"argument":       {[]string{"-disable-tls", "x"}, 2},
		"bad address":    {[]string{"-disable-tls", "-addr", "nonsense"}, 1},
		"help":           {[]string{"-h"}, 0},
		"version":        {[]string{"-version"}, 0},
	} {
		cmd := command(c.args...)
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		_ = cmd.Run() // the exit code tells
		if got := cmd.ProcessState.ExitCode(); got != c.code {
			t.Errorf("%s: exit code %d, want %d", name, got, c.code)
		}
		if lines := strings.Count(stderr.String(), "\n"); c.code != 0 && lines != 1 || c.code == 0 && (lines != 0 || stdout.Len() == 0) {
			t.Errorf("%s: stdout %q, stderr %q", name, &stdout, &stderr)
		}
	}
}

// TestProgram probes a running service and ends it with the channel open.
func TestProgram(t *testing.T) {
	cmd := command("-disable-tls", "-addr", "127.0.0.1:0", "-stun", "", "-keep-local-addresses")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	var addr string
	log := bufio.NewScanner(stderr)
	for addr == "" && log.Scan() {
		if m := regexp.MustCompile(`listening on (\S+)`).FindStringSubmatch(log.Text()); m != nil {
			addr = m[1]
		}
	}
	conn, err := probe(t, "http://"+addr+probePath)
	if err != nil {
		t.Fatal(err)
	}
	cmd.Process.Signal(syscall.SIGTERM)
	// That the other end has gone shows to one who listens.
	if _, err := conn.Recv(make([]byte, 1)); err == nil {
		t.Error("the service has sent something")
	}
	conn.Close()
	if err := cmd.Wait(); err != nil {
		t.Errorf("end: %v", err)
	}
}
