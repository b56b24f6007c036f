package netem

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"flurry/common/simnet/line"
	"flurry/test/netlab"
	"flurry/test/stage"
)

// TestFailover takes away the volunteer in use at several moments of downloads, one after the other in one session. Each
// time another takes its place, so that there always are three.
func TestFailover(t *testing.T) {
	if *how != "kill" && *how != "silent" {
		t.Fatalf("-how %s: kill or silent", *how)
	}
	for _, c := range []struct {
		max   int
		limit time.Duration // of the longest stall
	}{{1, 6 * time.Second}, {2, 2 * time.Second}} {
		t.Run(fmt.Sprint("max ", c.max), func(t *testing.T) {
			t.Parallel() // The lines are slow, not the machine.
			failover(t, c.max, c.limit)
		})
	}
}

func failover(t *testing.T, paths int, limit time.Duration) {
	p := home(3)
	p.proxy.Rate = 25 * mbit // So slow that the last moment is in the middle of a download.
	// One client each: else both paths of a session may lead through one volunteer, and be lost at once.
	p.options = stage.Options{Max: paths, ProxyArgs: []string{"-capacity=1"}}
	b := newBed(t, p)
	f := b.flow(t, b.Client(), 1)
	var text strings.Builder
	uses := newUses(b)
	// The first, small, download finds out who is in use, and lets a client that wants two volunteers find them.
	if err := f.Get(4_000_000); err != nil {
		t.Fatal(err)
	}
	if err := f.Wait(b.ctx); err != nil {
		t.Fatal(err)
	}
	size := 10_000_000 * int64(paths) // The last moment is in the middle of it.
	for _, moment := range []time.Duration{0, 150 * time.Millisecond, 500 * time.Millisecond, 1200 * time.Millisecond, 2500 * time.Millisecond} {
		start, before := time.Now(), f.Received()
		if err := f.Get(size); err != nil {
			t.Fatal(err)
		}
		<-time.After(moment)
		if f.Received() == before+size {
			t.Fatalf("the download was over after %v", moment)
		}
		lost := uses.most()
		uses.reset()
		takeAway(lost)
		err := f.Wait(b.ctx)
		fmt.Fprintf(&text, "max %d, %s of %s after %4d ms: longest stall %5.2f s, all in %5.2f s\n", paths, *how, lost.Name(), moment.Milliseconds(),
			f.Stall().Seconds(), time.Since(start).Seconds())
		if err != nil {
			t.Fatalf("%v\n%s", err, &text)
		}
		if f.Stall() > limit {
			t.Errorf("a stall of %v, more than %v", f.Stall(), limit)
		}
		replace(t, b, lost)
	}
	t.Logf("\n%s", &text)
}

// takeAway ends a volunteer, or lets it live and cuts its line.
func takeAway(p *stage.Proxy) {
	if *how == "kill" {
		p.Kill()
		return
	}
	host := p.Host().(*netlab.Host)
	for _, l := range []*line.Line{host.Up(), host.Down()} {
		l.Silence(true)
	}
}

// replace starts another volunteer in the place of one that was taken away, and waits until the broker knows it.
func replace(t *testing.T, b *bed, p *stage.Proxy) {
	t.Helper()
	if p.Alive() {
		p.Kill()
	}
	host := p.Host().(*netlab.Host)
	for _, l := range []*line.Line{host.Up(), host.Down()} {
		l.Silence(false)
	}
	if _, err := b.StartProxy(b.ctx, stage.ProxyOptions{Host: host}); err != nil {
		t.Fatal(err)
	}
	if err := b.WaitAvailable(b.ctx, 1); err != nil {
		t.Fatal(err)
	}
}

// uses tells which volunteer has carried most since the last reset.
type uses struct {
	b     *bed
	since map[*netlab.Host]int
}

func newUses(b *bed) *uses {
	u := &uses{b: b, since: map[*netlab.Host]int{}}
	u.reset()
	return u
}

func (u *uses) reset() {
	for _, h := range u.b.proxies {
		u.since[h] = h.Up().Stats().Bytes
	}
}

func (u *uses) most() (most *stage.Proxy) {
	best := -1
	for _, p := range u.b.Proxies() {
		h := p.Host().(*netlab.Host)
		if n := h.Up().Stats().Bytes - u.since[h]; n > best {
			most, best = p, n
		}
	}
	return most
}
