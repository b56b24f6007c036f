package snowbroker

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"flurry/common/messages"
)

func unrestricted(id string) Poll {
	return Poll{ID: ProxyID(id), Type: messages.ProxyStandalone, NAT: messages.NATUnrestricted}
}

func restrictedOffer(sdp string) Offer {
	return Offer{SDP: sdp, NAT: messages.NATRestricted, Fingerprint: messages.DefaultFingerprint}
}

// pollResult and offerResult carry the results of calls made in goroutines.
type pollResult struct {
	offer Offer
	err   error
	at    time.Time
}

type offerResult struct {
	answer Answer
	err    error
	at     time.Time
}

func goPoll(ctx context.Context, m Matcher, p Poll) <-chan pollResult {
	ch := make(chan pollResult, 1)
	go func() {
		o, err := m.Poll(ctx, p)
		ch <- pollResult{o, err, time.Now()}
	}()
	return ch
}

func goOffer(ctx context.Context, m Matcher, o Offer) <-chan offerResult {
	ch := make(chan offerResult, 1)
	go func() {
		a, err := m.Offer(ctx, o)
		ch <- offerResult{a, err, time.Now()}
	}()
	return ch
}

func TestMemoryIntroduces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemory(MemoryOptions{})
		poll := goPoll(t.Context(), m, unrestricted("p"))
		synctest.Wait()
		if got := m.Stats().Waiting[Kind{messages.ProxyStandalone, messages.NATUnrestricted}]; got != 1 {
			t.Errorf("%d polls wait, want 1", got)
		}
		offer := goOffer(t.Context(), m, restrictedOffer("hello"))
		got := <-poll
		if got.err != nil || got.offer != restrictedOffer("hello") {
			t.Fatalf("poll: %+v", got)
		}
		if n := len(m.Stats().Answering); n != 1 {
			t.Errorf("%d kinds are answering, want 1", n)
		}
		if err := m.Answer(t.Context(), "p", Answer{SDP: "hi"}); err != nil {
			t.Fatal(err)
		}
		if got := <-offer; got.err != nil || got.answer != (Answer{SDP: "hi", Type: messages.ProxyStandalone}) {
			t.Errorf("offer: %+v", got)
		}
		if err := m.Answer(t.Context(), "p", Answer{SDP: "hi"}); !errors.Is(err, ErrClientGone) {
			t.Errorf("second answer: %v", err)
		}
		expectEmpty(t, m)
	})
}

func TestMemoryWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemory(MemoryOptions{})
		start := time.Now()
		if _, err := m.Offer(t.Context(), restrictedOffer("o")); !errors.Is(err, ErrNoProxies) || time.Since(start) != 0 {
			t.Errorf("offer without proxies: %v after %v", err, time.Since(start))
		}
		if _, err := m.Poll(t.Context(), unrestricted("p")); !errors.Is(err, ErrNoClient) || time.Since(start) != DefaultPollWait {
			t.Errorf("poll without clients: %v after %v", err, time.Since(start))
		}
		start = time.Now()
		poll := goPoll(t.Context(), m, unrestricted("q"))
		synctest.Wait()
		if _, err := m.Offer(t.Context(), restrictedOffer("o")); !errors.Is(err, ErrTimedOut) || time.Since(start) != DefaultClientWait {
			t.Errorf("offer without answer: %v after %v", err, time.Since(start))
		}
		if got := <-poll; got.err != nil {
			t.Error(got.err)
		}
		if err := m.Answer(t.Context(), "q", Answer{}); !errors.Is(err, ErrClientGone) {
			t.Errorf("late answer: %v", err)
		}
		expectEmpty(t, m)
	})
}

// TestMemoryManyWaits lets polls and clients of all ages end by one timer.
func TestMemoryManyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemory(MemoryOptions{})
		start := time.Now()
		var polls []<-chan pollResult
		var offers []<-chan offerResult
		for i := range 100 {
			polls = append(polls, goPoll(t.Context(), m, unrestricted(fmt.Sprint(i))))
			synctest.Wait()
			if i%3 == 0 {
				offers = append(offers, goOffer(t.Context(), m, restrictedOffer(fmt.Sprint(i))))
				synctest.Wait()
			}
			time.Sleep(70 * time.Millisecond)
		}
		for i, ch := range offers {
			want := start.Add(time.Duration(3*i)*70*time.Millisecond + DefaultClientWait)
			if got := <-ch; !errors.Is(got.err, ErrTimedOut) || !got.at.Equal(want) {
				t.Errorf("offer %d: %v at %v, want %v", i, got.err, got.at, want)
			}
		}
		idle := 0
		for i, ch := range polls {
			got := <-ch
			if got.err == nil {
				continue
			}
			idle++
			want := start.Add(time.Duration(i)*70*time.Millisecond + DefaultPollWait)
			if !errors.Is(got.err, ErrNoClient) || !got.at.Equal(want) {
				t.Errorf("poll %d: %v at %v, want %v", i, got.err, got.at, want)
			}
		}
		if idle != len(polls)-len(offers) {
			t.Errorf("%d polls idle, want %d", idle, len(polls)-len(offers))
		}
		expectEmpty(t, m)
	})
}

