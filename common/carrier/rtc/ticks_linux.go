package rtc

import (
	"time"

	"golang.org/x/sys/unix"
)

// sinceStart is how long ago the system was started.
func sinceStart() time.Duration {
	var now unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) != nil {
		return 0
	}
	return time.Duration(now.Nano())
}
