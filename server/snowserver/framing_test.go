package snowserver

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"flurry/common/carrier"
	"flurry/common/carrier/ws"
	"flurry/common/encapsulation"
	"flurry/common/turbotunnel"
)

// lossyWS is a proxy and an unordered channel behind it: a carrier on which each
// message stands for itself, every tenth of which gets lost, both ways.
type lossyWS struct {
	*ws.Conn
	sent, received int
	packets        int // of all messages that came down
}

func (l *lossyWS) Traits() carrier.Traits {
	return carrier.Traits{Kind: "rtc-unordered", Lossy: true, MaxMessage: 2048, Fit: 1156}
}

func (l *lossyWS) Send(ctx context.Context, msg []byte) error {
	if l.sent++; l.sent%10 == 2 {
		return nil
	}
	return l.Conn.Send(ctx, msg)
}

func (l *lossyWS) SendBatch(ctx context.Context, msgs [][]byte) error {
	for _, m := range msgs {
		if err := l.Send(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

func (l *lossyWS) Recv(buf []byte) (int, error) {
	for {
		n, err := l.Conn.Recv(buf)
		if err != nil {
			return n, err
		}
		for rest := buf[:n]; len(rest) > 0; l.packets++ {
			if _, rest, _, err = encapsulation.Cut(rest); err != nil {
				return 0, fmt.Errorf("a message of %d bytes is not whole: %w", n, err)
			}
		}
		if l.received++; l.received%10 != 2 {
			return n, nil
		}
	}
}

// A client that frames by message is answered by message, one packet each, and
// does not mind what gets lost on the way.
func TestFramingByMessage(t *testing.T) {
	l := newTestListener(t, Config{})
	c := newTestClient(t, turbotunnel.NewClientID())
	lossy := &lossyWS{Conn: dialWS(t, l, "/", ws.DialOptions{})}
	path := c.use(t, lossy)
	near := c.open(t, "ping")
	far, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	expect(t, far, "ping")
	big := strings.Repeat("pong", 50_000)
	var writing sync.WaitGroup
	writing.Go(func() { io.WriteString(far, big) })
	expect(t, near, big)
	writing.Wait()
	if kind := path.Info().Kind; kind != "rtc-unordered" {
		t.Errorf("the path is of the kind %q", kind)
	}
	path.Close()
	if lossy.received < 100 || lossy.packets != lossy.received {
		t.Errorf("%d packets in %d messages", lossy.packets, lossy.received)
	}
}
