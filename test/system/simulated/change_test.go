package simulated

import (
	"testing"
	"time"

	"flurry/common/simnet/line"
)

// Every volunteer is killed after five seconds, and another comes. For two
// minutes of that a download goes on.
func TestEveryVolunteerChangesEveryFiveSeconds(t *testing.T) {
	const (
		size  = 200_000_000
		life  = 5 * time.Second
		count = 4
	)
	o := ordinary(2)
	o.client = access(megabits(14), 20*time.Millisecond, 1) // 200 MB take 114 s at least
	simulate(t, o, func(s *simulation) {
		start := func(i int) *volunteer {
			return s.volunteer(s.world.Host(both(line.Shape{Rate: megabits(20), Delay: 20 * time.Millisecond, Seed: uint64(i)})), hop(i%2))
		}
		var now []*volunteer
		for i := range count {
			now = append(now, start(i))
		}
		c := s.dial()
		defer c.Close()
		done := make(chan error, 1)
		begin := time.Now()
		go func() {
			_, err := get(c, size)
			done <- err
		}()
		changes := 0
		for {
			select {
			case err := <-done:
				s.must(err)
				s.atMost("seconds for 200 MB", time.Since(begin).Seconds(), 240)
				s.atLeast("volunteers that have gone", float64(changes), 90)
				down := s.listener.Stats()
				s.t.Logf("server %+v, client %v", down, s.segments())
				// Each death takes a window with it, and what it held has to go
				// again. What had not been lost must not.
				s.atMost("sent again", float64(down.Resent)/float64(down.Sent), 0.35)
				s.atMost("sent again in vain", float64(down.Spurious)/float64(down.Sent), 0.01)
				return
			case <-time.After(life / count):
				now[0].kill()
				now = append(now[1:], start(count+changes))
				changes++
			}
		}
	})
}
