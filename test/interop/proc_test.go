package interop

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
)

// children lists the processes that a process has started.
func children(t *testing.T, pid int) []int {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	var found []int
	for _, e := range entries {
		child, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if _, parent, ok := procState(child); ok && parent == pid {
			found = append(found, child)
		}
	}
	return found
}

// running reports whether a process has not ended. One that nobody has collected has.
func running(pid int) bool {
	state, _, ok := procState(pid)
	return ok && state != "Z"
}

// procState reads state and parent of a process, fields 3 and 4 of /proc/PID/stat, proc(5).
func procState(pid int) (state string, parent int, ok bool) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", 0, false
	}
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	if len(f) < 2 {
		return "", 0, false
	}
	parent, err = strconv.Atoi(f[1])
	return f[0], parent, err == nil
}
