package multipath

import (
	"testing"
	"time"
)

const ms = time.Millisecond

// free is a path with room.
func free(rtt time.Duration, rate float64) PathInfo {
	return PathInfo{RTT: rtt, Rate: rate, Window: 1 << 20}
}

// full is one without.
func full(rtt time.Duration, rate float64) PathInfo {
	p := free(rtt, rate)
	p.InFlight = p.Window
	return p
}

func paced(p PathInfo, wait time.Duration) PathInfo {
	p.Wait = wait
	return p
}

func doubted(p PathInfo) PathInfo {
	p.Doubt = true
	return p
}

func queued(p PathInfo, bytes int) PathInfo {
	p.Waiting = bytes
	return p
}

func TestEarliest(t *testing.T) {
	const size, mb = 1000, 1e6
	for name, c := range map[string]struct {
		paths []PathInfo
		want  int
	}{
		"no path":                   {nil, -1},
		"one":                       {[]PathInfo{free(50*ms, mb)}, 0},
		"one without room":          {[]PathInfo{full(50*ms, mb)}, -1},
		"one whose pace says wait":  {[]PathInfo{paced(free(50*ms, mb), ms)}, -1},
		"one whose carrier is full": {[]PathInfo{queued(free(50*ms, mb), pathQueue)}, -1},
		"one in doubt":              {[]PathInfo{doubted(free(50*ms, mb))}, 0},
		"the shorter way":           {[]PathInfo{free(80*ms, mb), free(20*ms, mb)}, 1},
		"the shorter way is full":   {[]PathInfo{free(80*ms, mb), full(20*ms, mb)}, 0},
		"the shorter way is paced":  {[]PathInfo{free(80*ms, mb), paced(free(20*ms, mb), ms)}, 0},
		"its carrier is full":       {[]PathInfo{free(80*ms, mb), queued(free(20*ms, mb), pathQueue)}, 0},
		"a much longer way waits":   {[]PathInfo{free(600*ms, mb), full(20*ms, mb)}, -1},
		"but not alone":             {[]PathInfo{free(600*ms, mb)}, 0},
		"nor beside one in doubt":   {[]PathInfo{free(600*ms, mb), doubted(free(20*ms, mb))}, 0},
		"nor when the short one is slower still": {
			[]PathInfo{free(600*ms, mb), paced(full(20*ms, mb), 400*ms)}, 0},
		"the known one before the new":       {[]PathInfo{free(0, 0), free(200*ms, mb)}, 1},
		"the new one when the known is full": {[]PathInfo{free(0, 0), full(200*ms, mb)}, 0},
		"all new":                            {[]PathInfo{free(0, 0), free(0, 0)}, 0},
		"all in doubt: the best of them":     {[]PathInfo{doubted(free(90*ms, mb)), doubted(free(30*ms, mb))}, 1},
		"one in doubt and one full":          {[]PathInfo{doubted(free(20*ms, mb)), full(20*ms, mb)}, -1},
	} {
		if got := (Earliest{}).Pick(size, c.paths); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

// A window that is exceeded by bytes takes the time of those bytes.
func TestDelay(t *testing.T) {
	p := PathInfo{RTT: 100 * ms, Rate: 1e6, Window: 100_000, InFlight: 99_000}
	if d := p.delay(1000); d != 0 {
		t.Errorf("room for all, and a delay of %v", d)
	}
	if d := p.delay(11_000); d != 10*ms {
		t.Errorf("10 kB too much at 1 MB/s: %v", d)
	}
	p.Rate = 0
	if d := p.delay(11_000); d != 25*ms {
		t.Errorf("unknown rate: %v, want a quarter of the round trip", d)
	}
	p.Wait = time.Second
	if d := p.delay(11_000); d != time.Second {
		t.Errorf("pace: %v", d)
	}
}
