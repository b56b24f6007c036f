package version

import (
	"runtime/debug"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestString(t *testing.T) {
	if !strings.HasPrefix(String(), Version) {
		t.Errorf("got %q", String())
	}
}

func TestWithRevision(t *testing.T) {
	const commit = "0123456789abcdef0123"
	for _, c := range []struct {
		settings []debug.BuildSetting
		want     string
	}{
		{nil, Version},
		{[]debug.BuildSetting{{Key: "vcs.modified", Value: "true"}}, Version},
		{[]debug.BuildSetting{{Key: "vcs.revision", Value: "abc"}}, Version + "+git.abc"},
		{[]debug.BuildSetting{
			{Key: "vcs.revision", Value: commit}, {Key: "vcs.modified", Value: "true"},
		}, Version + "+git.0123456789ab.dirty"},
		{[]debug.BuildSetting{
			{Key: "vcs.modified", Value: "false"}, {Key: "vcs.revision", Value: commit},
		}, Version + "+git.0123456789ab"},
	} {
		if got := withRevision(c.settings); got != c.want {
			t.Errorf("%v: got %q, want %q", c.settings, got, c.want)
		}
	}
}
