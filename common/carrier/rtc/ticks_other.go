//go:build !linux

package rtc

import (
	"math/rand/v2"
	"time"
)

// sinceStart is how long ago the system was started, of which only the fraction
// of a second counts: nobody knows it, and any will do.
func sinceStart() time.Duration { return rand.N(time.Second) }
