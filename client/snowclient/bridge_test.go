package snowclient

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"

	"flurry/common/carrier"
	"flurry/common/carrier/carriertest"
	"flurry/common/messages"
	"flurry/common/multipath"
	"flurry/common/turbotunnel"
)

// A bridge is the far end of a Transport, in memory. It is also the
// CarrierDialer: every carrier that it makes leads to itself.
type bridge struct {
	t       *testing.T
	streams chan net.Conn // accepted ones
	tasks   sync.WaitGroup

	mu       sync.Mutex
	paths    *multipath.Conn
	ln       *turbotunnel.Listener
	ids      []turbotunnel.ClientID // of the carriers, in order
	carriers []*carriertest.Conn    // their ends here
	sessions []*turbotunnel.Session
	closed   bool
}

func newBridge(t *testing.T) *bridge {
	b := &bridge{t: t, streams: make(chan net.Conn, 64)}
	b.start()
	t.Cleanup(b.stop)
	return b
}

// start makes it ready for carriers.
func (b *bridge) start() {
	b.t.Helper()
	paths := multipath.New(bridgeAddr{}, multipath.Options{})
	ln, err := turbotunnel.Listen(paths, turbotunnel.ServerTuning())
	if err != nil {
		b.t.Fatal(err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.paths, b.ln, b.closed = paths, ln, false
	b.tasks.Go(func() {
		for {
			s, err := ln.Accept()
			if err != nil {
				return
			}
			b.mu.Lock()
			b.sessions = append(b.sessions, s)
			if b.closed {
				s.Close()
			}
			b.mu.Unlock()
			b.tasks.Go(func() { b.serve(s) })
		}
	})
}

// stop ends everything.
func (b *bridge) stop() {
	b.mu.Lock()
	b.closed = true
	for _, s := range b.sessions {
		s.Close()
	}
	b.sessions = nil
	b.mu.Unlock()
	b.ln.Close()
	b.paths.Close()
	b.tasks.Wait()
}

// restart makes it forget everything.
func (b *bridge) restart() {
	b.t.Helper()
	b.stop()
	b.start()
}

func (b *bridge) serve(s *turbotunnel.Session) {
	for {
		st, err := s.AcceptStream()
		if err != nil {
			return
		}
		b.streams <- st
	}
}

// DialCarrier implements CarrierDialer.
func (b *bridge) DialCarrier(ctx context.Context, signal SignalFunc) (carrier.Conn, error) {
	if answer, err := signal(ctx, "offer"); err != nil {
		return nil, err
	} else if answer != "answer" {
		return nil, errors.New("not our answer: " + answer)
	}
	near, far := carriertest.Pair(carriertest.Options{})
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		near.Close()
		far.Close()
		return nil, errors.New("bridge closed")
	}
	b.carriers = append(b.carriers, far)
	paths := b.paths
	b.tasks.Go(func() {
		id, packets, err := turbotunnel.Accept(context.Background(), far)
		if err != nil {
			far.Close()
			return
		}
		b.mu.Lock()
		b.ids = append(b.ids, id)
		b.mu.Unlock()
		paths.Add(id, packets)
	})
	return near, nil
}

// accept gives the next stream.
func (b *bridge) accept() net.Conn {
	b.t.Helper()
	select {
	case st := <-b.streams:
		return st
	case <-b.t.Context().Done():
		b.t.Fatal("no stream came")
		return nil
	}
}

// echo answers the next stream with what it brings.
func (b *bridge) echo() {
	b.tasks.Go(func() {
		st := <-b.streams
		io.Copy(st, struct{ io.Reader }{st})
		st.Close()
	})
}

func (b *bridge) lastCarrier() *carriertest.Conn {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.carriers[len(b.carriers)-1]
}

// distinctIDs counts the ClientIDs that carriers brought.
func (b *bridge) distinctIDs() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	distinct := make(map[turbotunnel.ClientID]bool)
	for _, id := range b.ids {
		distinct[id] = true
	}
	return len(distinct)
}

// always is a Rendezvous at which every offer is answered.
var always = replier(func(string) (string, error) {
	reply, err := messages.ClientPollResponse{Answer: "answer"}.Encode()
	return string(reply), err
})
