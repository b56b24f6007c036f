//go:build unix

package ws

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"flurry/common/carrier"
	"flurry/common/carrier/carriertest"
)

// BenchmarkSend counts the processor time of both ends together.
func BenchmarkSend(b *testing.B) {
	for _, kind := range []struct {
		name      string
		newServer func(http.Handler) *httptest.Server
	}{{"TCP", httptest.NewServer}, {"TLS", httptest.NewTLSServer}} {
		for _, size := range []int{1140, 16384} {
			b.Run(fmt.Sprintf("%s/%dB", kind.name, size), func(b *testing.B) {
				client, server := pair(b, kind.newServer)
				for name, way := range map[string]struct{ from, to carrier.Conn }{"up": {client, server}, "down": {server, client}} {
					b.Run(name, func(b *testing.B) { carriertest.BenchmarkSend(b, way.from, way.to, size, 1) })
				}
				client.Close()
				server.Close()
			})
		}
	}
}
