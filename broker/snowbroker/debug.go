package snowbroker

import (
	"fmt"
	"strings"

	"flurry/common/messages"
)

// debugText is the page /debug (wire specification, section 3.6). It counts
// every registered poll, also those whose answer is due.
func debugText(s Stats) string {
	types := make(map[messages.ProxyType]int)
	nats := make(map[messages.NATType]int)
	total := 0
	for _, kinds := range []map[Kind]int{s.Waiting, s.Answering} {
		for k, n := range kinds {
			types[k.Type] += n
			nats[k.NAT] += n
			total += n
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "current snowflakes available: %d\n", total)
	for _, t := range messages.KnownProxyTypes() {
		if n := types[t]; n > 0 {
			fmt.Fprintf(&b, "\t%s proxies: %d\n", t, n)
		}
	}
	fmt.Fprintf(&b, "\tunknown proxies: %d\nNAT Types available:\n\trestricted: %d\n\tunrestricted: %d\n\tunknown: %d",
		types[messages.ProxyUnknown], nats[messages.NATRestricted], nats[messages.NATUnrestricted], nats[messages.NATUnknown])
	return b.String()
}
