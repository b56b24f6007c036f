package multipath

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// kcp-go, the peer in interop_test.go, starts its schedulers when it is
	// loaded, and never ends them.
	const kcp = "github.com/xtaci/kcp-go/v5.(*TimedSched)."
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction(kcp+"sched"), goleak.IgnoreAnyFunction(kcp+"prepend"))
}
