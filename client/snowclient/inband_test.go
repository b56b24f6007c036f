package snowclient

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"flurry/common/carrier/carriertest"
	"flurry/common/messages"
	"flurry/common/multipath"
	"flurry/common/sealed"
	"flurry/common/turbotunnel"
)

// frontTakes is how long a fakeFront takes to reply.
const frontTakes = 300 * time.Millisecond

// A fakeFront is a broker, reached outside by Exchange and through the tunnel by
// open. It gives each request an answer.
type fakeFront struct {
	t *testing.T

	mu       sync.Mutex
	key      *sealed.PrivateKey
	keyless  bool // a deployed broker
	fails    bool
	hangs    bool
	asked    int // outside
	prepared int
	counted  map[string]int // by result, the requests through the tunnel
}

var errFront = errors.New("the front is down")

func (f *fakeFront) Exchange(ctx context.Context, request []byte) ([]byte, error) {
	f.mu.Lock()
	f.asked++
	fails, hangs, resp := f.fails, f.hangs, f.responseLocked("outside")
	f.mu.Unlock()
	if hangs {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	select {
	case <-time.After(frontTakes):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if fails {
		return nil, errFront
	}
	return resp, nil
}

func (f *fakeFront) Prepare() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.prepared++
}

func (f *fakeFront) responseLocked(answer string) []byte {
	resp := messages.ClientPollResponse{Answer: answer}
	if !f.keyless {
		resp.Key = f.key.Public()
	}
	text, err := resp.Encode()
	if err != nil {
		f.t.Error(err)
	}
	return text
}

// open is the broker's work with a sealed request.
func (f *fakeFront) open(request []byte) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	text, key, err := f.key.Open(request)
	if err != nil {
		resp, _ := messages.ClientPollResponse{Error: messages.ErrTextSealed}.Encode()
		return resp
	}
	if string(text) != "request" {
		f.t.Errorf("the broker got %q", text)
	}
	reply, err := key.Seal(f.responseLocked("inside"))
	if err != nil {
		f.t.Error(err)
	}
	return reply
}

func (f *fakeFront) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// expectAsked checks how often the front has been asked.
func (f *fakeFront) expectAsked(want int) {
	f.t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.asked != want {
		f.t.Errorf("the front was asked %d times, want %d", f.asked, want)
	}
}

// An inBandWorld is an inBand and what is around it, in a bubble.
type inBandWorld struct {
	*inBand
	t     *testing.T
	front *fakeFront
}

func inBandBubble(t *testing.T, f func(t *testing.T, w *inBandWorld)) {
	synctest.Test(t, func(t *testing.T) {
		front := &fakeFront{t: t, counted: map[string]int{}}
		front.changeKey()
		f(t, &inBandWorld{t: t, front: front, inBand: newInBand(front, false, slog.New(slog.DiscardHandler), func(result string) {
			front.set(func() { front.counted[result]++ })
		})})
	})
}

func (f *fakeFront) changeKey() {
	key, err := sealed.NewPrivateKey()
	if err != nil {
		f.t.Fatal(err)
	}
	f.set(func() { f.key = key })
}

// A fakeTunnel is a session as its client's accept loop sees it.
type fakeTunnel struct {
	streams chan net.Conn
	done    chan struct{}
	dead    atomic.Bool // no path is any good
	opened  []net.Conn  // the bridge's ends; used by the test's goroutine only
}

func (f *fakeTunnel) AcceptStream() (net.Conn, error) {
	select {
	case c := <-f.streams:
		return c, nil
	case <-f.done:
		return nil, io.ErrClosedPipe
	}
}

// open opens a stream from the bridge's end.
func (f *fakeTunnel) open() net.Conn {
	near, far := net.Pipe()
	f.streams <- near
	f.opened = append(f.opened, far)
	return far
}

// session begins a session, which ends with the test at the latest.
func (w *inBandWorld) session() (s *fakeTunnel, end func()) {
	s = &fakeTunnel{streams: make(chan net.Conn), done: make(chan struct{})}
	var tasks sync.WaitGroup
	tasks.Go(func() { w.serve(s, func() bool { return !s.dead.Load() }) })
	synctest.Wait()
	end = sync.OnceFunc(func() {
		close(s.done)
		for _, c := range s.opened { // streams end with their session
			c.Close()
		}
		tasks.Wait()
	})
	w.t.Cleanup(end)
	return s, end
}

