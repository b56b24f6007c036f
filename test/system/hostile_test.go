package system

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"flurry/test/stage"
)

// maxMemory bounds what a program may take of a machine under the attacks of these tests. Idle ones take 15 to 30 MB, and
// several times that under the race detector.
func maxMemory() int64 {
	if stage.RaceEnabled {
		return 1 << 30
	}
	return 200 << 20
}

// wantBounded fails the test if p has ever taken more than maxMemory.
func wantBounded(t *testing.T, p *stage.Process) {
	t.Helper()
	u, err := p.Usage()
	if err != nil {
		t.Logf("memory of %s: %v", p.Name(), err)
		return
	}
	t.Logf("%s took at most %d MB", p.Name(), u.PeakRSS>>20)
	if u.PeakRSS > maxMemory() {
		t.Errorf("%s took %d MB of memory, want at most %d", p.Name(), u.PeakRSS>>20, maxMemory()>>20)
	}
}

// undisturbed runs transfers through s until the returned function is called, which says how many went well. One that fails
// fails the test.
func undisturbed(t *testing.T, s *stage.Stage) (stop func()) {
	t.Helper()
	ctx := testContext(t)
	get(t, ctx, s.Client(), 0, 1) // The session stands.
	quit := make(chan struct{})
	done := make(chan error, 1)
	var n atomic.Int64
	go func() {
		for seed := uint64(1); ; seed++ {
			select {
			case <-quit:
				done <- nil
				return
			default:
			}
			if err := bothWays(ctx, s.Client(), nil, seed, 200_000); err != nil {
				done <- err
				return
			}
			n.Add(1)
		}
	}()
	return func() {
		t.Helper()
		close(quit)
		if err := <-done; err != nil {
			t.Errorf("an honest transfer was disturbed: %v", err)
		}
		t.Logf("%d honest transfers meanwhile", n.Load())
	}
}

// A reply is what a program said to a request.
type reply struct {
	status int
	body   string
}

// post sends one request with a connection of its own.
func post(ctx context.Context, url, body string) (reply, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return reply{resp.StatusCode, string(b)}, err
}

// sessionText is a session description as programs send it, but of nobody: whoever tries it waits for ever.
const sessionText = `v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n` +
	`a=fingerprint:sha-256 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF\r\n` +
	`a=group:BUNDLE 0\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=setup:actpass\r\na=mid:0\r\na=sendrecv\r\n` +
	`a=sctp-port:5000\r\na=ice-ufrag:abcdefgh\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\n` +
	`a=candidate:1 1 udp 2130706431 127.0.0.1 9 typ host\r\na=end-of-candidates\r\n`

