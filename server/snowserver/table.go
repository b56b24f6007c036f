package snowserver

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"

	"flurry/common/carrier"
	"flurry/common/multipath"
	"flurry/common/turbotunnel"
)

// Errors of Attach that an edge may want to tell apart.
var (
	// ErrTableClosed is what Attach returns once the Table is being closed.
	ErrTableClosed = errors.New("snowserver: table closed")

	// ErrTooManyCarriers is what Attach returns for one carrier more than a
	// ClientID may have at a time.
	ErrTooManyCarriers = errors.New("snowserver: too many carriers for one client")

	// ErrTableFull is what Attach returns for a new client when the Table
	// knows as many as it can.
	ErrTableFull = errors.New("snowserver: too many clients")
)

// A Table knows which shard serves which ClientID. An edge gives it carriers
// with Attach; Accept gives out the streams. All methods may be called from any
// goroutine.
type Table struct {
	// fixed after construction
	key    [sha256.Size]byte // of the hash that chooses the shard
	shards []*shard
	out    outlet

	tasks     sync.WaitGroup // sweepers
	closeOnce sync.Once
	quietOnce sync.Once
}

// outlet is what a Table and its shards have in common: where streams go, when
// to stop, and how much there is of everything.
type outlet struct {
	// fixed after construction
	cfg     Config
	streams chan *Stream
	quiet   chan struct{} // closed when no more streams are to be given out
	done    chan struct{} // closed when everything is to end

	// atomic
	carriers, sessions atomic.Int64

	open gauge // streams given out and not yet closed
	past past
}

// past counts the segments of conversations that are over.
type past struct {
	mu  sync.Mutex
	sum multipath.Stats // guarded by mu
}

func (p *past) add(m multipath.Stats) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sum = p.sum.Plus(m)
}

func (p *past) load() multipath.Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sum
}

// Stats counts what a Table holds now.
type Stats struct {
	Carriers int // attached carriers
	Sessions int // KCP sessions, with or without carriers
	Streams  int // streams given to Accept and not yet closed

	multipath.Stats // segments of all conversations so far
}

// NewTable starts the shards. Of cfg it uses Shards, IdleTimeout, MaxSessions,
// MaxStreams and Logger. The caller must Close the Table.
func NewTable(cfg Config) (*Table, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	t := &Table{out: outlet{
		cfg:     cfg,
		streams: make(chan *Stream, acceptBacklog),
		quiet:   make(chan struct{}),
		done:    make(chan struct{}),
	}}
	rand.Read(t.key[:]) // never fails, says its documentation
	for range cfg.Shards {
		s := newShard(&t.out)
		t.shards = append(t.shards, s)
		t.tasks.Go(s.sweep)
	}
	return t, nil
}

// shardOf chooses by keyed hash: a ClientID is the client's own choice, and
// without a key one could load a single shard.
func (t *Table) shardOf(id turbotunnel.ClientID) *shard {
	mac := hmac.New(sha256.New, t.key[:])
	mac.Write(id[:])
	return t.shards[binary.BigEndian.Uint64(mac.Sum(nil))%uint64(len(t.shards))]
}

// Attach gives path to the shard that owns id and blocks until path ends,
// because its peer is gone, ctx ends or the Table is closed. The path, as
// turbotunnel.Accept returned it, is closed then in any case. client is the
// address that the proxy told, or the zero Addr. The error says why the path
// ended, with nil for the peer's clean close.
func (t *Table) Attach(ctx context.Context, id turbotunnel.ClientID, path carrier.Conn, client netip.Addr) error {
	return t.shardOf(id).attach(ctx, id, path, client)
}

// Accept waits for the next stream, of whatever client. After Shutdown or
// Close it returns net.ErrClosed.
func (t *Table) Accept() (*Stream, error) {
	select {
	case <-t.out.quiet:
		return nil, net.ErrClosed
	default:
	}
	select {
	case s := <-t.out.streams:
		return s, nil
	case <-t.out.quiet:
		return nil, net.ErrClosed
	}
}

// Stats counts what the Table holds now, and what its conversations have sent.
func (t *Table) Stats() Stats {
	s := Stats{
		Carriers: int(t.out.carriers.Load()),
		Sessions: int(t.out.sessions.Load()),
		Streams:  t.out.open.count(),
	}
	s.Stats = t.out.past.load()
	for _, shard := range t.shards {
		for _, conn := range shard.conns(false) {
			s.Stats = s.Plus(conn.Stats())
		}
	}
	return s
}

// Shutdown ends Accept, waits until the caller has closed its streams and the
// clients have acknowledged all that they were sent, or ctx ends, and closes the
// Table.
func (t *Table) Shutdown(ctx context.Context) {
	t.hush()
	t.out.open.waitEmpty(ctx)
	for _, s := range t.shards {
		s.drain(ctx)
	}
	t.Close()
}

// hush makes Accept return and closes the streams that nobody accepted.
func (t *Table) hush() {
	t.quietOnce.Do(func() { close(t.out.quiet) })
	for {
		select {
		case s := <-t.out.streams:
			s.Close()
		default:
			return
		}
	}
}

// Close ends all carriers, sessions and streams and returns when their
// goroutines have ended. It may be called twice.
func (t *Table) Close() error {
	t.closeOnce.Do(func() {
		t.hush()
		close(t.out.done)
		for _, s := range t.shards {
			s.close()
		}
	})
	t.tasks.Wait()
	t.hush()
	return nil
}

// A gauge counts, and knows when it is back at zero.
type gauge struct {
	mu    sync.Mutex
	n     int             // guarded by mu
	empty []chan struct{} // to be closed at zero; guarded by mu
}

// add changes the count.
func (g *gauge) add(d int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.n += d
	if g.n == 0 {
		for _, c := range g.empty {
			close(c)
		}
		g.empty = nil
	}
}

// count is the present value.
func (g *gauge) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.n
}

// waitEmpty returns when the count is zero or ctx ends.
func (g *gauge) waitEmpty(ctx context.Context) {
	zero := make(chan struct{})
	g.mu.Lock()
	if g.n == 0 {
		close(zero)
	} else {
		g.empty = append(g.empty, zero)
	}
	g.mu.Unlock()
	select {
	case <-zero:
	case <-ctx.Done():
	}
}