// bridge begins a control stream in s and has handle look at each request. It
// returns the stream.
func (w *inBandWorld) bridge(s *fakeTunnel, handle func(c *turbotunnel.Control, f turbotunnel.ControlFrame)) net.Conn {
	w.t.Helper()
	conn := s.open()
	c, err := turbotunnel.OfferControl(conn, time.Second)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { conn.Close() })
	go func() {
		for {
			f, err := c.Next()
			if err != nil {
				return
			}
			handle(c, f)
		}
	}()
	synctest.Wait()
	return conn
}

// honest is a bridge that does what it says.
func (w *inBandWorld) honest(c *turbotunnel.Control, f turbotunnel.ControlFrame) {
	if f.Kind == turbotunnel.ControlRequest {
		c.Send(turbotunnel.ControlFrame{Kind: turbotunnel.ControlTaken, ID: f.ID})
		c.Send(turbotunnel.ControlFrame{Kind: turbotunnel.ControlReply, ID: f.ID, Body: w.front.open(f.Body)})
	}
}

// ask makes a request, and says where the answer came from and after how long.
func (w *inBandWorld) ask() (from string, took time.Duration) {
	w.t.Helper()
	began := time.Now()
	reply, err := w.Exchange(w.t.Context(), []byte("request"))
	if err != nil {
		w.t.Error(err)
		return "", time.Since(began)
	}
	resp, err := messages.DecodeClientPollResponse(reply)
	if err != nil {
		w.t.Error(err)
	}
	return resp.Answer, time.Since(began)
}

// expectFrom makes a request that is to be answered from there, in time.
func (w *inBandWorld) expectFrom(want string, after time.Duration) {
	w.t.Helper()
	if from, took := w.ask(); from != want || took != after {
		w.t.Errorf("answered from %s after %v, want %s after %v", from, took, want, after)
	}
}

// linked tells whether there is a way through the tunnel.
func (w *inBandWorld) linked() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.link != nil
}

// The front is asked once; what comes at the same time waits for the tunnel.
func TestInBandOnce(t *testing.T) {
	inBandBubble(t, func(t *testing.T, w *inBandWorld) {
		for round := 1; round <= 2; round++ { // two sessions
			s, end := w.session()
			var others sync.WaitGroup
			w.Prepare()
			others.Go(func() { w.expectFrom("outside", frontTakes) })
			synctest.Wait()
			for range 3 {
				w.Prepare()
				others.Go(func() { w.expectFrom("inside", frontTakes+time.Second) })
			}
			time.Sleep(frontTakes + time.Second) // the carrier opens
			w.bridge(s, w.honest)
			others.Wait()
			for range 10 {
				w.Prepare()
				w.expectFrom("inside", 0)
			}
			w.front.expectAsked(round)
			if w.front.prepared != round {
				t.Errorf("the front was made ready %d times, want %d", w.front.prepared, round)
			}
			if n := w.front.counted[resultOK]; n != round*13 {
				t.Errorf("counted %d", n)
			}
			end()
		}
	})
}

// A bridge that offers nothing costs the second path of the first session a
// short wait, and nothing after that.
func TestInBandAbsent(t *testing.T) {
	inBandBubble(t, func(t *testing.T, w *inBandWorld) {
		w.session()
		var first sync.WaitGroup
		first.Go(func() { w.expectFrom("outside", frontTakes) })
		synctest.Wait()
		w.expectFrom("outside", frontTakes+offerWait+frontTakes)
		w.expectFrom("outside", frontTakes)
		first.Wait()
		_, end := w.session()
		var both sync.WaitGroup
		for range 2 {
			both.Go(func() { w.expectFrom("outside", frontTakes) })
		}
		both.Wait()
		end()
	})
}

// With a deployed broker nothing is sealed, and nobody waits for it.
func TestInBandDeployedBroker(t *testing.T) {
	inBandBubble(t, func(t *testing.T, w *inBandWorld) {
		w.front.keyless = true
		s, _ := w.session()
		var first sync.WaitGroup
		first.Go(func() { w.expectFrom("outside", frontTakes) })
		synctest.Wait()
		w.expectFrom("outside", 2*frontTakes)
		first.Wait()
		w.bridge(s, func(_ *turbotunnel.Control, f turbotunnel.ControlFrame) { t.Errorf("the bridge got %+v", f) })
		w.expectFrom("outside", frontTakes)
	})
}

