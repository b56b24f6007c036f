package snowproxy

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// bytesPerKB: traffic is shown in units of 1000 bytes (spec section 11.2).
const bytesPerKB = 1000

// A Summary is what happened in one SummaryInterval.
type Summary struct {
	Interval    time.Duration
	Connections int64 // clients that were connected to their relay and are gone
	Failed      int64 // attempts that came to nothing; not shown
	InboundKB   int64 // sent to clients
	OutboundKB  int64 // received from clients
}

// String returns the line of spec section 11.2.
func (s Summary) String() string {
	seconds := s.Interval.Seconds()
	return fmt.Sprintf("In the last %v, there were %d completed successful connections. Traffic Relayed ↓ %d KB (%.2f KB/s), ↑ %d KB (%.2f KB/s).",
		s.Interval, s.Connections, s.InboundKB, float64(s.InboundKB)/seconds, s.OutboundKB, float64(s.OutboundKB)/seconds)
}

// kilobytes returns n bytes in the unit of summaries, rounded down.
func kilobytes(n int64) int64 { return n / bytesPerKB }

// tally counts since the last summary. All fields are atomic.
type tally struct {
	connections, failed atomic.Int64
	inbound, outbound   atomic.Int64 // bytes
}

// take returns the counts as a Summary and starts again from zero.
func (t *tally) take(interval time.Duration) Summary {
	return Summary{
		Interval:    interval,
		Connections: t.connections.Swap(0),
		Failed:      t.failed.Swap(0),
		InboundKB:   kilobytes(t.inbound.Swap(0)),
		OutboundKB:  kilobytes(t.outbound.Swap(0)),
	}
}

// summarise emits a Summary every SummaryInterval until ctx ends.
func (p *Proxy) summarise(ctx context.Context) {
	tick := time.NewTicker(p.cfg.SummaryInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s := p.tally.take(p.cfg.SummaryInterval)
			p.metrics.addTraffic(s)
			p.emit(Event{Kind: EventSummary, Summary: s})
		case <-ctx.Done():
			return
		}
	}
}
