package snowserver

import (
	"context"
	"fmt"
	"net"
	"sync"
)

// A Listener is a net.Listener of client streams. All methods may be called
// from any goroutine.
type Listener struct {
	// fixed after construction
	socket net.Listener
	table  *Table
	edge   *edge

	closeOnce sync.Once
}

var _ net.Listener = (*Listener)(nil)

// Listen serves proxies by cfg. When it returns without error the socket is
// bound and proxies are being served. ctx bounds the binding only; the caller
// must Close the Listener.
func Listen(ctx context.Context, cfg Config) (*Listener, error) {
	if err := cfg.Validate(); err != nil {
		if cfg.Listener != nil {
			cfg.Listener.Close()
		}
		return nil, err
	}
	cfg = cfg.withDefaults()
	socket := cfg.Listener
	if socket == nil {
		lc := net.ListenConfig{Control: dropDead}
		var err error
		if socket, err = lc.Listen(ctx, "tcp", cfg.Addr); err != nil {
			return nil, err // says what could not be done, and where
		}
	}
	table, err := NewTable(cfg)
	if err != nil {
		socket.Close()
		return nil, err
	}
	l := &Listener{socket: socket, table: table, edge: newEdge(cfg, table)}
	if cfg.WebTransport {
		if err := l.edge.listenWebTransport(ctx, socket.Addr()); err != nil {
			socket.Close()
			table.Close()
			return nil, err
		}
	}
	l.edge.tasks.Go(l.edge.report)
	l.edge.tasks.Go(func() {
		if err := l.edge.serve(socket); err != nil {
			cfg.Logger.Error("no more connections are accepted", "error", err)
			l.table.hush()
		}
	})
	return l, nil
}

// Accept waits for the next stream of any client. Its RemoteAddr is a
// ClientAddr. After Shutdown or Close it returns an error that wraps
// net.ErrClosed.
func (l *Listener) Accept() (net.Conn, error) {
	s, err := l.table.Accept()
	if err != nil {
		return nil, fmt.Errorf("accept stream: %w", err)
	}
	return s, nil
}

// Addr is the address that proxies connect to, by TCP.
func (l *Listener) Addr() net.Addr { return l.socket.Addr() }

// Stats counts what the Listener holds now.
func (l *Listener) Stats() Stats { return l.table.Stats() }

// Shutdown stops taking proxies and streams, waits until the caller has closed
// its streams and the clients have acknowledged all that they were sent, or ctx
// ends, and closes the Listener.
func (l *Listener) Shutdown(ctx context.Context) error {
	l.edge.refuse()
	l.table.Shutdown(ctx)
	return l.Close()
}

// Close ends everything: the socket, the carriers, the sessions and, unlike
// the Close of other listeners, the streams that were accepted. It returns when
// all goroutines have ended, and may be called twice.
func (l *Listener) Close() error {
	l.closeOnce.Do(func() {
		l.edge.close()
		l.table.Close()
	})
	return nil
}