// description wraps sessionText as it stands inside a JSON string.
func description(kind string) string {
	return strings.ReplaceAll(fmt.Sprintf(`{"type":"%s","sdp":"%s"}`, kind, sessionText), `\`, `\\`)
}

func quote(s string) string { return strings.ReplaceAll(s, `"`, `\"`) }

func offerBody() string {
	return fmt.Sprintf("1.0\n"+`{"offer":"%s","nat":"unknown"}`, quote(description("offer")))
}

func pollBody(id string) string {
	return fmt.Sprintf(`{"Sid":"%s","Version":"1.3","Type":"standalone","NAT":"unrestricted","Clients":0,"AcceptedRelayPattern":""}`, id)
}

func answerBody(id string) string {
	return fmt.Sprintf(`{"Version":"1.3","Sid":"%s","Answer":"%s"}`, id, quote(description("answer")))
}

func TestSystemBrokerAnswersBadRequests(t *testing.T) {
	s := newStage(t, stage.Options{Proxies: 1})
	ctx := testContext(t)
	stop := undisturbed(t, s)
	big := strings.Repeat("x", 100_001)
	const refused = http.StatusBadRequest
	for name, c := range map[string]struct {
		path, body string
		status     int
		want       string // part of the reply; with no status but 200 the reply is otherwise empty
	}{
		"client too big":             {"client", "1.0\n" + big, refused, ""},
		"client no version":          {"client", "hello", 200, `"unsupported message version"`},
		"client empty":               {"client", "", 200, `"unsupported message version"`},
		"client other version":       {"client", "2.0\n{}", 200, `"unsupported message version"`},
		"client CR in version":       {"client", "1.0\r\n{}", 200, `"unsupported message version"`},
		"client no JSON":             {"client", "1.0\nhello", 200, `{"error":"`},
		"client wrong type":          {"client", "1.0\n" + `{"offer":5}`, 200, `{"error":"`},
		"client array":               {"client", "1.0\n[]", 200, `{"error":"`},
		"client trailing data":       {"client", offerBody() + "{}", 200, `{"error":"`},
		"client no offer":            {"client", "1.0\n{}", 200, `"no supplied offer"`},
		"client offer not JSON":      {"client", "1.0\n" + `{"offer":"v=0"}`, 200, `"malformed session description: `},
		"client offer of no type":    {"client", "1.0\n" + `{"offer":"{\"type\":\"nope\",\"sdp\":\"\"}"}`, 200, `"malformed session description: `},
		"client bad fingerprint":     {"client", strings.Replace(offerBody(), `"nat"`, `"fingerprint":"xyz","nat"`, 1), 200, `"cannot decode fingerprint"`},
		"client short fingerprint":   {"client", strings.Replace(offerBody(), `"nat"`, `"fingerprint":"00","nat"`, 1), 200, `"cannot decode fingerprint"`},
		"client unknown fingerprint": {"client", strings.Replace(offerBody(), `"nat"`, `"fingerprint":"`+strings.Repeat("F", 40)+`","nat"`, 1), 200, `"bridge with requested fingerprint is unknown to the broker"`},
		"client bad NAT":             {"client", strings.Replace(offerBody(), "unknown", "weird", 1), 200, `"invalid NAT type"`},
		"legacy client not JSON":     {"client", "{hello", refused, ""},
		"legacy client bad offer":    {"client", `{"type":"nope","sdp":""}`, refused, ""},
		"proxy too big":              {"proxy", big, refused, ""},
		"proxy empty":                {"proxy", "", refused, ""},
		"proxy no JSON":              {"proxy", "hello", refused, ""},
		"proxy other version":        {"proxy", strings.Replace(pollBody("a"), "1.3", "2.0", 1), refused, ""},
		"proxy no id":                {"proxy", pollBody(""), refused, ""},
		"proxy Clients a text":       {"proxy", strings.Replace(pollBody("a"), `"Clients":0`, `"Clients":"0"`, 1), refused, ""},
		"proxy Clients a fraction":   {"proxy", strings.Replace(pollBody("a"), `"Clients":0`, `"Clients":0.5`, 1), refused, ""},
		"proxy bad NAT":              {"proxy", strings.Replace(pollBody("a"), "unrestricted", "weird", 1), refused, ""},
		"proxy without pattern":      {"proxy", strings.Replace(pollBody("a"), `,"AcceptedRelayPattern":""`, "", 1), 200, `"incorrect relay pattern"`},
		"proxy of other relays":      {"proxy", strings.Replace(pollBody("a"), `"AcceptedRelayPattern":""`, `"AcceptedRelayPattern":"example.com$"`, 1), 200, `"incorrect relay pattern"`},
		"answer too big":             {"answer", big, refused, ""},
		"answer empty":               {"answer", "", refused, ""},
		"answer other version":       {"answer", strings.Replace(answerBody("a"), "1.3", "2.0", 1), refused, ""},
		"answer no id":               {"answer", answerBody(""), refused, ""},
		"answer no candidate":        {"answer", strings.Replace(answerBody("a"), "a=candidate", "a=nothing", 1), refused, ""},
		"answer bad description":     {"answer", `{"Version":"1.3","Sid":"a","Answer":"a=candidate"}`, refused, ""},
		"answer to nobody":           {"answer", answerBody("nobody"), 200, `{"Status":"client gone"}`},
		"unknown page":               {"no-such-page", "", http.StatusNotFound, "404"},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := post(ctx, s.BrokerURL()+c.path, c.body)
			if err != nil {
				t.Fatal(err)
			}
			if r.status != c.status {
				t.Errorf("status %d, want %d", r.status, c.status)
			}
			if c.want == "" && r.body != "" || !strings.Contains(r.body, c.want) {
				t.Errorf("reply %.200q, want %q in it", r.body, c.want)
			}
		})
	}
	stop()
	wantBounded(t, s.Broker())
}

