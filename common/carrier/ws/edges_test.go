package ws

import (
	"bytes"
	"context"
	"net/http/httptest"
	"testing"
)

// A WebSocket's messages come whole where the receiver has room, whatever their
// number and size: the proxy promises so to clients, and the server builds on it
// (package turbotunnel). Traits do not promise it, because no byte stream does.
func TestMessagesComeWhole(t *testing.T) {
	a, b := pair(t, httptest.NewServer)
	defer a.Close()
	defer b.Close()
	sizes := []int{1, 19, 1142, 2048, 3, 4096, 16384, 65535, 2, 125, 126, 127}
	const rounds = 50
	go func() {
		for i := range rounds {
			for _, n := range sizes {
				if err := a.Send(context.Background(), bytes.Repeat([]byte{byte(i), byte(n)}, n)[:n]); err != nil {
					t.Error(err)
					return
				}
			}
		}
	}()
	buf := make([]byte, 65536)
	for i := range rounds {
		for _, want := range sizes {
			n, err := b.Recv(buf)
			if err != nil || n != want || !bytes.Equal(buf[:n], bytes.Repeat([]byte{byte(i), byte(want)}, want)[:want]) {
				t.Fatalf("round %d: a message of %d bytes came as %d, %v", i, want, n, err)
			}
		}
	}
}