// A first request that is slow or fails holds nobody back.
func TestInBandSlowFirst(t *testing.T) {
	inBandBubble(t, func(t *testing.T, w *inBandWorld) {
		w.session()
		ctx, cancel := context.WithCancel(t.Context())
		w.front.hangs = true
		go w.Exchange(ctx, []byte("request"))
		synctest.Wait()
		w.front.set(func() { w.front.hangs = false })
		w.expectFrom("outside", slowAsk+frontTakes)
		cancel()
		synctest.Wait()
	})
	inBandBubble(t, func(t *testing.T, w *inBandWorld) {
		w.session()
		w.front.fails = true
		for range 2 {
			began := time.Now()
			if _, err := w.Exchange(t.Context(), nil); !errors.Is(err, errFront) || time.Since(began) != frontTakes {
				t.Errorf("%v after %v", err, time.Since(began))
			}
		}
	})
}

// joined gives a world in which the tunnel is to be used.
func (w *inBandWorld) joined(handle func(c *turbotunnel.Control, f turbotunnel.ControlFrame)) net.Conn {
	w.t.Helper()
	s, _ := w.session()
	w.expectFrom("outside", frontTakes)
	return w.bridge(s, handle)
}

// A path that has died costs takenWait, and what was asked through it is taken
// back.
func TestInBandDeadPath(t *testing.T) {
	inBandBubble(t, func(t *testing.T, w *inBandWorld) {
		got := make(chan turbotunnel.ControlFrame, 10)
		w.joined(func(_ *turbotunnel.Control, f turbotunnel.ControlFrame) { got <- f })
		w.expectFrom("outside", takenWait+frontTakes)
		if f := <-got; f.Kind != turbotunnel.ControlRequest {
			t.Errorf("the bridge got kind %d", f.Kind)
		}
		if f := <-got; f.Kind != turbotunnel.ControlCanceled || f.ID != 1 {
			t.Errorf("the bridge got kind %d, id %d", f.Kind, f.ID)
		}
		if w.front.counted[resultLate] != 1 {
			t.Errorf("counted %v", w.front.counted)
		}
	})
}

// While every path is known to be bad the tunnel is not even tried.
func TestInBandNoPath(t *testing.T) {
	inBandBubble(t, func(t *testing.T, w *inBandWorld) {
		s, _ := w.session()
		w.expectFrom("outside", frontTakes)
		w.bridge(s, w.honest)
		s.dead.Store(true)
		w.expectFrom("outside", frontTakes)
		s.dead.Store(false)
		w.expectFrom("inside", 0)
	})
}

