package snowbroker

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"flurry/common/messages"
)

// PollIntervals is how long proxies of each pool are asked to pause between
// polls. Zero leaves it to the proxy.
type PollIntervals struct {
	Unrestricted, Restricted time.Duration
}

// defaultPollInterval is the pause of both pools, and rejectedPollInterval that
// of a proxy we have no bridge for (wire specification, sections 4.5 and 4.4).
const (
	defaultPollInterval  = 20 * time.Second
	rejectedPollInterval = time.Hour
)

// maxPollInterval bounds an interval in a file, so that a slip of some zeros
// does not send every proxy away for good.
const maxPollInterval = 24 * time.Hour

// DefaultPollIntervals are in force without a file.
func DefaultPollIntervals() PollIntervals {
	return PollIntervals{Unrestricted: defaultPollInterval, Restricted: defaultPollInterval}
}

// ReadPollIntervals reads a JSON object with the members
// unrestricted_poll_interval and restricted_poll_interval, whole milliseconds.
// A missing member is zero.
func ReadPollIntervals(r io.Reader) (PollIntervals, error) {
	const maxFile = 64 << 10
	b, err := io.ReadAll(io.LimitReader(r, maxFile))
	if err != nil {
		return PollIntervals{}, fmt.Errorf("poll intervals: %w", err)
	}
	var in struct {
		Unrestricted int64 `json:"unrestricted_poll_interval"`
		Restricted   int64 `json:"restricted_poll_interval"`
	}
	if err := json.Unmarshal(b, &in); err != nil {
		return PollIntervals{}, fmt.Errorf("poll intervals: %w", err)
	}
	const most = int64(maxPollInterval / time.Millisecond)
	if in.Unrestricted < 0 || in.Restricted < 0 || in.Unrestricted > most || in.Restricted > most {
		return PollIntervals{}, errors.New("poll intervals: not between 0 and 86400000 ms")
	}
	return PollIntervals{
		Unrestricted: time.Duration(in.Unrestricted) * time.Millisecond,
		Restricted:   time.Duration(in.Restricted) * time.Millisecond,
	}, nil
}

// of is the interval for a proxy with that NAT.
func (p PollIntervals) of(nat messages.NATType) time.Duration {
	if nat == messages.NATUnrestricted {
		return p.Unrestricted
	}
	return p.Restricted
}