// TestMemoryHerd: polls that began together end in bursts, the oldest first,
// and clients' waits do not suffer.
func TestMemoryHerd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemory(MemoryOptions{})
		start := time.Now()
		var polls []<-chan pollResult
		for i := range 3*expiryBurst + 1 {
			polls = append(polls, goPoll(t.Context(), m, unrestricted(fmt.Sprint(i))))
			synctest.Wait()
		}
		time.Sleep(DefaultPollWait - DefaultClientWait)
		offer := goOffer(t.Context(), m, restrictedOffer("o")) // takes the first poll
		for i, ch := range polls {
			want := start.Add(DefaultPollWait + time.Duration((i-1)/expiryBurst)*expiryPause)
			got := <-ch
			if i > 0 && (!errors.Is(got.err, ErrNoClient) || !got.at.Equal(want)) {
				t.Errorf("poll %d: %v after %v, want %v", i, got.err, got.at.Sub(start), want.Sub(start))
			}
		}
		if got := <-offer; !errors.Is(got.err, ErrTimedOut) || got.at.Sub(start) > DefaultPollWait {
			t.Errorf("offer: %v after %v", got.err, got.at.Sub(start))
		}
		expectEmpty(t, m)
	})
}

func TestMemoryProxyLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemory(MemoryOptions{})
		ctx, cancel := context.WithCancel(t.Context())
		poll := goPoll(ctx, m, unrestricted("p"))
		synctest.Wait()
		cancel()
		if got := <-poll; !errors.Is(got.err, context.Canceled) {
			t.Errorf("poll: %v", got.err)
		}
		expectEmpty(t, m)
		if _, err := m.Offer(t.Context(), restrictedOffer("o")); !errors.Is(err, ErrNoProxies) {
			t.Errorf("offer: %v", err)
		}
		if _, err := m.Poll(ctx, unrestricted("p")); !errors.Is(err, context.Canceled) {
			t.Errorf("poll of one who is gone already: %v", err)
		}
		if _, err := m.Offer(ctx, restrictedOffer("o")); !errors.Is(err, context.Canceled) {
			t.Errorf("offer of one who is gone already: %v", err)
		}
	})
}

func TestMemoryClientLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemory(MemoryOptions{})
		poll := goPoll(t.Context(), m, unrestricted("p"))
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		offer := goOffer(ctx, m, restrictedOffer("o"))
		<-poll
		cancel()
		if got := <-offer; !errors.Is(got.err, context.Canceled) {
			t.Errorf("offer: %v", got.err)
		}
		expectEmpty(t, m)
		if err := m.Answer(t.Context(), "p", Answer{}); !errors.Is(err, ErrClientGone) {
			t.Errorf("answer: %v", err)
		}
	})
}

func TestMemoryCloseEndsPolls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemory(MemoryOptions{})
		start := time.Now()
		idle := goPoll(t.Context(), m, Poll{ID: "r", NAT: messages.NATRestricted})
		busy := goPoll(t.Context(), m, unrestricted("p"))
		synctest.Wait()
		offer := goOffer(t.Context(), m, restrictedOffer("o"))
		<-busy
		m.Close()
		m.Close()
		if got := <-idle; !errors.Is(got.err, ErrNoClient) || !got.at.Equal(start) {
			t.Errorf("waiting poll: %v after %v", got.err, got.at.Sub(start))
		}
		if _, err := m.Poll(t.Context(), unrestricted("q")); !errors.Is(err, ErrNoClient) {
			t.Errorf("later poll: %v", err)
		}
		if err := m.Answer(t.Context(), "p", Answer{SDP: "hi"}); err != nil {
			t.Error(err)
		}
		if got := <-offer; got.err != nil {
			t.Error(got.err)
		}
	})
}

func TestMemoryBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemory(MemoryOptions{MaxPolls: 1, MaxClients: 1})
		first := goPoll(t.Context(), m, unrestricted("a"))
		synctest.Wait()
		if _, err := m.Poll(t.Context(), unrestricted("b")); !errors.Is(err, ErrFull) {
			t.Errorf("poll: %v", err)
		}
		if _, err := m.Poll(t.Context(), unrestricted("a")); !errors.Is(err, ErrDuplicateID) {
			t.Errorf("same id: %v", err)
		}
		offer := goOffer(t.Context(), m, restrictedOffer("o"))
		<-first
		second := goPoll(t.Context(), m, unrestricted("b"))
		synctest.Wait()
		if _, err := m.Offer(t.Context(), restrictedOffer("o")); !errors.Is(err, ErrFull) {
			t.Errorf("offer: %v", err)
		}
		<-offer
		<-second
	})
}

