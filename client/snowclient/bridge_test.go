package snowclient

import (
	"context"
	"errors"
	"io"
	"maps"
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
	conns    map[turbotunnel.ClientID]*multipath.Conn
	ids      []turbotunnel.ClientID // of the carriers, in order
	carriers []*carriertest.Conn    // their ends here
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
	b.mu.Lock()
	defer b.mu.Unlock()
	b.conns, b.closed = map[turbotunnel.ClientID]*multipath.Conn{}, false
}

// stop ends everything.
func (b *bridge) stop() {
	b.mu.Lock()
	b.closed = true
	conns := maps.Clone(b.conns) // add may still come
	b.mu.Unlock()
	for _, c := range conns {
		c.Close()
	}
	b.tasks.Wait()
}

// restart makes it forget everything.
func (b *bridge) restart() {
	b.stop()
	b.start()
}

// add gives a carrier to its client's conversation, which may be new.
func (b *bridge) add(id turbotunnel.ClientID, packets carrier.Conn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ids = append(b.ids, id)
	c := b.conns[id]
	if c == nil {
		c = multipath.New(multipath.Options{Accept: true})
		b.conns[id] = c
		if b.closed {
			c.Close()
		} else {
			b.tasks.Go(func() { b.converse(c) })
		}
	}
	c.Add(packets)
}

// converse serves one conversation.
func (b *bridge) converse(c *multipath.Conn) {
	select {
	case <-c.Begun():
	case <-c.Done():
		return
	}
	s, err := turbotunnel.Server(c, turbotunnel.ServerTuning())
	if err != nil {
		b.t.Error(err)
		return
	}
	b.serve(s)
	s.Close()
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
	b.tasks.Go(func() {
		id, packets, err := turbotunnel.Accept(context.Background(), far)
		if err != nil {
			far.Close()
			return
		}
		b.add(id, packets)
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
