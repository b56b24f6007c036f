// Package browsers starts real browsers for tests, and ends them with all their processes. Linux only: that rests on process
// groups and on the parent death signal.
package browsers
