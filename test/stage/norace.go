//go:build !race

package stage

// RaceEnabled reports whether this binary was built with the race detector. [Build] then builds the programs with it too.
const RaceEnabled = false
