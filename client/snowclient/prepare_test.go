package snowclient

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"flurry/common/carrier"
	"flurry/common/messages"
)

// A readyPart is a rendezvous and a dialer that count Prepare.
type readyPart struct {
	waiter
	prepared atomic.Int32
}

func (r *readyPart) Prepare() { r.prepared.Add(1) }

func (r *readyPart) DialCarrier(ctx context.Context, _ SignalFunc) (carrier.Conn, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// Prepare makes all parts ready and learns the NAT type; each attempt opens the
// way to the broker beside its gathering.
func TestPrepareReachesAllParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var broker, dialer readyPart
		var probes atomic.Int32
		tr := newTestTransport(t, Config{Rendezvous: &broker, Dialer: &dialer, ICEServers: []string{"stun:127.0.0.1:1"}})
		tr.probe = func(context.Context, []string) (messages.NATType, error) {
			probes.Add(1)
			return messages.NATUnrestricted, nil
		}
		check := func(b, d int32) {
			t.Helper()
			synctest.Wait()
			if broker.prepared.Load() != b || dialer.prepared.Load() != d || probes.Load() != 1 {
				t.Errorf("rendezvous %d times, dialer %d, %d probes", broker.prepared.Load(), dialer.prepared.Load(), probes.Load())
			}
		}
		tr.Prepare()
		check(1, 1)
		ctx, cancel := context.WithCancel(t.Context())
		tr.tasks.Go(func() { tr.connect(ctx) })
		check(2, 1)
		cancel()
		tr.Close()
		tr.Prepare()
		check(2, 1)
	})
}