// Offers of clients that nobody answers, volunteers that take an offer and say nothing, volunteers that hang up while they
// wait.
func TestSystemHalfFinishedRendezvous(t *testing.T) {
	s := newStage(t, stage.Options{Proxies: 1})
	ctx := testContext(t)
	stop := undisturbed(t, s)
	const each = 200
	base, err := s.Broker().Usage()
	if err != nil {
		t.Logf("file descriptors of the broker: %v", err)
	}

	t.Log("polls that hang up")
	var group errgroup.Group
	for i := range each {
		group.Go(func() error {
			conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", strings.TrimSuffix(strings.TrimPrefix(s.BrokerURL(), "http://"), "/"))
			if err != nil {
				return err
			}
			defer conn.Close()
			body := pollBody(fmt.Sprintf("hang-up-%d", i))
			_, err = fmt.Fprintf(conn, "POST /proxy HTTP/1.1\r\nHost: broker\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	// The broker forgets them long before the 10 s that it would have held them.
	eventually(t, ctx, 5*time.Second, func() (bool, string) {
		n, err := s.Available(ctx)
		return err == nil && n <= 1, fmt.Sprintf("the broker still counts on %d volunteers (%v)", n, err)
	})

	t.Log("offers that nobody answers")
	var matched, timedOut, denied atomic.Int64
	for i := range each {
		group.Go(func() error {
			r, err := post(ctx, s.BrokerURL()+"proxy", pollBody(fmt.Sprintf("silent-%d", i)))
			if err == nil && strings.Contains(r.body, `"client match"`) {
				matched.Add(1) // and no answer follows
			}
			return err
		})
	}
	if err := s.WaitAvailable(ctx, each/2); err != nil {
		t.Fatal(err)
	}
	for range each {
		group.Go(func() error {
			r, err := post(ctx, s.BrokerURL()+"client", offerBody())
			switch {
			case err != nil:
				return err
			case r.status != http.StatusOK:
				return fmt.Errorf("status %d for an offer", r.status)
			case strings.Contains(r.body, `"timed out waiting for answer!"`):
				timedOut.Add(1)
			case strings.Contains(r.body, `"no snowflake proxies currently available"`):
				denied.Add(1)
			case !strings.Contains(r.body, `"answer"`): // The honest volunteer answers whoever comes.
				return fmt.Errorf("unexpected reply to an offer: %.200q", r.body)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d matched, %d timed out, %d denied", matched.Load(), timedOut.Load(), denied.Load())
	if timedOut.Load() < each/2 {
		t.Errorf("%d of %d offers timed out, want most of them", timedOut.Load(), each)
	}
	stop()
	eventually(t, ctx, 30*time.Second, func() (bool, string) {
		u, err := s.Broker().Usage()
		return err != nil || u.FDs <= base.FDs+slackFDs, fmt.Sprintf("the broker has %d file descriptors, %d before", u.FDs, base.FDs)
	})
	// And a new client is served as ever.
	if err := s.WaitAvailable(ctx, 1); err != nil {
		t.Fatal(err)
	}
	c, err := s.StartClient(ctx)
	if err != nil {
		t.Fatal(err)
	}
	get(t, ctx, c, 5, 100_000)
	wantBounded(t, s.Broker())
}

// slowLimit is when a program must have hung up on a peer that only pretends to send: its own limits are 10 and 15 s.
const slowLimit = 40 * time.Second

func TestSystemSlowRequests(t *testing.T) {
	s := newStage(t, stage.Options{Proxies: 1})
	ctx := testContext(t)
	stop := undisturbed(t, s)
	const each = 200
	broker := strings.TrimSuffix(strings.TrimPrefix(s.BrokerURL(), "http://"), "/")
	server := strings.TrimSuffix(strings.TrimPrefix(s.RelayURL(), "ws://"), "/")
	const upgrade = "GET / HTTP/1.1\r\nHost: bridge\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
	ctx2, cancel := context.WithTimeout(ctx, slowLimit)
	defer cancel()
	var group errgroup.Group
	for name, c := range map[string]struct {
		addr, first string
		drip        string // sent again and again, slowly
	}{
		"broker, no request":         {broker, "", ""},
		"broker, header in drips":    {broker, "POST /client HTTP/1.1\r\nHost: broker\r\n", "X-A: b\r\n"},
		"broker, body in drips":      {broker, "POST /client HTTP/1.1\r\nHost: broker\r\nContent-Length: 90000\r\n\r\n1.0\n", "{"},
		"broker, endless body":       {broker, "POST /proxy HTTP/1.1\r\nHost: broker\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\n{\r\n"},
		"broker, big body, no end":   {broker, "POST /answer HTTP/1.1\r\nHost: broker\r\nContent-Length: 99999\r\n\r\n" + strings.Repeat("x", 60_000), ""},
		"server, no request":         {server, "", ""},
		"server, header in drips":    {server, "GET / HTTP/1.1\r\nHost: bridge\r\n", "X-A: b\r\n"},
		"server, half-open":          {server, upgrade, ""},
		"server, prelude in drips":   {server, upgrade, "\x82\x81\x00\x00\x00\x00\x12"}, // one byte of the magic in each frame
		"server, pings only":         {server, upgrade, "\x89\x80\x00\x00\x00\x00"},
		"server, half a frame":       {server, upgrade + "\x82\xfe\x40\x00\x00\x00\x00\x00", "\x00"},
		"server, frame of 2^62":      {server, upgrade + "\x82\xff\x40\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", strings.Repeat("\x00", 4096)},
		"server, wrong magic":        {server, upgrade + "\x82\x90\x00\x00\x00\x00" + strings.Repeat("x", 16), ""},
		"server, request of 1000 kB": {server, "GET / HTTP/1.1\r\nX-A: " + strings.Repeat("x", 1_000_000), "x"},
	} {
		for range each {
			group.Go(func() error {
				if err := untilClosed(ctx2, c.addr, c.first, c.drip); err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
				return nil
			})
		}
	}
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
	stop()
	wantBounded(t, s.Broker())
	wantBounded(t, s.Server())
}

// untilClosed sends first and then drip, twice a second, and returns nil when the other side has hung up, also if it has
// answered before.
func untilClosed(ctx context.Context, addr, first, drip string) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, first); err != nil {
		return nil // Hung up already.
	}
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		io.Copy(io.Discard, conn) //nolint:errcheck // An end of any kind is what we wait for.
	}()
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-closed:
			return nil
		case <-tick.C:
			if _, err := io.WriteString(conn, drip); err != nil {
				return nil
			}
		case <-ctx.Done():
			conn.Close()
			<-closed
			return fmt.Errorf("not hung up on: %w", ctx.Err())
		}
	}
}

// What comes after a right prelude is not trusted either: packets are only bytes.
func TestSystemServerTakesNonsensePackets(t *testing.T) {
	s := newStage(t, stage.Options{Proxies: 1})
	ctx := testContext(t)
	stop := undisturbed(t, s)
	server := strings.TrimSuffix(strings.TrimPrefix(s.RelayURL(), "ws://"), "/")
	var group errgroup.Group
	for i := range 50 {
		group.Go(func() error {
			conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", server)
			if err != nil {
				return err
			}
			defer conn.Close()
			io.WriteString(conn, "GET /?client_ip=not.an.ip HTTP/1.1\r\nHost: bridge\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n") //nolint:errcheck // It may hang up at any time.
			prelude := append([]byte{0x12, 0x93, 0x60, 0x5d, 0x27, 0x81, 0x75, 0xf5}, fmt.Sprintf("%08d", i)...)
			nonsense := make([]byte, 1<<20)
			if _, err := io.ReadFull(stage.File(uint64(i), int64(len(nonsense))), nonsense); err != nil {
				return err
			}
			if i%2 == 0 { // half of them with a right length before each piece
				for j := 0; j+102 <= len(nonsense); j += 102 {
					nonsense[j], nonsense[j+1] = 0xc0, 100
				}
			}
			for _, part := range append([][]byte{prelude}, bytes.SplitAfterN(nonsense, []byte{0x42}, 200)...) {
				frame := []byte{0x82, 0xff, 0, 0, 0, 0, byte(len(part) >> 24), byte(len(part) >> 16), byte(len(part) >> 8), byte(len(part)), 0, 0, 0, 0}
				if _, err := conn.Write(append(frame, part...)); err != nil {
					return nil // Hung up on, rightly.
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
	stop()
	wantBounded(t, s.Server())
}
