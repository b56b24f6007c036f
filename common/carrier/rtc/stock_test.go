package rtc

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/stun/v3"
)

// A stunServer answers each binding request as if a NAT stood before it, unless
// it is dead.
type stunServer struct {
	conn     net.PacketConn
	requests atomic.Int32
}

func newSTUNServer(t *testing.T, dead bool) *stunServer {
	t.Helper()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &stunServer{conn: conn}
	var serving sync.WaitGroup
	serving.Go(func() {
		buf := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			s.requests.Add(1)
			m := &stun.Message{Raw: buf[:n]}
			if dead || m.Decode() != nil {
				continue
			}
			reply := stun.MustBuild(stun.NewTransactionIDSetter(m.TransactionID), stun.BindingSuccess,
				&stun.XORMappedAddress{IP: net.IPv4(192, 0, 2, 1), Port: 4711})
			conn.WriteTo(reply.Raw, from)
		}
	})
	t.Cleanup(func() { conn.Close(); serving.Wait() })
	return s
}

func (s *stunServer) url() string { return "stun:" + s.conn.LocalAddr().String() }

// offerOf makes an offer and gives it up.
func offerOf(e *Endpoint) (offer string) {
	e.Dial(context.Background(), "", func(_ context.Context, o string) (string, error) {
		offer = o
		return "", errors.New("enough")
	})
	return offer
}

// What Prepare made ready serves the next offer, with all its candidates and
// without another question to a STUN server; the one after that starts anew.
func TestPreparedOffer(t *testing.T) {
	server := newSTUNServer(t, false)
	e := endpoint(t, Config{KeepLocalAddresses: true, ICEServers: []string{server.url()}})
	defer e.Close()
	e.Prepare()
	e.Prepare() // one is enough
	ready := e.stock.ready
	for want := int32(1); want <= 2; want++ {
		if offer := offerOf(e); !strings.Contains(offer, "192.0.2.1 4711 typ srflx") {
			t.Errorf("offer %q", offer)
		}
		if n := server.requests.Load(); n != want {
			t.Errorf("%d STUN requests, want %d", n, want)
		}
	}
	if ready == nil || e.stock.ready != nil {
		t.Error("the stock was not used up")
	}
}

// The answerer's stock serves answers.
func TestPreparedAnswer(t *testing.T) {
	server := newSTUNServer(t, false)
	a := endpoint(t, Config{KeepLocalAddresses: true})
	b := endpoint(t, Config{KeepLocalAddresses: true, ICEServers: []string{server.url()}})
	defer b.Close()
	b.Prepare()
	<-b.stock.ready.gathering.complete
	other := make(chan *Conn, 1)
	c, err := a.Dial(t.Context(), "", func(ctx context.Context, offer string) (string, error) {
		p, err := b.Answer(ctx, offer)
		if err != nil {
			return "", err
		}
		if !strings.Contains(p.Answer(), "192.0.2.1 4711 typ srflx") || server.requests.Load() != 1 {
			t.Errorf("%d requests, answer %q", server.requests.Load(), p.Answer())
		}
		go func() {
			c, err := p.Wait(context.Background())
			if err != nil {
				t.Error(err)
			}
			other <- c
		}()
		return p.Answer(), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	defer (<-other).Close()
}

// NATs forget: what is too old is not used.
func TestStaleStockIsThrownAway(t *testing.T) {
	e := endpoint(t, Config{KeepLocalAddresses: true})
	defer e.Close()
	e.Prepare()
	old := e.stock.ready
	old.gathering.began = time.Now().Add(-stockRefresh)
	e.Prepare()
	if e.stock.ready == old {
		t.Error("Prepare kept it although a poll could outlast it")
	}
	e.stock.ready.gathering.began = time.Now().Add(-stockAge)
	if p := e.stock.take(); p != nil {
		t.Error("taken although too old")
		p.close()
	}
}

// A spare connection must not take the ports that clients need, and none is
// made after Close.
func TestNoStock(t *testing.T) {
	e := endpoint(t, Config{KeepLocalAddresses: true, PortMin: 40000, PortMax: 40000 + stockPorts - 2})
	e.Prepare()
	if e.stock.ready != nil {
		t.Error("made ready in a narrow range of ports")
	}
	e.Close()
	e = endpoint(t, Config{KeepLocalAddresses: true})
	e.Close()
	e.Prepare()
	if e.stock.ready != nil {
		t.Error("made ready after Close")
	}
}

// A dead STUN server beside one that works costs next to nothing.
func TestDeadSTUNServer(t *testing.T) {
	dead, alive := newSTUNServer(t, true), newSTUNServer(t, false)
	e := endpoint(t, Config{KeepLocalAddresses: true, ICEServers: []string{dead.url(), alive.url()}})
	start := time.Now()
	if offer := offerOf(e); !strings.Contains(offer, "typ srflx") {
		t.Errorf("offer %q", offer)
	}
	if took := time.Since(start); took > defaultGatherTimeout {
		t.Errorf("the offer took %v", took)
	}
}
