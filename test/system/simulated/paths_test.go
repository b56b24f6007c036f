package simulated

import (
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"flurry/common/simnet"
	"flurry/common/simnet/line"
)

// access is an ordinary line: both ways the same.
func access(rate float64, delay time.Duration, seed uint64) simnet.Access {
	return both(line.Shape{Rate: rate, Delay: delay, Seed: seed})
}

// ordinary is a client on a good line and a server in a data centre.
func ordinary(max int) options {
	return options{
		client: access(megabits(100), 20*time.Millisecond, 1),
		server: both(line.Shape{Delay: 10 * time.Millisecond}),
		max:    max,
	}
}

// ordinaryVolunteers starts n volunteers at lines of 8 Mbit/s and 20 ms.
func (s *simulation) ordinaryVolunteers(n int, k hop) {
	for i := range n {
		s.volunteer(s.world.Host(access(megabits(8), 20*time.Millisecond, uint64(10+i))), k)
	}
}

// warm opens a stream and fetches enough over it for n paths to be there and
// their rates to be known.
func (s *simulation) warm(paths int) net.Conn {
	s.t.Helper()
	c := s.dial()
	for range 100 {
		if _, err := get(c, 2e6); err != nil {
			s.t.Fatal(err)
		}
		if s.listener.Stats().Carriers >= paths {
			_, err := get(c, int64(paths)*2e6)
			s.must(err)
			return c
		}
	}
	s.t.Fatalf("%d paths after 200 MB, want %d", s.listener.Stats().Carriers, paths)
	return nil
}

// goodput fetches n bytes and returns bytes a second.
func (s *simulation) goodput(c net.Conn, n int64) float64 {
	s.t.Helper()
	d, err := get(c, n)
	s.must(err)
	return float64(n) / d.Seconds()
}

func (s *simulation) atLeast(what string, got, want float64) {
	s.t.Helper()
	if got < want {
		s.t.Errorf("%s: %.4g, want at least %.4g", what, got, want)
		return
	}
	s.t.Logf("%s: %.4g (at least %.4g)", what, got, want)
}

func (s *simulation) atMost(what string, got, want float64) {
	s.t.Helper()
	atMost(s.t, what, got, want)
}

func atMost(t *testing.T, what string, got, want float64) {
	t.Helper()
	if got > want {
		t.Errorf("%s: %.4g, want at most %.4g", what, got, want)
		return
	}
	t.Logf("%s: %.4g (at most %.4g)", what, got, want)
}

// One, two and four volunteers of 1 MB/s each carry one download, and none of
// their segments twice.
func TestPathsAddUp(t *testing.T) {
	for name, kind := range map[string]hop{"lossy": lossy, "ordered": ordered} {
		for _, n := range few(1, 4, 2) {
			t.Run(fmt.Sprintf("%d %s", n, name), func(t *testing.T) {
				simulate(t, ordinary(n), func(s *simulation) {
					s.ordinaryVolunteers(n, kind)
					c := s.warm(n)
					defer c.Close()
					s.atLeast("bytes a second", s.goodput(c, 20e6), 0.8e6*float64(n))
					s.checkWaste(0.01)
				})
			})
		}
	}
}

// checkWaste bounds what both ends have sent again and received twice, as a
// share of what they have sent and received.
func (s *simulation) checkWaste(most float64) {
	s.t.Helper()
	down, up := s.listener.Stats(), s.segments()
	s.atMost("sent again by the server", float64(down.Resent)/float64(down.Sent), most)
	s.atMost("received twice by the client", up["duplicate"]/up["received"], most)
	s.atMost("sent again by the client", up["resent"]/(up["sent"]+1000), most)
}

// stalls reads and notes the longest time without a byte.
type stalls struct {
	io.Reader
	last    time.Time
	longest time.Duration
}

// Read implements io.Reader.
func (r *stalls) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	now := time.Now()
	r.longest, r.last = max(r.longest, now.Sub(r.last)), now
	return n, err
}

// longestStall fetches n bytes and returns the longest time without one.
func (s *simulation) longestStall(c net.Conn, n int64) time.Duration {
	s.t.Helper()
	s.must(ask(c, 'g', n))
	r := &stalls{Reader: c, last: time.Now()}
	s.must(check(r, n))
	return r.longest
}

