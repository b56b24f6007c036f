package system

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"flurry/test/stage"
)

// A fakeBroker gives volunteers that poll it one match after the other, each with another relay URL, and notes which
// matches they answer.
type fakeBroker struct {
	relays []string

	mu       sync.Mutex
	next     int
	ids      map[string]string // session id -> relay URL
	answered map[string]bool   // by relay URL
	over     bool              // all relays were given out and polled past
}

func (b *fakeBroker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 100_000))
	if err != nil {
		return
	}
	var m struct{ Sid string }
	if json.Unmarshal(body, &m) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch r.URL.Path {
	case "/proxy":
		response := map[string]any{"Status": "no match", "Offer": "", "NAT": "", "NextPoll": 1000, "RelayURL": ""}
		if b.next < len(b.relays) {
			relay := b.relays[b.next]
			b.next++
			b.ids[m.Sid] = relay
			response = map[string]any{"Status": "client match", "Offer": strings.ReplaceAll(description("offer"), `\\`, `\`),
				"NAT": "unknown", "NextPoll": 1000, "RelayURL": relay}
		} else {
			b.over = true
		}
		json.NewEncoder(w).Encode(response) //nolint:errcheck // The volunteer polls again.
	case "/answer":
		b.answered[b.ids[m.Sid]] = true
		io.WriteString(w, `{"Status":"success"}`) //nolint:errcheck // The same.
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func (b *fakeBroker) state() (over bool, answered map[string]bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	copied := map[string]bool{}
	for k, v := range b.answered {
		copied[k] = v
	}
	return b.over, copied
}

// A volunteer does not even answer when the broker sends it to a relay that its operator does not allow.
func TestSystemVolunteerRefusesHostileRelays(t *testing.T) {
	t.Parallel() // It mostly waits for the next poll.
	s := newStage(t, stage.Options{})
	ctx := testContext(t)
	const good = "wss://relay.flurry.example/path?query"
	hostile := []string{
		"wss://127.0.0.1/", "wss://10.1.2.3/", "wss://192.168.1.1:8443/", "wss://169.254.169.254/latest", "wss://[::1]/", "wss://[fe80::1]/",
		"wss://[::ffff:127.0.0.1]/", "wss://0.0.0.0/", "wss://100.64.0.1/",
		"ws://relay.flurry.example/", "http://relay.flurry.example/", "https://other.example/", "https://10.1.2.3/", "file:///etc/passwd", "gopher://relay.flurry.example/",
		"wss://other.example/", "wss://relay.flurry.example.evil.test/", "wss://relay.flurry.example@evil.test/", "wss://user:pass@evil.test/",
		"wss://evil.test/?relay.flurry.example", "wss://evil.test#.flurry.example", "//relay.flurry.example/", "relay.flurry.example", "wss://", "%zz", "wss://[::1/",
	}
	broker := &fakeBroker{relays: append(append([]string{}, hostile...), good), ids: map[string]string{}, answered: map[string]bool{}}
	web := httptest.NewServer(broker)
	defer web.Close()
	// The stage's own flags would allow nearly everything, so the last word is the operator's.
	_, err := s.StartProxy(ctx, stage.ProxyOptions{BrokerURL: web.URL + "/", Args: []string{
		"-allow-non-tls-relay=false", "-allow-proxying-to-private-addresses=false", "-allowed-relay-hostname-pattern=.flurry.example$"}})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, ctx, 2*time.Minute, func() (bool, string) {
		over, answered := broker.state()
		return over && answered[good], fmt.Sprintf("the volunteer has not come to the end of the matches; answered: %v", answered)
	})
	_, answered := broker.state()
	for _, relay := range hostile {
		if answered[relay] {
			t.Errorf("the volunteer would go to %s", relay)
		}
	}
}

// A relay that redirects, or that the broker names with user information, gets what every relay gets: a WebSocket dial to
// exactly that host and nothing else.
func TestSystemVolunteerFollowsNoRedirect(t *testing.T) {
	elsewhere, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer elsewhere.Close()
	went := make(chan struct{}, 1)
	go func() {
		for {
			conn, err := elsewhere.Accept()
			if err != nil {
				return
			}
			conn.Close()
			select {
			case went <- struct{}{}:
			default:
			}
		}
	}()
	requests := make(chan http.Header, 100)
	relay := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case requests <- r.Header.Clone():
		default:
		}
		w.Header().Set("Location", "http://"+elsewhere.Addr().String()+"/")
		w.WriteHeader([]int{http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect}[len(requests)%4])
	}))
	defer relay.Close()
	s := newStage(t, stage.Options{Proxies: 1, RelayURL: strings.Replace(relay.URL, "http://", "ws://user:secret@", 1) + "/path"})
	ctx := testContext(t)
	conn := dial(t, ctx, s.Client(), nil)
	defer conn.Close()
	if _, err := io.WriteString(conn, "hello"); err != nil {
		t.Fatal(err)
	}
	for range 3 { // The client tries again and again.
		select {
		case h := <-requests:
			if h.Get("Authorization") != "" || h.Get("Cookie") != "" {
				t.Errorf("the volunteer sends the relay credentials: %v", h)
			}
		case <-went:
			t.Fatal("the volunteer followed the redirect")
		case <-ctx.Done():
			t.Fatal("the volunteer does not dial the relay")
		}
	}
	// Its last dial is over when the client has been told, which takes the volunteer no longer than the next poll.
	if err := s.WaitAvailable(ctx, 1); err != nil {
		t.Fatal(err)
	}
	select {
	case <-went:
		t.Fatal("the volunteer followed the redirect")
	default:
	}
}
