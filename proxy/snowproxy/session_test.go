package snowproxy

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"flurry/common/carrier"
	"flurry/common/carrier/carriertest"
	"flurry/common/messages"
)

// A hundred sessions at a time that fail in every way there is: each token must
// come back, once.
func TestTokensComeBack(t *testing.T) {
	ways := []func(*Proxy){
		func(p *Proxy) { // the answerer fails
			p.answerer = &fakeAnswerer{answer: func(context.Context, string) error { return errors.New("no") }}
		},
		func(p *Proxy) { // the client is gone
			p.broker.http = &fakeBroker{answer: func(messages.ProxyAnswerRequest) (any, error) {
				return messages.ProxyAnswerResponse{Status: messages.StatusClientGone}, nil
			}}
		},
		func(p *Proxy) { // the channel never opens
			p.answerer = &fakeAnswerer{}
		},
		func(p *Proxy) { // the relay is not there
			p.answerer = &fakeAnswerer{open: openPair}
			p.upstream = fakeUpstream(func(context.Context, *url.URL, netip.Addr) (carrier.Conn, error) {
				return nil, errors.New("no route")
			})
		},
		func(p *Proxy) { // served, until silence ends it
			p.answerer = &fakeAnswerer{open: openPair}
		},
	}
	bad := []messages.ProxyPollResponse{
		{Status: messages.StatusClientMatch, Offer: "not a description"},
		{Status: messages.StatusClientMatch, Offer: description("offer"), RelayURL: "wss://evil.example/"},
		{Status: messages.StatusClientMatch, Offer: description("offer"), RelayURL: "::"},
	}
	for i, way := range ways {
		synctest.Test(t, func(t *testing.T) {
			p := newProxy(t, &fakeBroker{}, func(c *Config) { c.Capacity = 100 })
			way(p)
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			var wg sync.WaitGroup
			for n := range 300 {
				m := match(0)
				if n%4 < len(bad) && i == 0 {
					m = bad[n%4]
				}
				wg.Go(func() {
					if p.tokens.take(ctx) != nil {
						t.Error("no token")
						return
					}
					if out := p.tokens.out.Load(); out > 100 {
						t.Errorf("%d tokens out of 100", out)
					}
					p.serve(ctx, newSessionID(), m)
				})
			}
			wg.Wait()
			if out, held := p.tokens.out.Load(), len(p.tokens.slots); out != 0 || held != 0 || p.serving.Load() != 0 {
				t.Errorf("way %d: %d tokens out, %d held, %d serving", i, out, held, p.serving.Load())
			}
		})
	}
}

func openPair(context.Context) (carrier.Conn, error) {
	near, _ := carriertest.Pair(carriertest.Options{})
	return near, nil
}

// With capacity 3 and clients that stay a minute, three are served at any time,
// and new ones come as the old ones go.
func TestCapacity(t *testing.T) {
	for _, capacity := range []int{1, 3} {
		synctest.Test(t, func(t *testing.T) {
			var now, most, total atomic.Int64
			broker := &fakeBroker{poll: func(context.Context, messages.ProxyPollRequest) (any, error) {
				return match(time.Second), nil
			}}
			p := newProxy(t, broker, func(c *Config) {
				c.Capacity = capacity
				c.Answerer = &fakeAnswerer{
					answer: func(context.Context, string) error {
						total.Add(1)
						if n := now.Add(1); n > most.Load() {
							most.Store(n)
						}
						return nil
					},
					open: func(ctx context.Context) (carrier.Conn, error) {
						defer now.Add(-1)
						sleep(ctx, 15*time.Second)
						return nil, errors.New("not today")
					},
				}
			})
			stop := start(t, p)
			time.Sleep(10 * time.Minute)
			stop()
			if most.Load() != int64(capacity) {
				t.Errorf("capacity %d: %d at once", capacity, most.Load())
			}
			if least := int64(capacity) * 600 / 18; total.Load() < least {
				t.Errorf("capacity %d: %d clients in 10 minutes, want %d or more", capacity, total.Load(), least)
			}
		})
	}
}

