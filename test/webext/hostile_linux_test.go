package webext

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"

	"flurry/test/browsers"
)

const (
	// hugeBody is the size of a body that nobody should read to its end.
	hugeBody = 10 << 20
	// mostTaken bounds what a browser may have taken of a body without an end when it gives up: its own limit is 100 kB (spec
	// section 3.1), the rest is in buffers of sockets and of the browser's network process.
	mostTaken = 32 << 20
	// mostGrown bounds the memory that all of this together may cost a browser, in bytes.
	mostGrown = 150 << 20
	// caseLimit bounds one case.
	caseLimit = 40 * time.Second
)

// hostileReplies are what a broker could say to a poll in place of a match.
func hostileReplies() map[string]func(http.ResponseWriter) {
	all := map[string]func(http.ResponseWriter){
		"status 500":  func(w http.ResponseWriter) { w.WriteHeader(http.StatusInternalServerError) },
		"status 204":  func(w http.ResponseWriter) { w.WriteHeader(http.StatusNoContent) },
		"10 MB":       text(`{"Status":"` + strings.Repeat("x", hugeBody) + `"}`),
		"10 MB of no": text(strings.Repeat(" ", hugeBody) + `{"Status":"no match"}`),
		"cut short": func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "1000")
			io.WriteString(w, `{"Status":`) //nolint:errcheck // It is cut short, by the handler's end.
		},
	}
	for _, s := range []string{"", "\x00\xff\xfe", "<html>", "null", "[]", "7", `"client match"`, "{}", `{"Status":""}`, `{"Status":7}`,
		`{"Status":null}`, `{"Status":["client match"],"Offer":{}}`, `{"Status":"client match"}`, `{"Status":"client match","Offer":""}`,
		`{"Status":"client match","Offer":[1]}`, `{"Status":"no match","NextPoll":"soon"}`, `{"Status":"no match","NextPoll":1e300}`,
		`{"Status":"no match","NextPoll":-1}`, `{"Status":"no match","NextPoll":1.5}`, `{"Status":"<b onmouseover=alert(1)>"}`,
		`{"__proto__":{"Status":"client match"},"Status":"no match"}`, strings.Repeat(`{"a":`, 20_000), strings.Repeat("[", 90_000)} {
		all[fmt.Sprintf("%.40q", s)] = text(s)
	}
	return all
}

// hostileOffers are what could come in a client's place, as the text of its description. good is one that is none of these.
func hostileOffers(good string) map[string]string {
	replaced := func(pairs ...string) string { return wrap("offer", strings.NewReplacer(pairs...).Replace(good)) }
	var without []string
	for line := range strings.SplitSeq(good, "\r\n") {
		if !strings.HasPrefix(line, "a=candidate") {
			without = append(without, line)
		}
	}
	return map[string]string{
		"no JSON":          "v=0",
		"no object":        `["offer"]`,
		"no strings":       `{"type":1,"sdp":{}}`,
		"an answer":        wrap("answer", good),
		"empty":            wrap("offer", ""),
		"garbage":          wrap("offer", strings.Repeat("\x00\u2028\r\n", 1000)),
		"5 MB":             wrap("offer", good+strings.Repeat("a=x\r\n", 1<<20)),
		"a line of 90 kB":  wrap("offer", good+"a="+strings.Repeat("x", 90_000)+"\r\n"),
		"only v":           wrap("offer", "v=0\r\n"),
		"pictures":         replaced("m=application", "m=video"),
		"two media":        wrap("offer", good+good[strings.Index(good, "m=application"):]),
		"no fingerprint":   replaced("a=fingerprint", "a=finger"),
		"wrong hash":       replaced("a=fingerprint:sha-256", "a=fingerprint:rot-13"),
		"no password":      replaced("a=ice-pwd", "a=ice"),
		"short password":   replaced("a=ice-pwd:", "a=ice-pwd:x\r\na=y:"),
		"no candidates":    wrap("offer", strings.Join(without, "\r\n")),
		"1000 candidates":  wrap("offer", good+strings.Repeat("a=candidate:1 1 udp 1 127.0.0.9 9 typ host\r\n", 1000)),
		"broken candidate": replaced("typ host", "typ hostess"),
		"port 99999":       replaced(" typ host", "99999 typ host"),
	}
}

// TestHostile meets a broker that means ill, and clients that do. The extension must come through all of that and then help a
// client that is none of it.
func TestHostile(t *testing.T) {
	forEach(t, func(ctx context.Context, t *testing.T, kind browsers.Kind) {
		broker, relay := newFakeBroker(t), newFakeRelay(t)
		v := newVolunteer(ctx, t, kind, config{Type: "webext", BrokerURL: broker.url, ProbeURL: broker.url + "probe",
			RelayPattern: "^127.0.0.1$",
			RelayURL:     relay.url(), Local: true})
		v.await("off", phase("off"))
		v.click("#toggle")
		broker.reply(ctx, t, text(`{"Status":"no match","NextPoll":1000}`))
		before, err := v.group.Usage()
		if err != nil {
			t.Fatal(err)
		}
		next := func(name string, reply func(http.ResponseWriter)) {
			ctx, cancel := context.WithTimeoutCause(ctx, caseLimit, fmt.Errorf("the case %q takes too long", name))
			defer cancel()
			v.retry()
			broker.reply(ctx, t, reply)
		}
		for name, reply := range hostileReplies() {
			next(name, reply)
		}
		var taken atomic.Int64
		next("endless", endless(&taken))
		if taken.Load() > mostTaken {
			t.Errorf("the browser took %d bytes of a body without an end", taken.Load())
		}
		good := newPeer(t, true)
		offer := good.offer(ctx, t)
		for name, o := range hostileOffers(good.conn.LocalDescription().SDP) {
			next(name, text(matchMessage(o, relay.url())))
		}
		v.retry()
		broker.meetWith(ctx, t, good, offer, relay.url())
		exchangeOver(ctx, t, good)
		after, err := v.group.Usage()
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%d bytes of an endless body; memory %d MB before, %d MB after", taken.Load(), before.PSS>>20, after.PSS>>20)
		if after.PSS-before.PSS > mostGrown {
			t.Errorf("the browser has grown from %d to %d MB", before.PSS>>20, after.PSS>>20)
		}
	})
}

// endless writes until the browser has had enough.
func endless(taken *atomic.Int64) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		chunk := []byte(strings.Repeat(" ", 64<<10))
		for taken.Load() < 4*mostTaken {
			n, err := w.Write(chunk)
			taken.Add(int64(n))
			if err != nil {
				return
			}
		}
	}
}

// exchangeOver sends messages to a relay that gives them back.
func exchangeOver(ctx context.Context, t testing.TB, p *peer) {
	t.Helper()
	const messages, size = 100, 1200
	for i := range messages {
		b := make([]byte, size)
		b[0] = byte(i)
		if err := p.channel.Send(b); err != nil {
			t.Fatal(err)
		}
	}
	got := 0
	for got < messages*size {
		select {
		case b := <-p.messages:
			got += len(b)
		case <-ctx.Done():
			t.Fatalf("%d of %d bytes are back: %v", got, messages*size, context.Cause(ctx))
		}
	}
	if p.channel.ReadyState() != webrtc.DataChannelStateOpen {
		t.Error("the channel has ended")
	}
}
