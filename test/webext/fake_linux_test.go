package webext

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/coder/websocket"
	"github.com/pion/webrtc/v4"
)

// A fakeBroker answers volunteers with what the test tells it to, one poll at a time. A poll for which there is no answer waits.
// There is no probe service at it.
type fakeBroker struct {
	url     string
	next    chan func(w http.ResponseWriter) // takes what the next poll gets
	answers chan string                      // gets what the volunteer answers the client of match; others have gone by then

	polled, matched atomic.Value // the id of the poll that was answered last, and of that which match answered; strings
}

func newFakeBroker(t testing.TB) *fakeBroker {
	t.Helper()
	ln := listen(t)
	f := &fakeBroker{url: "http://" + ln.Addr().String() + "/", next: make(chan func(http.ResponseWriter)),
		answers: make(chan string, 1)}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /proxy", f.poll)
	mux.HandleFunc("POST /answer", f.answer)
	serve(t, &http.Server{Handler: mux}, ln)
	return f
}

func (f *fakeBroker) poll(w http.ResponseWriter, r *http.Request) {
	var poll struct{ Sid string }
	if err := json.NewDecoder(io.LimitReader(r.Body, 1<<20)).Decode(&poll); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	io.Copy(io.Discard, io.LimitReader(r.Body, 1<<20)) //nolint:errcheck // Without that, the server would not see its end.
	w.Header().Set("Access-Control-Allow-Origin", "*")
	select {
	case reply := <-f.next:
		f.polled.Store(poll.Sid)
		reply(w)
	case <-r.Context().Done():
	}
}

func (f *fakeBroker) answer(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Access-Control-Allow-Origin", "*")
	var a struct{ Sid, Answer string }
	if err := json.NewDecoder(io.LimitReader(r.Body, 1<<20)).Decode(&a); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if a.Sid != f.matched.Load() {
		fmt.Fprint(w, `{"Status":"client gone"}`)
		return
	}
	select {
	case f.answers <- a.Answer:
		fmt.Fprint(w, `{"Status":"success"}`)
	case <-r.Context().Done():
	}
}

// reply answers the next poll. It returns when that is done, or the browser has had enough of it.
func (f *fakeBroker) reply(ctx context.Context, t testing.TB, what func(w http.ResponseWriter)) {
	t.Helper()
	done := make(chan struct{})
	select {
	case f.next <- func(w http.ResponseWriter) { defer close(done); what(w) }:
	case <-ctx.Done():
		t.Fatalf("no poll: %v", context.Cause(ctx))
	}
	select {
	case <-done:
	case <-ctx.Done():
		t.Fatalf("a poll is not over: %v", context.Cause(ctx))
	}
}

// match answers the next poll with a client's offer and a relay.
func (f *fakeBroker) match(ctx context.Context, t testing.TB, offer, relay string) {
	t.Helper()
	f.reply(ctx, t, func(w http.ResponseWriter) {
		f.matched.Store(f.polled.Load())
		text(matchMessage(offer, relay))(w)
	})
}

func matchMessage(offer, relay string) string {
	b, _ := json.Marshal(map[string]any{"Status": "client match", "Offer": offer, "NAT": "unrestricted", "NextPoll": 1000,
		"RelayURL": relay})
	return string(b)
}

// text is a response of that text.
func text(s string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) { io.WriteString(w, s) } //nolint:errcheck // The browser may have had enough.
}

// A fakeRelay takes connections of volunteers, and gives back or swallows what comes.
type fakeRelay struct {
	ln      net.Listener
	swallow bool
	got     atomic.Int64  // bytes of messages
	more    chan struct{} // has one when got has grown
}

// newFakeRelay gives back what comes.
func newFakeRelay(t testing.TB) *fakeRelay {
	t.Helper()
	return startFakeRelay(t, &fakeRelay{})
}

// newSink swallows what comes.
func newSink(t testing.TB) *fakeRelay {
	t.Helper()
	return startFakeRelay(t, &fakeRelay{swallow: true})
}

func startFakeRelay(t testing.TB, r *fakeRelay) *fakeRelay {
	t.Helper()
	r.more = make(chan struct{}, 1)
	r.ln = listen(t)
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup // of connections that are no longer HTTP, for which the server does not care
	serve(t, &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		group.Add(1)
		defer group.Done()
		r.serve(ctx, w, req)
	})}, r.ln)
	t.Cleanup(func() {
		cancel()
		group.Wait()
	})
	return r
}