// A request that never left is never heard of, and one that left is followed by
// its cancellation, however long the stream stands still.
func TestInBandStandstill(t *testing.T) {
	inBandBubble(t, func(t *testing.T, w *inBandWorld) {
		s, _ := w.session()
		w.expectFrom("outside", frontTakes)
		conn := s.open()
		c, err := turbotunnel.OfferControl(conn, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		w.expectFrom("outside", takenWait+frontTakes) // stands in the writer's hands
		w.expectFrom("outside", takenWait+frontTakes) // stands in line
		for _, want := range []turbotunnel.ControlKind{turbotunnel.ControlRequest, turbotunnel.ControlCanceled} {
			if f, err := c.Next(); err != nil || f.Kind != want || f.ID != 1 {
				t.Errorf("got kind %d, id %d, %v", f.Kind, f.ID, err)
			}
		}
		c.Send(turbotunnel.ControlFrame{Kind: turbotunnel.ControlFailed, ID: 1})
		go w.ask()
		if f, err := c.Next(); err != nil || f.ID != 3 {
			t.Errorf("got id %d, %v, want 3", f.ID, err)
		}
		conn.Close()
		synctest.Wait()
		time.Sleep(time.Second)
	})
}

// A reply that is slow gets company, and may still win.
func TestInBandSlowReply(t *testing.T) {
	for _, c := range []struct {
		takes time.Duration
		from  string
		after time.Duration
	}{
		{replyWait - time.Millisecond, "inside", replyWait - time.Millisecond},
		{replyWait + time.Millisecond, "inside", replyWait + time.Millisecond},
		{10 * time.Second, "outside", replyWait + frontTakes},
	} {
		inBandBubble(t, func(t *testing.T, w *inBandWorld) {
			w.joined(func(bridge *turbotunnel.Control, f turbotunnel.ControlFrame) {
				if f.Kind != turbotunnel.ControlRequest {
					return
				}
				bridge.Send(turbotunnel.ControlFrame{Kind: turbotunnel.ControlTaken, ID: f.ID})
				time.Sleep(c.takes)
				bridge.Send(turbotunnel.ControlFrame{Kind: turbotunnel.ControlReply, ID: f.ID, Body: w.front.open(f.Body)})
			})
			w.expectFrom(c.from, c.after)
			time.Sleep(c.takes) // for the bridge's goroutine to end
		})
	}
}

// A refusal costs nothing and the bridge a minute of rest.
func TestInBandRefused(t *testing.T) {
	inBandBubble(t, func(t *testing.T, w *inBandWorld) {
		requests := 0
		w.joined(func(c *turbotunnel.Control, f turbotunnel.ControlFrame) {
			requests++
			c.Send(turbotunnel.ControlFrame{Kind: turbotunnel.ControlFailed, ID: f.ID})
		})
		for range 3 {
			w.expectFrom("outside", frontTakes)
		}
		if requests != 1 {
			t.Errorf("the bridge got %d requests in a row", requests)
		}
		time.Sleep(asideTime)
		w.expectFrom("outside", frontTakes)
		if requests != 2 {
			t.Errorf("the bridge got %d requests after a minute", requests)
		}
	})
}

// A bridge that takes and never replies delays three requests, not all.
func TestInBandSilentBridge(t *testing.T) {
	inBandBubble(t, func(t *testing.T, w *inBandWorld) {
		w.joined(func(c *turbotunnel.Control, f turbotunnel.ControlFrame) {
			if f.Kind == turbotunnel.ControlRequest {
				c.Send(turbotunnel.ControlFrame{Kind: turbotunnel.ControlTaken, ID: f.ID})
			}
		})
		for range maxStrikes {
			w.expectFrom("outside", replyWait+frontTakes)
		}
		w.expectFrom("outside", frontTakes)
	})
}

// A broker that has been restarted has another key: the front is asked once more.
func TestInBandNewKey(t *testing.T) {
	inBandBubble(t, func(t *testing.T, w *inBandWorld) {
		w.joined(w.honest)
		w.expectFrom("inside", 0)
		w.front.changeKey()
		w.expectFrom("outside", frontTakes)
		w.expectFrom("inside", 0)
		w.front.expectAsked(2)
	})
}

// Both ways failed: the error tells of both.
func TestInBandBothFail(t *testing.T) {
	inBandBubble(t, func(t *testing.T, w *inBandWorld) {
		w.joined(func(c *turbotunnel.Control, f turbotunnel.ControlFrame) {
			c.Send(turbotunnel.ControlFrame{Kind: turbotunnel.ControlFailed, ID: f.ID})
		})
		w.front.set(func() { w.front.fails = true })
		_, err := w.Exchange(t.Context(), []byte("request"))
		if !errors.Is(err, errFront) || !errors.Is(err, errBridgeFailed) {
			t.Errorf("got %v", err)
		}
	})
}

// A bridge that breaks the rules loses the stream, and the client nothing.
func TestInBandHostileBridge(t *testing.T) {
	frame := func(kind byte, id, size uint32) string {
		return string(binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32([]byte{kind}, id), size))
	}
	for name, raw := range map[string]string{
		"giant":           frame(4, 1, turbotunnel.MaxControlBody+1),
		"4 GiB":           frame(4, 1, 1<<32-1),
		"nothing asked":   frame(4, 7, 0),
		"client's kind":   frame(1, 1, 0),
		"twice":           frame(4, 1, 0) + frame(4, 1, 0),
		"taken for ever":  frame(3, 1, 0) + frame(3, 1, 0) + frame(3, 1, 0) + frame(9, 1, 0),
		"half a reply":    frame(4, 1, 1000) + "x",
		"no sealed reply": frame(4, 1, 1) + "x" + frame(9, 0, 0),
	} {
		inBandBubble(t, func(t *testing.T, w *inBandWorld) {
			s, _ := w.session()
			w.expectFrom("outside", frontTakes)
			conn := s.open()
			c, err := turbotunnel.OfferControl(conn, time.Second)
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				if _, err := c.Next(); err == nil {
					io.WriteString(conn, raw)
					io.Copy(io.Discard, conn)
				}
			}()
			if from, took := w.ask(); from != "outside" || took > replyWait+frontTakes {
				t.Errorf("%s: answered from %s after %v", name, from, took)
			}
			time.Sleep(2 * time.Minute) // half a frame
			if w.linked() {
				t.Errorf("%s: the stream is still in use", name)
			}
			w.expectFrom("outside", frontTakes)
		})
	}
}

