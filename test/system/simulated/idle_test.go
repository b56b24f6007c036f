package simulated

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"runtime"
	"runtime/metrics"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"flurry/common/carrier/carriertest"
	"flurry/common/multipath"
	"flurry/common/simnet/line"
	"flurry/common/turbotunnel"
	"flurry/server/snowserver"
)

// A thousand sessions that say nothing, in one server: what they cost does not
// depend on how long they last. Goroutines and messages are those of both ends,
// since the clients live in this process too.
func TestThousandIdleSessions(t *testing.T) {
	const (
		sessions = 1000
		minutes  = 3

		// Of each session with both its ends; 15 when this was written.
		mostGoroutines = 20
		// Of each session and minute: smux and the paths ask every 10 s, and are
		// answered; 41 when this was written.
		mostMessages = 50
		// As often as goroutines begin to run for a session in a minute, those of
		// the lines included; 500 when this was written.
		mostWakes = 650
	)
	forgetPools()
	synctest.Test(t, func(t *testing.T) {
		table, err := snowserver.NewTable(snowserver.Config{})
		if err != nil {
			t.Fatal(err)
		}
		var tasks sync.WaitGroup
		p := &peer{}
		tasks.Go(func() { p.serve(func() (net.Conn, error) { return table.Accept() }) })
		before := runtime.NumGoroutine()
		var lines []*line.Line
		var clients []*turbotunnel.Session
		for i := range sessions {
			c, ways := idleSession(t, table, &tasks, i)
			clients, lines = append(clients, c), append(lines, ways...)
		}
		settle(time.Minute)
		if n := table.Stats().Sessions; n != sessions {
			t.Fatalf("%d sessions", n)
		}
		messages, wakes := arrived(lines), schedulings()
		settle(minutes * time.Minute)
		messages, wakes = arrived(lines)-messages, schedulings()-wakes
		atMost(t, "goroutines of a session", float64(runtime.NumGoroutine()-before)/sessions, mostGoroutines)
		atMost(t, "messages of a session in a minute", float64(messages)/sessions/minutes, mostMessages)
		atMost(t, "wake-ups of a session in a minute", float64(wakes)/sessions/minutes, mostWakes)
		for _, c := range clients {
			tasks.Go(func() { c.Close() })
		}
		settle(time.Minute)
		table.Close()
		tasks.Wait()
	})
}

// settle lets the bubble's time pass.
func settle(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// idleSession starts a session with one stream and one echo over a carrier of
// its own. It returns the carrier's two lines.
func idleSession(t *testing.T, table *snowserver.Table, tasks *sync.WaitGroup, i int) (*turbotunnel.Session, []*line.Line) {
	t.Helper()
	shape := line.Shape{Rate: 1e6, Delay: 50 * time.Millisecond}
	near, far := carriertest.ShapedPair(carriertest.Shaped{Kind: carriertest.Stream, AB: shape, BA: shape})
	var id turbotunnel.ClientID
	binary.BigEndian.PutUint64(id[:], uint64(i+1))
	tasks.Go(func() {
		id, packets, err := turbotunnel.Accept(context.Background(), far)
		if err != nil {
			t.Error(err)
			return
		}
		table.Attach(context.Background(), id, packets, netip.Addr{})
	})
	conn := multipath.New(multipath.Options{Ask: true})
	session, err := turbotunnel.Client(conn, turbotunnel.ClientTuning())
	if err != nil {
		t.Fatal(err)
	}
	packets, err := turbotunnel.Attach(t.Context(), near, id)
	if err != nil {
		t.Fatal(err)
	}
	conn.Add(packets)
	stream, err := session.OpenStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := echo(stream); err != nil {
		t.Fatal(err)
	}
	return session, []*line.Line{near.Line(), far.Line()}
}

func arrived(lines []*line.Line) (n int) {
	for _, l := range lines {
		n += l.Stats().Arrived
	}
	return n
}

// schedulings is how often goroutines have begun to run, as the runtime counts
// it: it looks at one in eight (gTrackingPeriod in its source).
func schedulings() (n uint64) {
	s := []metrics.Sample{{Name: "/sched/latencies:seconds"}}
	metrics.Read(s)
	for _, c := range s[0].Value.Float64Histogram().Counts {
		n += 8 * c
	}
	return n
}