func (r *fakeRelay) url() string { return "ws://" + r.ln.Addr().String() + "/" }

// await waits until so many bytes have come.
func (r *fakeRelay) await(ctx context.Context, bytes int64) error {
	for r.got.Load() < bytes {
		select {
		case <-r.more:
		case <-ctx.Done():
			return fmt.Errorf("%d of %d bytes at the relay: %w", r.got.Load(), bytes, context.Cause(ctx))
		}
	}
	return nil
}

func (r *fakeRelay) serve(ctx context.Context, w http.ResponseWriter, req *http.Request) {
	conn, err := websocket.Accept(w, req, &websocket.AcceptOptions{InsecureSkipVerify: true}) // Any origin, as a bridge.
	if err != nil {
		return
	}
	defer conn.CloseNow() //nolint:errcheck // It may have been closed.
	conn.SetReadLimit(1 << 20)
	for {
		kind, b, err := conn.Read(ctx)
		if err != nil {
			return
		}
		r.got.Add(int64(len(b)))
		select {
		case r.more <- struct{}{}:
		default:
		}
		if !r.swallow {
			if err := conn.Write(ctx, kind, b); err != nil {
				return
			}
		}
	}
}

// A peer is a client's end of a data channel, without anything of ours.
type peer struct {
	conn     *webrtc.PeerConnection
	channel  *webrtc.DataChannel
	opened   chan struct{}
	messages chan []byte
}

func newPeer(t testing.TB, ordered bool) *peer {
	t.Helper()
	var e webrtc.SettingEngine
	e.SetIncludeLoopbackCandidate(true)
	e.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	conn, err := webrtc.NewAPI(webrtc.WithSettingEngine(e)).NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{conn: conn, opened: make(chan struct{}), messages: make(chan []byte, 1000)}
	t.Cleanup(func() { p.close(t) })
	init := &webrtc.DataChannelInit{Ordered: &ordered}
	if !ordered {
		init.MaxRetransmits = new(uint16)
	}
	if p.channel, err = conn.CreateDataChannel("snowflake-0123456789abcdef", init); err != nil {
		t.Fatal(err)
	}
	p.channel.OnOpen(func() { close(p.opened) })
	p.channel.OnMessage(func(m webrtc.DataChannelMessage) {
		select {
		case p.messages <- m.Data:
		default: // Nobody wants so many.
		}
	})
	return p
}

// close ends the connection; it may be called again.
func (p *peer) close(t testing.TB) {
	t.Helper()
	if err := p.conn.GracefulClose(); err != nil {
		t.Error(err)
	}
}

// offer is the peer's offer in its wrapper, with all candidates.
func (p *peer) offer(ctx context.Context, t testing.TB) string {
	t.Helper()
	gathered := webrtc.GatheringCompletePromise(p.conn)
	d, err := p.conn.CreateOffer(nil)
	if err == nil {
		err = p.conn.SetLocalDescription(d)
	}
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-gathered:
	case <-ctx.Done():
		t.Fatal(context.Cause(ctx))
	}
	return wrap("offer", p.conn.LocalDescription().SDP)
}

func wrap(kind, sdp string) string {
	b, _ := json.Marshal(map[string]string{"type": kind, "sdp": sdp})
	return string(b)
}

// accept takes the volunteer's answer, in its wrapper.
func (p *peer) accept(t testing.TB, answer string) {
	t.Helper()
	var d webrtc.SessionDescription
	err := json.Unmarshal([]byte(answer), &d)
	if err == nil {
		err = p.conn.SetRemoteDescription(d)
	}
	if err != nil {
		t.Fatalf("the volunteer's answer: %v\n%s", err, answer)
	}
}

// meet brings a peer and a volunteer together, and waits until the channel is open.
func (f *fakeBroker) meet(ctx context.Context, t testing.TB, p *peer, relay string) {
	t.Helper()
	f.meetWith(ctx, t, p, p.offer(ctx, t), relay)
}

func (f *fakeBroker) meetWith(ctx context.Context, t testing.TB, p *peer, offer, relay string) {
	t.Helper()
	f.match(ctx, t, offer, relay)
	select {
	case a := <-f.answers:
		p.accept(t, a)
	case <-ctx.Done():
		t.Fatalf("no answer: %v", context.Cause(ctx))
	}
	select {
	case <-p.opened:
	case <-ctx.Done():
		t.Fatalf("the channel does not open: %v", context.Cause(ctx))
	}
}
