package snowclient

import (
	"bytes"
	"context"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"flurry/common/carrier"
	"flurry/common/carrier/carriertest"
	"flurry/common/carrier/rtc"
	"flurry/common/messages"
	"flurry/common/sdp"
	"flurry/common/turbotunnel"
)

var (
	plainAnswer = "v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=msid-semantic:WMS *\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n"
	goodAnswer  = sdp.MarkEdges(plainAnswer)
)

// Unordered channels are for volunteers that keep edges, as long as they do.
func TestKindOfChannel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d rtcDialer
		want := func(when, answer string, kind rtc.Kind) {
			t.Helper()
			if got := d.kind(answer); got != kind {
				t.Errorf("%s: %s", when, got)
			}
		}
		want("deployed proxy", plainAnswer, rtc.Reliable)
		want("our proxy", goodAnswer, rtc.Unordered)
		rtcCarrier{nil, &d}.EdgesLost()
		want("after a broken promise", goodAnswer, rtc.Reliable)
		time.Sleep(orderedFor - time.Second)
		want("nearly ten minutes later", goodAnswer, rtc.Reliable)
		time.Sleep(time.Second)
		want("ten minutes later", goodAnswer, rtc.Unordered)
		want("deployed proxy later", plainAnswer, rtc.Reliable)
	})
}

// A volunteer answers offers as a proxy does and pumps between the client and a
// bridge, each message through a function. It is the Rendezvous as well.
type volunteer struct {
	t        *testing.T
	bridge   *bridge
	endpoint *rtc.Endpoint
	down     func() func(msg []byte) [][]byte // what becomes of messages down, for each client

	mu    sync.Mutex
	kinds []string // of the channels, in order
}

// Exchange implements Rendezvous.
func (v *volunteer) Exchange(ctx context.Context, request []byte) ([]byte, error) {
	r, err := messages.DecodeClientPollRequest(request)
	if err != nil {
		return nil, err
	}
	p, err := v.endpoint.Answer(ctx, r.Offer)
	if err != nil {
		return nil, err
	}
	v.bridge.tasks.Go(func() {
		if c, err := p.Wait(context.Background()); err == nil {
			v.serve(c)
		}
	})
	return messages.ClientPollResponse{Answer: p.Answer()}.Encode()
}

func (v *volunteer) serve(client carrier.Conn) {
	v.mu.Lock()
	v.kinds = append(v.kinds, client.Traits().Kind)
	v.mu.Unlock()
	relay, far := carriertest.Pair(carriertest.Options{})
	var pumps sync.WaitGroup
	pump := func(dst, src carrier.Conn, through func([]byte) [][]byte) {
		defer dst.Close()
		buf := make([]byte, 65535)
		for {
			n, err := src.Recv(buf)
			if err != nil {
				return
			}
			for _, m := range through(bytes.Clone(buf[:n])) {
				if len(m) > dst.Traits().MaxMessage || dst.Send(context.Background(), m) != nil {
					return
				}
			}
		}
	}
	pumps.Go(func() { pump(relay, client, func(m []byte) [][]byte { return [][]byte{m} }) })
	pumps.Go(func() { pump(client, relay, v.down()) })
	if id, packets, err := turbotunnel.Accept(context.Background(), far); err == nil {
		v.bridge.add(id, packets)
	} else {
		far.Close()
	}
	pumps.Wait()
	client.Close()
}

// A volunteer that cuts or joins messages although its answer promises not to
// costs the session one path: the next channel is ordered, where it does no harm.
func TestBrokenPromisesCostOnePath(t *testing.T) {
	for name, down := range map[string]func() func([]byte) [][]byte{
		"cuts": func() func([]byte) [][]byte {
			return func(m []byte) [][]byte { return [][]byte{m[:len(m)/2], m[len(m)/2:]} }
		},
		"joins": func() func([]byte) [][]byte {
			var first []byte
			return func(m []byte) [][]byte {
				if first == nil {
					first = m
					return nil
				}
				both := append(first, m...)
				first = nil
				return [][]byte{both[:len(both)/3], both[len(both)/3:]} // and cuts elsewhere
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			endpoint, err := rtc.New(rtc.Config{KeepLocalAddresses: true, KeepsEdges: true})
			if err != nil {
				t.Fatal(err)
			}
			b := newBridge(t)
			v := &volunteer{t: t, bridge: b, endpoint: endpoint, down: down}
			tr := newTestTransport(t, Config{Rendezvous: v, KeepLocalAddresses: true, Max: 1, ICEServers: []string{}})
			b.echo()
			c := dial(t, tr)
			done := make(chan struct{})
			go func() {
				defer close(done)
				roundTrip(t, c, bytes.Repeat([]byte("edges"), 40_000))
			}()
			select {
			case <-done:
			case <-time.After(time.Minute):
				t.Fatal("nothing comes back")
			}
			closeAll(c, tr)
			v.mu.Lock()
			defer v.mu.Unlock()
			unordered := 0
			for _, k := range v.kinds {
				if k == string(rtc.Unordered) {
					unordered++
				}
			}
			// One more may have been dialled while the first was on trial.
			if unordered < 1 || unordered > 2 || v.kinds[len(v.kinds)-1] != string(rtc.Reliable) {
				t.Errorf("channels %q", v.kinds)
			}
		})
	}
}

func closeAll(c net.Conn, tr *Transport) {
	c.Close()
	tr.Close()
}
