package snowproxy

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"flurry/common/carrier/ws"
)

// newSinkServer is a relay that counts what each WebSocket brings until its
// end. Those that bring nothing, as the check at the start, are not told.
func newSinkServer(t *testing.T) (relay string, got chan int) {
	t.Helper()
	got = make(chan int, 10)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := ws.Accept(w, r)
		if err != nil {
			return
		}
		defer c.Close()
		total, buf := 0, make([]byte, pumpBuffer)
		for {
			n, err := c.Recv(buf)
			total += n
			if err != nil {
				break
			}
		}
		if total > 0 {
			got <- total
		}
	}))
	t.Cleanup(srv.Close)
	return "ws" + strings.TrimPrefix(srv.URL, "http") + "/", got
}
