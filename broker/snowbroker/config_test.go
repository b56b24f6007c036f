package snowbroker

import (
	"strings"
	"testing"
	"time"
)

func TestReadPollIntervals(t *testing.T) {
	for _, c := range []struct {
		file string
		want PollIntervals
		ok   bool
	}{
		{`{"unrestricted_poll_interval": 1500, "restricted_poll_interval": 60000}`, PollIntervals{1500 * time.Millisecond, time.Minute}, true},
		{`{"restricted_poll_interval": 1}`, PollIntervals{0, time.Millisecond}, true},
		{`{}`, PollIntervals{}, true},
		{`{"restricted_poll_interval": -1}`, PollIntervals{}, false},
		{`{"restricted_poll_interval": 86400001}`, PollIntervals{}, false},
		{`{"restricted_poll_interval": 1.5}`, PollIntervals{}, false},
		{`{"restricted_poll_interval": "1"}`, PollIntervals{}, false},
		{``, PollIntervals{}, false},
		{`{} {}`, PollIntervals{}, false},
	} {
		got, err := ReadPollIntervals(strings.NewReader(c.file))
		if (err == nil) != c.ok || got != c.want {
			t.Errorf("%s: got %v, %v", c.file, got, err)
		}
	}
}

func TestConfigValidate(t *testing.T) {
	if _, err := New(Config{PollIntervals: &PollIntervals{Restricted: -1}}); err == nil {
		t.Error("a negative poll interval was accepted")
	}
	if _, err := New(Config{}); err != nil {
		t.Error(err)
	}
}

func TestLongBridgeLine(t *testing.T) {
	line := `{"displayName":"` + strings.Repeat("x", maxBridgeLine) + `"}`
	if _, err := ReadBridges(strings.NewReader(line)); err == nil {
		t.Error("a line over the limit was accepted")
	}
}