// Polls state the clients being served, rounded down.
func TestClientsInPolls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := &fakeBroker{poll: func(context.Context, messages.ProxyPollRequest) (any, error) {
			return match(time.Second), nil
		}}
		quiet := make(chan struct{})
		defer close(quiet)
		p := newProxy(t, broker, func(c *Config) {
			c.Answerer = &fakeAnswerer{open: func(context.Context) (carrier.Conn, error) {
				near, far := carriertest.Pair(carriertest.Options{})
				go talk(far, 10*time.Second, quiet)
				return near, nil
			}}
			c.Upstream = fakeUpstream(func(context.Context, *url.URL, netip.Addr) (carrier.Conn, error) {
				near, far := carriertest.Pair(carriertest.Options{})
				go discard(far)
				go talk(far, 10*time.Second, quiet)
				return near, nil
			})
		})
		stop := start(t, p)
		time.Sleep(30 * time.Second)
		stop()
		for i, s := range broker.seen() {
			if want := i / 8 * 8; s.req.Clients != want {
				t.Errorf("with %d clients: %d stated, want %d", i, s.req.Clients, want)
			}
		}
	})
}

// The relay is dialled while the client is still on its way, and only once.
func TestRelayIsDialledEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		var dials []time.Duration
		far := make(chan *carriertest.Conn, 2)
		client, inside := carriertest.Pair(carriertest.Options{})
		p := newProxy(t, &fakeBroker{}, func(c *Config) {
			c.Answerer = &fakeAnswerer{open: func(ctx context.Context) (carrier.Conn, error) {
				sleep(ctx, 3*time.Second)
				return inside, nil
			}}
			c.Upstream = fakeUpstream(func(ctx context.Context, u *url.URL, a netip.Addr) (carrier.Conn, error) {
				dials = append(dials, time.Since(begin))
				if u.String() != "wss://x.snowflake.torproject.net/" || a != netip.MustParseAddr("203.0.113.7") {
					t.Errorf("dialled %v for %v", u, a)
				}
				sleep(ctx, 2*time.Second)
				near, other := carriertest.Pair(carriertest.Options{})
				far <- other
				return near, nil
			})
		})
		m := match(0)
		m.RelayURL = "wss://x.snowflake.torproject.net/"
		out := make(chan outcome, 1)
		go func() { o, _ := p.session(context.Background(), "sid", m); out <- o }()
		relay := <-far
		send(t, relay, 5) // before there is a client
		send(t, client, 7)
		if n, err := relay.Recv(make([]byte, 100)); n != 7 || err != nil || time.Since(begin) != 3*time.Second {
			t.Errorf("after %v: %d bytes, %v", time.Since(begin), n, err)
		}
		if n, err := client.Recv(make([]byte, 100)); n != 5 || err != nil {
			t.Errorf("the relay's early message: %d bytes, %v", n, err)
		}
		relay.Close()
		if o := <-out; o != served || len(dials) != 1 || dials[0] != 0 {
			t.Errorf("outcome %v, dials %v", o, dials)
		}
		client.Close()
	})
}

