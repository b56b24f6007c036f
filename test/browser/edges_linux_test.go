package browser

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	"flurry/common/carrier/rtc"
	"flurry/common/carrier/ws"
	"flurry/common/messages"
)

const (
	// edgeMessages are sent each way. The sizes are drawn evenly from those that an unordered channel takes.
	edgeMessages = 2000
	smallest     = sealSize + 4
	largest      = 2048
	sealSize     = 8
)

// TestEdges sends numbered messages of all sizes through a volunteer in a browser, over an unordered channel, to a relay
// that sends each back. Every one must come back whole and once: nothing is cut, joined, lost or doubled on either way.
func TestEdges(t *testing.T) {
	for _, b := range allBrowsers() {
		t.Run(b.Name, func(t *testing.T) {
			b.find(t)
			m := &matcher{offers: make(chan string), answers: make(chan string)}
			mux := http.NewServeMux()
			mux.HandleFunc("POST /broker/proxy", m.poll)
			mux.HandleFunc("POST /broker/answer", m.answer)
			mux.HandleFunc("GET /relay", echo(t))
			p := newPage(t, mux)
			m.relay = "ws" + strings.TrimPrefix(p.srv.URL, "http") + "/relay"
			ctx := p.open(t, b, p.address(p.srv.URL+"/broker/"))

			endpoint, err := rtc.New(rtc.Config{KeepLocalAddresses: true})
			if err != nil {
				t.Fatal(err)
			}
			c, err := endpoint.DialKind(ctx, "", m.exchange, func(string) rtc.Kind { return rtc.Unordered })
			if err != nil {
				t.Fatal(err)
			}
			stop := context.AfterFunc(ctx, func() { c.Close() })
			defer stop()
			defer c.Close()
			sent := make(chan error, 1)
			go func() { sent <- sendAll(ctx, c) }()
			if err := receiveAll(c); err != nil {
				t.Error(err)
			}
			c.Close()
			if err := <-sent; err != nil {
				t.Error(err)
			}
		})
	}
}

// sendAll sends messages that hold their number and a checksum.
func sendAll(ctx context.Context, c *rtc.Conn) error {
	random := rand.NewChaCha8([32]byte{1})
	sizes := rand.New(random)
	buf := make([]byte, largest)
	for i := range edgeMessages {
		msg := buf[:smallest+sizes.IntN(largest-smallest+1)]
		random.Read(msg) //nolint:errcheck // It never fails.
		binary.BigEndian.PutUint32(msg[sealSize:], uint32(i))
		copy(msg, seal(msg))
		if err := c.Send(ctx, msg); err != nil {
			return fmt.Errorf("send message %d: %w", i, err)
		}
	}
	return nil
}

// receiveAll waits until each message has come, and takes no other.
func receiveAll(c *rtc.Conn) error {
	seen := make([]bool, edgeMessages)
	buf := make([]byte, 1<<16)
	for n := range edgeMessages {
		size, err := c.Recv(buf)
		if err != nil {
			return fmt.Errorf("after %d messages: %w", n, err)
		}
		msg := buf[:size]
		if size < smallest || string(msg[:sealSize]) != string(seal(msg)) {
			return fmt.Errorf("after %d messages: %d bytes are not one message", n, size)
		}
		i := binary.BigEndian.Uint32(msg[sealSize:])
		if i >= edgeMessages || seen[i] {
			return fmt.Errorf("after %d messages: message %d again", n, i)
		}
		seen[i] = true
	}
	return nil
}

// seal is the checksum of a message behind the place for it, and so of its length.
func seal(msg []byte) []byte {
	sum := sha256.Sum256(msg[sealSize:])
	return sum[:sealSize]
}

// echo is a relay that sends each message back.
func echo(t *testing.T) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("client_ip") == "" {
			t.Error("no client_ip")
		}
		c, err := ws.Accept(w, r)
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		buf := make([]byte, 1<<16)
		for {
			n, err := c.Recv(buf)
			if err != nil || c.Send(context.Background(), buf[:n]) != nil {
				return
			}
		}
	}
}

// A matcher is the least broker that a volunteer can work with: it has one client.
type matcher struct {
	relay   string
	offers  chan string
	answers chan string
}

// exchange is the client's side.
func (m *matcher) exchange(ctx context.Context, offer string) (string, error) {
	select {
	case m.offers <- offer:
	case <-ctx.Done():
		return "", fmt.Errorf("no volunteer: %w", ctx.Err())
	}
	select {
	case answer := <-m.answers:
		return answer, nil
	case <-ctx.Done():
		return "", fmt.Errorf("no answer: %w", ctx.Err())
	}
}

func (m *matcher) poll(w http.ResponseWriter, r *http.Request) {
	// Only after the body does the server notice that the browser has gone.
	if _, err := io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, 100_000)); err != nil {
		return
	}
	select {
	case offer := <-m.offers:
		writeJSON(w, map[string]string{"Status": "client match", "Offer": offer, "NAT": "unknown", "RelayURL": m.relay})
	case <-r.Context().Done():
	}
}

func (m *matcher) answer(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 100_000))
	if err != nil {
		return
	}
	request, err := messages.DecodeProxyAnswerRequest(body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	select {
	case m.answers <- request.Answer:
		writeJSON(w, map[string]string{"Status": "success"})
	case <-r.Context().Done():
	}
}

func writeJSON(w http.ResponseWriter, v any) {
	json.NewEncoder(w).Encode(v) //nolint:errcheck,errchkjson // Strings; and a browser that has gone shows elsewhere.
}
