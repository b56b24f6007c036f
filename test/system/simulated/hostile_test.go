package simulated

import (
	"context"
	"testing"
	"time"

	"flurry/common/carrier"
)

// A cutter divides the messages that it sends, as the deployed proxy's reader
// does by accident, and a swapper exchanges neighbours.
type cutter struct{ carrier.Conn }

// Send implements carrier.Conn.
func (c cutter) Send(ctx context.Context, msg []byte) error {
	half := len(msg) / 2
	if err := c.Conn.Send(ctx, msg[:half]); err != nil {
		return err
	}
	return c.Conn.Send(ctx, msg[half:])
}

type swapper struct {
	carrier.Conn
	held *[]byte
}

// Send implements carrier.Conn.
func (s swapper) Send(ctx context.Context, msg []byte) error {
	if *s.held == nil {
		*s.held = append([]byte{}, msg...)
		return nil
	}
	if err := s.Conn.Send(ctx, msg); err != nil {
		return err
	}
	msg, *s.held = *s.held, nil
	return s.Conn.Send(ctx, msg)
}

// A volunteer that breaks what its carrier promises does the session no harm
// while there is another: whatever it makes of the bytes, the right ones arrive.
func TestHostileVolunteer(t *testing.T) {
	for name, c := range map[string]struct {
		hop  hop
		wrap func(carrier.Conn) carrier.Conn
	}{
		"cuts messages of a lossy hop":      {lossy, func(c carrier.Conn) carrier.Conn { return cutter{c} }},
		"exchanges messages of a lossy hop": {lossy, func(c carrier.Conn) carrier.Conn { return swapper{c, new([]byte)} }},
		"exchanges pieces of a stream":      {ordered, func(c carrier.Conn) carrier.Conn { return swapper{c, new([]byte)} }},
	} {
		t.Run(name, func(t *testing.T) {
			simulate(t, ordinary(2), func(s *simulation) {
				bad := s.odd(s.world.Host(access(megabits(8), 10*time.Millisecond, 3)), c.hop, c.wrap)
				s.ordinaryVolunteers(2, c.hop)
				conn := s.dial()
				defer conn.Close()
				_, err := get(conn, 8e6)
				s.must(err)
				_, err = put(conn, 2e6)
				s.must(err)
				if s.served(bad) == 0 {
					t.Error("the hostile volunteer was never asked")
				}
				s.atLeast("bytes a second", s.goodput(conn, 10e6), 0.7e6)
			})
		})
	}
}

// served is how many carriers a volunteer has had.
func (s *simulation) served(v *volunteer) int {
	s.meeting.mu.Lock()
	defer s.meeting.mu.Unlock()
	return len(v.carry.served)
}