// A relay that hangs up on the early carrier is dialled again.
func TestRelayIsDialledAgain(t *testing.T) {
	for name, first := range map[string]func() (carrier.Conn, error){
		"refused": func() (carrier.Conn, error) { return nil, errors.New("busy") },
		"hung up": func() (carrier.Conn, error) {
			near, far := carriertest.Pair(carriertest.Options{})
			time.AfterFunc(time.Second, func() { far.Close() })
			return near, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, inside := carriertest.Pair(carriertest.Options{})
				relay, outside := carriertest.Pair(carriertest.Options{})
				dials := 0
				up := fakeUpstream(func(context.Context, *url.URL, netip.Addr) (carrier.Conn, error) {
					if dials++; dials == 1 {
						return first()
					}
					return relay, nil
				})
				p := newProxy(t, &fakeBroker{}, func(c *Config) {
					c.Upstream = up
					c.Answerer = &fakeAnswerer{open: func(ctx context.Context) (carrier.Conn, error) {
						sleep(ctx, 5*time.Second)
						return inside, nil
					}}
				})
				send(t, client, 7)
				client.Close()
				if o, err := p.session(context.Background(), "sid", match(0)); o != served {
					t.Errorf("outcome %v: %v", o, err)
				}
				if got, err := all(outside); len(got) != 1 || err != io.EOF {
					t.Errorf("the relay got %d messages, %v", len(got), err)
				}
			})
		})
	}
}

// A relay that takes the connection and says nothing does not hold a client.
func TestSilentRelayIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, inside := carriertest.Pair(carriertest.Options{})
		p := newProxy(t, &fakeBroker{}, func(c *Config) {
			c.Answerer = &fakeAnswerer{open: func(context.Context) (carrier.Conn, error) { return inside, nil }}
			c.Upstream = fakeUpstream(func(ctx context.Context, _ *url.URL, _ netip.Addr) (carrier.Conn, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			})
		})
		begin := time.Now()
		if o, err := p.session(context.Background(), "sid", match(0)); o != unrelayed || time.Since(begin) != relayWait {
			t.Errorf("outcome %v after %v: %v", o, time.Since(begin), err)
		}
		if _, err := client.Recv(make([]byte, 1)); err != io.EOF {
			t.Errorf("the client sees %v, want io.EOF", err)
		}
	})
}

// A client that never comes leaves no carrier to the relay behind, and is told
// as a failure.
func TestAbandonedLegIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := carriertest.Pair(carriertest.Options{})
		events := newEventLog()
		p := newProxy(t, &fakeBroker{}, func(c *Config) {
			c.OnEvent = events.hear
			c.Upstream = fakeUpstream(func(context.Context, *url.URL, netip.Addr) (carrier.Conn, error) { return near, nil })
		})
		begin := time.Now()
		if err := p.tokens.take(context.Background()); err != nil {
			t.Fatal(err)
		}
		p.serve(context.Background(), "sid", match(0))
		if d := time.Since(begin); d != openLimit {
			t.Errorf("gave up after %v", d)
		}
		if _, err := far.Recv(make([]byte, 1)); err != io.EOF {
			t.Errorf("the relay sees %v, want io.EOF", err)
		}
		if events.count(EventConnectionFailed) != 1 || events.count(EventClientConnected) != 0 || events.count(EventConnectionOver) != 0 {
			t.Errorf("events %v", events.list)
		}
	})
}

// Run ends in the midst of everything and leaves nothing.
func TestRunEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := &fakeBroker{poll: func(ctx context.Context, _ messages.ProxyPollRequest) (any, error) {
			return match(time.Second), nil
		}}
		client, inside := carriertest.Pair(carriertest.Options{})
		first := make(chan carrier.Conn, 1)
		first <- inside
		p := newProxy(t, broker, func(c *Config) {
			c.SummaryInterval = time.Hour
			c.Answerer = &fakeAnswerer{open: func(ctx context.Context) (carrier.Conn, error) {
				select {
				case c := <-first:
					return c, nil
				case <-ctx.Done():
					return nil, ctx.Err()
				}
			}}
		})
		stop := start(t, p)
		time.Sleep(10 * time.Second) // one client served, others on their way
		begin := time.Now()
		stop()
		if d := time.Since(begin); d > 2*time.Second {
			t.Errorf("took %v", d)
		}
		if _, err := client.Recv(make([]byte, 1)); err != io.EOF {
			t.Errorf("the client sees %v, want io.EOF", err)
		}
		if err := p.Run(context.Background()); err != errRunTwice {
			t.Errorf("second Run: %v", err)
		}
	})
}
