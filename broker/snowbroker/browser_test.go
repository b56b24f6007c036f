package snowbroker

import (
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	"flurry/common/messages"
)

// origins are what volunteers' browsers say: nothing, a page, extensions (Firefox's
// with a name of the installation's own), a page without an origin.
func origins() []string {
	return []string{"", "https://page.example", "chrome-extension://mafpmfcccpbjnhfhjnllmmalhifmlcie",
		"moz-extension://7a1d5e0a-5f0c-4a4e-9d3f-2f6b9d0b7c55", "null"}
}

// lines is a log that a test can read.
type lines struct {
	mu  sync.Mutex
	buf strings.Builder // guarded by mu
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// A browser sends a body as text/plain, so that it need not ask for permission
// first, and shows the reply to a script of any origin; which origin that is makes
// no difference and is in no log. The relay may be one for WebTransport.
func TestVolunteersInBrowsers(t *testing.T) {
	const relay = "https://one.snowflake.example/"
	bridges, err := ReadBridges(strings.NewReader(
		`{"displayName":"one","webSocketAddress":"` + relay + `","fingerprint":"` + messages.DefaultFingerprint.String() + `"}`))
	if err != nil {
		t.Fatal(err)
	}
	var log lines
	s := newSite(t, Config{Bridges: bridges, Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))},
		MemoryOptions{})
	for i, origin := range origins() {
		ask := func(path, body string) string {
			header := map[string]string{"Content-Type": "text/plain;charset=UTF-8"}
			if origin != "" {
				header["Origin"] = origin
			}
			resp, text, err := send(s.Server, http.MethodPost, path, body, header)
			if err != nil {
				return err.Error()
			}
			if got := resp.Header.Values("Access-Control-Allow-Origin"); len(got) != 1 || got[0] != "*" {
				t.Errorf("%q asking %s: Access-Control-Allow-Origin is %q", origin, path, got)
			}
			if got := resp.Header.Get("Access-Control-Allow-Credentials"); got != "" {
				t.Errorf("%q asking %s: Access-Control-Allow-Credentials is %q", origin, path, got)
			}
			return fmt.Sprint(resp.StatusCode, " ", text)
		}
		sid := fmt.Sprint("sid", i)
		polled := make(chan string, 1)
		s.requests.Go(func() { polled <- ask("/proxy", pollBody(sid, "unrestricted")) })
		<-s.m.polled
		client := s.background("/client", clientBody("restricted"))
		if got := <-polled; !strings.HasPrefix(got, "200 ") || !strings.Contains(got, `"RelayURL":"`+relay+`"`) {
			t.Errorf("%q polled: %s", origin, got)
		}
		s.expect("answer", ask("/answer", answerBody(sid)), `200 {"Status":"success"}`)
		if got := <-client; !strings.HasPrefix(got, "200 ") || !strings.Contains(got, `"answer"`) {
			t.Errorf("the client got %s", got)
		}
		for _, path := range []string{"/proxy", "/answer"} {
			s.expect("a bad body", ask(path, "x"), "400 ")
		}
	}
	if text := log.String(); strings.Contains(text, "page.example") || strings.Contains(text, "extension") {
		t.Errorf("the log has the origin: %s", text)
	}
}