// TestMemoryHandOver brings polls, offers, answers, departures and timeouts to
// the same instants, where the deployed broker parks a handler for good. Every
// call must return, no poll may be given two clients, and no client two
// answers; nobody may be left over.
func TestMemoryHandOver(t *testing.T) {
	const rounds, parties = 20, 60
	for round := range rounds {
		synctest.Test(t, func(t *testing.T) {
			m := NewMemory(MemoryOptions{PollWait: 10 * time.Millisecond, ClientWait: 5 * time.Millisecond})
			rnd := rand.New(rand.NewPCG(uint64(round), 1))
			var wg sync.WaitGroup
			var given, denied, answered, accepted, timedOut, left atomic.Int64
			for i := range parties {
				arrive := time.Duration(rnd.IntN(20)) * time.Millisecond
				think := time.Duration(rnd.IntN(8)) * time.Millisecond
				stay := time.Duration(5+rnd.IntN(20)) * time.Millisecond
				wg.Go(func() { // a proxy
					time.Sleep(arrive)
					ctx, cancel := context.WithTimeout(t.Context(), stay)
					defer cancel()
					id := ProxyID(fmt.Sprint(i))
					o, err := m.Poll(ctx, Poll{ID: id, NAT: messages.NATUnrestricted})
					if err != nil {
						return
					}
					given.Add(1)
					time.Sleep(think)
					if m.Answer(ctx, id, Answer{SDP: o.SDP}) == nil {
						accepted.Add(1)
					}
				})
				wg.Go(func() { // a client
					time.Sleep(arrive + 5*time.Millisecond)
					ctx, cancel := context.WithTimeout(t.Context(), stay)
					defer cancel()
					a, err := m.Offer(ctx, restrictedOffer(fmt.Sprint(i)))
					switch {
					case err == nil:
						answered.Add(1)
						if a.SDP != fmt.Sprint(i) {
							t.Errorf("client %d was given the answer to %s", i, a.SDP)
						}
					case errors.Is(err, ErrNoProxies):
						denied.Add(1)
					case errors.Is(err, ErrTimedOut):
						timedOut.Add(1)
					default:
						left.Add(1)
					}
				})
			}
			wg.Wait()
			if sum := answered.Load() + denied.Load() + timedOut.Load() + left.Load(); sum != parties {
				t.Errorf("%d clients have a result, want %d", sum, parties)
			}
			// An accepted answer may still find that its client left at that instant.
			if answered.Load() > accepted.Load() || accepted.Load() > answered.Load()+left.Load() || accepted.Load() > given.Load() {
				t.Errorf("%d offers given, %d answers accepted, %d arrived, %d clients left",
					given.Load(), accepted.Load(), answered.Load(), left.Load())
			}
			expectEmpty(t, m)
		})
	}
}

// TestMemoryUnderLoad does the same with real goroutines in parallel, for the
// race detector.
func TestMemoryUnderLoad(t *testing.T) {
	m := NewMemory(MemoryOptions{PollWait: 2 * time.Millisecond, ClientWait: time.Millisecond})
	var wg sync.WaitGroup
	for w := range 16 {
		wg.Go(func() {
			for k := range 300 {
				id := ProxyID(fmt.Sprint(w, "-", k))
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+k%4)*time.Millisecond)
				if o, err := m.Poll(ctx, Poll{ID: id, NAT: messages.NATUnrestricted, Clients: k % 3}); err == nil && k%5 != 0 {
					_ = m.Answer(ctx, id, Answer{SDP: o.SDP}) // the client may be gone
				}
				cancel()
			}
		})
		wg.Go(func() {
			for k := range 300 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(k%4)*time.Millisecond)
				sdp := fmt.Sprint(w, "-", k)
				if a, err := m.Offer(ctx, restrictedOffer(sdp)); err == nil && a.SDP != sdp {
					t.Errorf("%s was given the answer to %s", sdp, a.SDP)
				}
				cancel()
			}
		})
	}
	wg.Wait()
	expectEmpty(t, m)
}

func expectEmpty(t *testing.T, m *Memory) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.pool.consistent(); err != nil {
		t.Error(err)
	}
	if n := len(m.pool.byID) + m.pool.pending.Len(); n != 0 {
		t.Errorf("%d polls and clients are left over", n)
	}
}
