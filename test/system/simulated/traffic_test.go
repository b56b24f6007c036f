package simulated

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"flurry/common/simnet"
	"flurry/common/simnet/line"
)

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

// The client's way up carries acknowledgements only: it loses a tenth of them,
// or is 64 kbit/s wide.
func TestAcknowledgementsOnABadLine(t *testing.T) {
	for name, c := range map[string]struct {
		up    line.Shape
		least float64 // bytes a second of a line of 1 MB/s
	}{
		"10 % lost": {line.Shape{Rate: megabits(10), Delay: 20 * time.Millisecond, Loss: 0.1, Seed: 3}, 0.75e6},
		"64 kbit/s": {line.Shape{Rate: 8000, Delay: 20 * time.Millisecond}, 0.5e6},
	} {
		for kind, k := range map[string]hop{"lossy": lossy, "ordered": ordered} {
			t.Run(fmt.Sprintf("%s, %s", name, kind), func(t *testing.T) {
				o := ordinary(1)
				o.client = simnet.Access{Up: c.up, Down: line.Shape{Rate: megabits(8), Delay: 20 * time.Millisecond}}
				simulate(t, o, func(s *simulation) {
					s.volunteer(s.world.Host(access(megabits(50), 5*time.Millisecond, 7)), k)
					conn := s.warm(1)
					defer conn.Close()
					s.atLeast("bytes a second", s.goodput(conn, 10e6), c.least)
					s.checkWaste(0.05)
				})
			})
		}
	}
}

// A sender that often has nothing to send must not take its own pauses, or the
// bursts between them, for the rate of the path.
func TestBurstsThenDownload(t *testing.T) {
	simulate(t, ordinary(1), func(s *simulation) {
		host := s.world.Host(both(line.Shape{Rate: megabits(8), Delay: 20 * time.Millisecond, Queue: 2 * time.Second}))
		s.volunteer(host, lossy)
		c := s.warm(1)
		defer c.Close()
		for range 10 {
			_, err := get(c, 1e6)
			s.must(err)
			time.Sleep(2 * time.Second)
		}
		other := s.dial()
		defer other.Close()
		trip, err := s.echoWhile(other, func() error {
			s.atLeast("bytes a second", s.goodput(c, 20e6), 0.8e6)
			return nil
		})
		s.must(err)
		s.atMost("seconds of an echo while downloading", trip.Seconds(), 0.4)
		s.checkWaste(0.02)
	})
}

type lossCase struct{ loss, least float64 }

// Random loss costs what it takes away and little more.
func TestLoss(t *testing.T) {
	for _, c := range few(lossCase{0.01, 0.75e6}, lossCase{0.1, 0.55e6}, lossCase{0.03, 0.7e6}) {
		t.Run(fmt.Sprint(c.loss), func(t *testing.T) {
			o := ordinary(1)
			o.client = both(line.Shape{Rate: megabits(100), Delay: 20 * time.Millisecond, Loss: c.loss, Seed: 1})
			simulate(t, o, func(s *simulation) {
				s.ordinaryVolunteers(1, lossy)
				conn := s.warm(1)
				defer conn.Close()
				s.atLeast("bytes a second", s.goodput(conn, 10e6), c.least)
				s.atMost("received twice", s.segments()["duplicate"]/s.segments()["received"], c.loss+0.01)
				_, err := put(conn, 3e6)
				s.must(err)
			})
		})
	}
}
