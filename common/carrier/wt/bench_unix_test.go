//go:build unix

package wt

import (
	"fmt"
	"testing"

	"flurry/common/carrier/carriertest"
)

// batchBytes is what a path gives its carrier at once (package multipath).
const batchBytes = 16 << 10

// BenchmarkSend counts the processor time of both ends together, as the benchmark
// of package ws does.
func BenchmarkSend(b *testing.B) {
	for _, size := range []int{1140, 16384} {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			client, server := pair(b)
			for name, way := range map[string]struct{ from, to *Conn }{"up": {client, server}, "down": {server, client}} {
				b.Run(name, func(b *testing.B) { carriertest.BenchmarkSend(b, way.from, way.to, size, 1) })
				b.Run(name+" in batches", func(b *testing.B) { carriertest.BenchmarkSend(b, way.from, way.to, size, batchBytes/size) })
			}
		})
	}
}
