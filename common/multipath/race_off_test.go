//go:build !race

package multipath

// raceEnabled says that the race detector is on.
const raceEnabled = false