// Streams that are none of ours are closed, at once or when their hello has not
// come, and never waited for.
func TestInBandOtherStreams(t *testing.T) {
	for _, hello := range []string{"", "garbage that goes on", "flurryr\x02"} {
		inBandBubble(t, func(t *testing.T, w *inBandWorld) {
			s, _ := w.session()
			first := s.open()
			go io.WriteString(first, hello)
			for range 1000 {
				if _, err := s.open().Read(make([]byte, 1)); err != io.EOF {
					t.Fatalf("a stream was not closed: %v", err)
				}
			}
			began := time.Now()
			if _, err := io.Copy(io.Discard, first); err != nil || time.Since(began) > helloTimeout {
				t.Errorf("%q: %v after %v", hello, err, time.Since(began))
			}
			if w.linked() {
				t.Errorf("%q is taken for a hello", hello)
			}
		})
	}
}

// A bridge that opens streams without end, with data in them, is kept at arm's
// length, and the user's stream does not notice.
func TestInBandManyStreams(t *testing.T) {
	near, far := tunnelPair(t)
	b := newInBand(&fakeFront{t: t}, false, slog.New(slog.DiscardHandler), func(string) {})
	var serving sync.WaitGroup
	serving.Go(func() { b.serve(near, func() bool { return true }) })
	defer serving.Wait()
	defer near.Close()

	user, err := near.OpenStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := user.Write([]byte("user")); err != nil {
		t.Fatal(err)
	}
	there, err := far.AcceptStream()
	if err != nil {
		t.Fatal(err)
	}
	serving.Go(func() {
		junk := make([]byte, 4096)
		for range 3000 {
			st, err := far.OpenStream(context.Background())
			if err != nil {
				return
			}
			st.Write(junk)
			st.Close()
		}
		there.Write(junk)
		there.Close()
	})
	if n, err := io.Copy(io.Discard, user); err != nil || n != 4096 {
		t.Errorf("the user's stream brought %d bytes, %v", n, err)
	}
	for deadline := time.Now().Add(10 * time.Second); near.NumStreams() > 1; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d streams are left, want the user's", near.NumStreams())
		}
	}
	user.Close()
}

// tunnelPair gives both ends of a session over a perfect carrier.
func tunnelPair(t *testing.T) (client, server *turbotunnel.Session) {
	t.Helper()
	near, far := carriertest.Pair(carriertest.Options{})
	clientConn := multipath.New(multipath.Options{})
	serverConn := multipath.New(multipath.Options{Accept: true})
	id := turbotunnel.NewClientID()
	accepted := make(chan error, 1)
	go func() {
		_, packets, err := turbotunnel.Accept(context.Background(), far)
		if err == nil {
			serverConn.Add(packets)
		}
		accepted <- err
	}()
	packets, err := turbotunnel.Attach(t.Context(), near, id)
	if err != nil {
		t.Fatal(err)
	}
	clientConn.Add(packets)
	if err := <-accepted; err != nil {
		t.Fatal(err)
	}
	if client, err = turbotunnel.Client(clientConn, turbotunnel.ClientTuning()); err != nil {
		t.Fatal(err)
	}
	if server, err = turbotunnel.Server(serverConn, turbotunnel.ServerTuning()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); server.Close() })
	return client, server
}

func TestInBandOff(t *testing.T) {
	inBandBubble(t, func(t *testing.T, w *inBandWorld) {
		w.off = true
		s, _ := w.session()
		if _, err := s.open().Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("a stream was not closed: %v", err)
		}
		var both sync.WaitGroup
		for range 2 {
			both.Go(func() { w.expectFrom("outside", frontTakes) })
		}
		both.Wait()
	})
}
