// Package version names the build: what a program prints for -version, tells
// its PT parent in the STATUS line, and an operator quotes in a bug report.
package version

import "runtime/debug"

// Version is the release this source tree is, or is on the way to.
const Version = "0.1.0"

// revisionDigits is how much of a commit name is shown; twelve hexadecimal
// digits are what Go's own pseudo-versions use.
const revisionDigits = 12

// String returns Version and, when the program was built inside a repository,
// the commit: "0.1.0+git.8bd787012345", with ".dirty" behind it if the tree
// had changes that were not committed.
func String() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return Version
	}
	return withRevision(info.Settings)
}

// withRevision appends the commit found among the build settings to Version.
func withRevision(settings []debug.BuildSetting) string {
	var revision, dirty string
	for _, s := range settings {
		switch s.Key {
		case "vcs.revision":
			revision = s.Value
		case "vcs.modified":
			if s.Value == "true" {
				dirty = ".dirty"
			}
		}
	}
	if revision == "" {
		return Version
	}
	if len(revision) > revisionDigits {
		revision = revision[:revisionDigits]
	}
	return Version + "+git." + revision + dirty
}
