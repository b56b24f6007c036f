package browser

import (
	"context"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"flurry/common/sdp"
	"flurry/test/stage"
)

// fileSize goes each way, in bytes.
const fileSize = 5_000_000

// TestSession moves files both ways through a volunteer in a browser: client, broker and server are our programs. The client
// must have found out that it may use an unordered channel, and have been right: one channel carries it all.
func TestSession(t *testing.T) {
	for _, b := range allBrowsers() {
		t.Run(b.Name, func(t *testing.T) {
			b.find(t)
			p := newPage(t, http.NewServeMux())
			s := newStage(t.Context(), t)
			ctx := p.open(t, b, p.address(s.BrokerURL(), s.STUN()))
			if err := s.WaitAvailable(ctx, 1); err != nil {
				t.Fatal(err)
			}
			carry(ctx, t, s)
			checkChannel(t, p)
			checkClient(t, s.Client().Log())
		})
	}
}

// newStage starts everything but volunteers, until the test ends.
func newStage(ctx context.Context, t *testing.T) *stage.Stage {
	t.Helper()
	s, err := stage.New(ctx, stage.Options{Programs: programs, Max: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			for _, p := range []*stage.Process{s.Client().Process, s.Server(), s.Broker()} {
				t.Log(p.Tail(20))
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// carry moves a file down and another one up at the same time.
func carry(ctx context.Context, t *testing.T, s *stage.Stage) {
	t.Helper()
	down, err := s.Dial(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	up, err := s.Dial(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	start, sent := time.Now(), make(chan error, 1)
	go func() { sent <- stage.Put(ctx, up, 2, fileSize) }()
	if err := stage.Get(ctx, down, 1, fileSize, nil); err != nil {
		t.Error(err)
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
	t.Logf("%d bytes each way in %v", fileSize, time.Since(start).Round(time.Millisecond))
}

// checkChannel looks at what the browser has seen.
func checkChannel(t *testing.T, p *page) {
	t.Helper()
	channels, answers := p.told("channel"), p.told("answer")
	if len(channels) != 1 || len(answers) < 1 {
		t.Fatalf("%d channels, %d answers", len(channels), len(answers))
	}
	if channels[0].Ordered == nil || *channels[0].Ordered {
		t.Error("the channel is ordered")
	}
	for _, what := range []string{"end", "error"} {
		if seen := p.told(what); len(seen) > 0 {
			t.Errorf("%+v", seen)
		}
	}
	for _, a := range answers {
		if !sdp.KeepsEdges(a.SDP) {
			t.Errorf("not known for a browser's:\n%s", a.SDP)
		}
		t.Logf("the answer:\n%s", a.SDP)
	}
}

// checkClient looks at what the client has seen: one path, of the right kind, which lives.
func checkClient(t *testing.T, log string) {
	t.Helper()
	kinds := regexp.MustCompile(`connected to a proxy.*kind=(\S+)`).FindAllStringSubmatch(log, -1)
	if len(kinds) != 1 || kinds[0][1] != "rtc-unordered" {
		t.Errorf("channels %q", kinds)
	}
	for _, bad := range []string{"path ended", "session lost"} {
		if strings.Contains(log, bad) {
			t.Errorf("the client's log says %q", bad)
		}
	}
}