// The volunteer in use, or one of two in use, is gone at any phase of a download.
// If its process was killed the bridge hears of it at once, by TCP; if it went
// silent nobody does.
func TestVolunteerGone(t *testing.T) {
	for _, c := range []struct {
		name string
		how  func(*volunteer)
		max  int
		most time.Duration // longest stall
	}{
		// With max 1 the stall is that until the next volunteer's poll, too.
		{"killed, max 1", (*volunteer).kill, 1, 8 * time.Second},         // to reach: 4 s
		{"killed, max 2", (*volunteer).kill, 2, 1200 * time.Millisecond}, // to reach: 500 ms
		{"silent, max 1", (*volunteer).silence, 1, 8 * time.Second},      // to reach: 4 s
		{"silent, max 2", (*volunteer).silence, 2, 2 * time.Second},      // to reach: 1 s
	} {
		for i, phase := range few(0, 700*time.Millisecond, 90*time.Millisecond, 1510*time.Millisecond) {
			t.Run(fmt.Sprintf("%s, after %v", c.name, phase), func(t *testing.T) {
				simulate(t, ordinary(c.max), func(s *simulation) {
					s.ordinaryVolunteers(3, hop(i%2))
					conn := s.warm(c.max)
					defer conn.Close()
					v := s.busiest()
					time.AfterFunc(phase, func() { c.how(v) })
					s.atMost("seconds of the longest stall", s.longestStall(conn, 8e6).Seconds(), c.most.Seconds())
				})
			})
		}
	}
}

// busiest is the volunteer that has sent most to the client.
func (s *simulation) busiest() *volunteer {
	best := s.volunteers[0]
	for _, v := range s.volunteers {
		if v.host.Up().Stats().Bytes > best.host.Up().Stats().Bytes {
			best = v
		}
	}
	return best
}

func (v *volunteer) silence() { v.host.Silence(true) }

// One of two paths begins to deliver everything two seconds late.
func TestPathBecomesLate(t *testing.T) {
	for name, kind := range map[string]hop{"lossy": lossy, "ordered": ordered} {
		t.Run(name, func(t *testing.T) {
			simulate(t, ordinary(2), func(s *simulation) {
				s.ordinaryVolunteers(2, kind)
				c := s.warm(2)
				defer c.Close()
				late := func(sh *line.Shape) { sh.Delay += time.Second }
				v := s.busiest()
				v.host.Up().Change(late)
				v.host.Down().Change(late)
				s.atMost("seconds of the longest stall", s.longestStall(c, 8e6).Seconds(), 2)
				s.atLeast("bytes a second", s.goodput(c, 10e6), 0.75e6)
			})
		})
	}
}

// The client's line reorders everything by up to 50 ms.
func TestPathReordersEverything(t *testing.T) {
	o := ordinary(2)
	o.client = both(line.Shape{Rate: megabits(100), Delay: 20 * time.Millisecond, Reorder: 1, ReorderBy: 50 * time.Millisecond, Seed: 5})
	simulate(t, o, func(s *simulation) {
		s.ordinaryVolunteers(2, lossy)
		c := s.warm(2)
		defer c.Close()
		s.atLeast("bytes a second", s.goodput(c, 20e6), 1.4e6)
		s.checkWaste(0.05)
	})
}

// A path of 20 ms and one of 600 ms carry no less than the first alone.
func TestSlowPathDoesNotHoldBackTheFastOne(t *testing.T) {
	alone := 0.0
	simulate(t, ordinary(1), func(s *simulation) {
		s.volunteer(s.world.Host(access(megabits(8), 5*time.Millisecond, 1)), lossy)
		c := s.warm(1)
		defer c.Close()
		alone = s.goodput(c, 15e6)
	})
	for name, kind := range map[string]hop{"lossy": lossy, "ordered": ordered} {
		t.Run(name, func(t *testing.T) {
			simulate(t, ordinary(2), func(s *simulation) {
				s.volunteer(s.world.Host(access(megabits(8), 5*time.Millisecond, 1)), kind)
				s.volunteer(s.world.Host(access(megabits(8), 280*time.Millisecond, 2)), kind)
				c := s.warm(2)
				defer c.Close()
				s.atLeast("bytes a second", s.goodput(c, 15e6), 0.9*alone)
			})
		})
	}
}

// Two volunteers in one home share its line of 8 Mbit/s: two controllers, one
// bottleneck.
func TestTwoVolunteersInOneHome(t *testing.T) {
	simulate(t, ordinary(2), func(s *simulation) {
		home := s.world.Home(simnet.FullCone, both(line.Shape{Rate: megabits(8), Delay: 20 * time.Millisecond, Queue: time.Second}))
		for range 2 {
			s.volunteer(home.Host(simnet.Access{}), lossy)
		}
		c := s.warm(2)
		defer c.Close()
		other := s.dial()
		defer other.Close()
		s.atLeast("bytes a second", s.goodput(c, 15e6), 0.75e6)
		s.checkWaste(0.05)
		trip, err := s.echoWhile(other, func() error { _, err := get(c, 8e6); return err })
		s.must(err)
		s.atMost("seconds of an echo while downloading", trip.Seconds(), 0.6)
	})
}

// echoWhile returns the median round trip of c while f runs.
func (s *simulation) echoWhile(c net.Conn, f func() error) (time.Duration, error) {
	done := make(chan error, 1)
	go func() { done <- f() }()
	var trips []time.Duration
	for {
		d, err := echo(c)
		if err != nil {
			return 0, err
		}
		trips = append(trips, d)
		select {
		case err := <-done:
			return median(trips), err
		case <-time.After(100 * time.Millisecond):
		}
	}
}
