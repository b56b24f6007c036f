// Package simulated tests the whole as package system does, but with the four
// libraries in one process, on a network made of shaped lines (package simnet),
// and in the time of a testing/synctest bubble: two minutes of a session take as
// long as the processor needs, and what is asserted about time and rates does
// not depend on how busy the machine is.
//
//	application                                                     peer
//	     │                                                            │
//	snowclient ══ client's line ══ home's line ══ snowproxy ═ TCP ═ snowserver
//	     ╰─ HTTP ─ snowbroker ─ HTTP ──────────────────╯
//
// The hop between client and volunteer is a carrier in memory over the same
// lines (carriertest.ShapedPair), a lossy one as with our proxies and browsers,
// or an ordered one as with deployed proxies; or pion's WebRTC over simulated
// UDP, which costs several times the processor time. A test asks for what it is
// about. Volunteers vanish without a word, as they do: what else there is, the
// tests of package system have.
//
// Times are the bubble's wherever a test speaks of them.
package simulated

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
