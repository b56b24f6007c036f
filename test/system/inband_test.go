package system

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"flurry/test/stage"
)

// A door is a way to the broker that counts the clients' requests that go through it.
type door struct {
	*httptest.Server
	broker atomic.Pointer[url.URL] // nil: shut
	asked  atomic.Int64
}

func newDoor(t *testing.T) *door {
	d := &door{}
	to := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(d.broker.Load()) }}
	d.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/client" {
			d.asked.Add(1)
		}
		if d.broker.Load() == nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		to.ServeHTTP(w, r)
	}))
	t.Cleanup(d.Close)
	return d
}

func (d *door) open(t *testing.T, s *stage.Stage) {
	t.Helper()
	u, err := url.Parse(s.BrokerURL())
	if err != nil {
		t.Fatal(err)
	}
	d.broker.Store(u)
}

// An inBandStage is a stage whose client reaches the broker through one door and whose bridge through another.
type inBandStage struct {
	*stage.Stage
	front, bridge *door
}

// newInBandStage makes one, the bridge's door shut. A bridge that offers nothing does not know its door.
func newInBandStage(t *testing.T, o stage.Options, offered bool) *inBandStage {
	t.Helper()
	s := &inBandStage{front: newDoor(t), bridge: newDoor(t)}
	o.ClientArgs = append([]string{"-url=" + s.front.URL + "/"}, o.ClientArgs...)
	if offered {
		o.ServerArgs = append([]string{"-rendezvous-broker=" + s.bridge.URL + "/"}, o.ServerArgs...)
	}
	s.Stage = newStage(t, o)
	s.front.open(t, s.Stage)
	return s
}

// expectAsked waits until the bridge has been asked at least so often.
func (s *inBandStage) expectAsked(t *testing.T, bridge int64) {
	t.Helper()
	eventually(t, testContext(t), settle, func() (bool, string) {
		return s.bridge.asked.Load() >= bridge, "the broker is not asked through the bridge"
	})
}

// frontAskedOnce runs a scenario and checks that the front was asked once. A client waits for a word of the bridge for 0.75 s and
// then asks the front as well, and on a busy machine the programs may stand still for as long: so where it was asked more often, two
// more starts follow, and all have to be wrong. Under the race detector, with which programs get little done at any time, one start is
// all, and may have more.
func frontAskedOnce(t *testing.T, scenario func(t *testing.T) *inBandStage) {
	var asked []int64
	for len(asked) < 3 {
		t.Run(fmt.Sprintf("start %d", len(asked)+1), func(t *testing.T) { asked = append(asked, scenario(t).front.asked.Load()) })
		if t.Failed() {
			return
		}
		if n := asked[len(asked)-1]; n == 1 || n > 1 && stage.RaceEnabled {
			return
		}
	}
	t.Errorf("the front was asked %d times, want once", asked)
}

// With two volunteers at once, the front is asked for the first, and the bridge for the second and for each that replaces
// one that has left.
func TestSystemInBandAsksTheFrontOnce(t *testing.T) {
	frontAskedOnce(t, func(t *testing.T) *inBandStage {
		s := newInBandStage(t, stage.Options{Proxies: 4, Max: 2}, true)
		s.bridge.open(t, s.Stage)
		ctx := testContext(t)
		leaks := watchLeaks(t, ctx, s.Stage)
		conn, back := echo(t, ctx, s.Stage)
		if err := exchange(t, conn, back, "hello"); err != nil {
			t.Fatal(err)
		}
		s.expectAsked(t, 1)
		get(t, ctx, s.Client(), 1, 2_000_000)
		if err := stage.Put(ctx, dial(t, ctx, s.Client(), nil), 2, 2_000_000); err != nil {
			t.Error(err)
		}
		conn.Close()
		leaks.check(t, ctx)
		return s
	})
}

// When one of two volunteers dies, the other carries the request for a third.
func TestSystemInBandOneOfTwoKilled(t *testing.T) {
	frontAskedOnce(t, func(t *testing.T) *inBandStage {
		s := newInBandStage(t, stage.Options{Proxies: 4, Max: 2}, true)
		s.bridge.open(t, s.Stage)
		ctx := testContext(t)
		conn, back := echo(t, ctx, s.Stage)
		if err := exchange(t, conn, back, "hello"); err != nil {
			t.Fatal(err)
		}
		s.expectAsked(t, 1)
		get(t, ctx, s.Client(), 1, 2_000_000)
		busiest(t, s.Stage, map[*stage.Proxy]int64{}).Kill()
		if err := exchange(t, conn, back, "after one has died"); err != nil {
			t.Fatal(err)
		}
		get(t, ctx, s.Client(), 2, 2_000_000)
		s.expectAsked(t, 2)
		return s
	})
}

// When the only volunteer dies, what is asked through it gets no answer, and the front is asked soon enough.
func TestSystemInBandVolunteerKilled(t *testing.T) {
	s := newInBandStage(t, stage.Options{Proxies: 1}, true)
	s.bridge.open(t, s.Stage)
	ctx := testContext(t)
	conn, back := echo(t, ctx, s.Stage)
	if err := exchange(t, conn, back, "before"); err != nil {
		t.Fatal(err)
	}
	old := s.Proxies()[0]
	if _, err := s.StartProxy(ctx, stage.ProxyOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := s.WaitAvailable(ctx, 1); err != nil {
		t.Fatal(err)
	}
	old.Kill()
	if err := exchange(t, conn, back, "after"); err != nil {
		t.Fatal(err)
	}
	if n := s.front.asked.Load(); n < 1 || n > 3 {
		t.Errorf("the front was asked %d times", n)
	}
}

// A bridge that offers nothing, and a client that wants nothing of it, ask as ever.
func TestSystemInBandOff(t *testing.T) {
	for name, o := range map[string]struct {
		offered bool
		args    []string
	}{
		"bridge": {false, nil},
		"client": {true, []string{"-inband=false"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newInBandStage(t, stage.Options{Proxies: 2, Max: 2, ClientArgs: o.args}, o.offered)
			s.bridge.open(t, s.Stage)
			ctx := testContext(t)
			conn, back := echo(t, ctx, s.Stage)
			if err := exchange(t, conn, back, "hello"); err != nil {
				t.Fatal(err)
			}
			eventually(t, ctx, settle, func() (bool, string) { return s.front.asked.Load() >= 2, "the front is asked but once" })
			if n := s.bridge.asked.Load(); n != 0 {
				t.Errorf("the bridge asked %d times", n)
			}
		})
	}
}

// A bridge whose broker does not answer costs nothing but the way to it.
func TestSystemInBandBrokerDown(t *testing.T) {
	s := newInBandStage(t, stage.Options{Proxies: 2, Max: 2}, true)
	ctx := testContext(t)
	conn, back := echo(t, ctx, s.Stage)
	if err := exchange(t, conn, back, "hello"); err != nil {
		t.Fatal(err)
	}
	eventually(t, ctx, 15*time.Second, func() (bool, string) {
		return s.bridge.asked.Load() == 1 && s.front.asked.Load() >= 2, "the front does not stand in for the bridge"
	})
	get(t, ctx, s.Client(), 1, 2_000_000)
}
