package stage

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// childAttr makes the kernel end a child whose parent dies without a word, and keeps the terminal's Ctrl-C away from it, so
// that the parent decides the order of the end.
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}

// clockTicks is the unit of the times in /proc/PID/stat: USER_HZ, 100 on every Linux architecture that Go supports.
const clockTicks = 100

func usageOf(pid int) (Usage, error) {
	var u Usage
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	fds, err := os.ReadDir(filepath.Join(dir, "fd"))
	if err != nil {
		return u, fmt.Errorf("usage of process %d: %w", pid, err)
	}
	u.FDs = len(fds)
	stat, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return u, fmt.Errorf("usage of process %d: %w", pid, err)
	}
	// After the name in parentheses: field 0 is the state, 11 and 12 are user and system time (proc(5), fields 14 and 15).
	if f := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:])); len(f) > 12 {
		user, _ := strconv.ParseInt(f[11], 10, 64)
		system, _ := strconv.ParseInt(f[12], 10, 64)
		u.CPU = time.Duration(user+system) * time.Second / clockTicks
	}
	status, err := keyed(filepath.Join(dir, "status"))
	if err != nil {
		return u, fmt.Errorf("usage of process %d: %w", pid, err)
	}
	u.RSS, u.PeakRSS = status["VmRSS"]<<10, status["VmHWM"]<<10
	io, err := keyed(filepath.Join(dir, "io"))
	if err != nil {
		return u, fmt.Errorf("usage of process %d: %w", pid, err)
	}
	u.Read, u.Written = io["rchar"], io["wchar"]
	return u, nil
}

// keyed reads the numbers of a file of "name: number ..." lines.
func keyed(path string) (map[string]int64, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	m := map[string]int64{}
	for line := range strings.Lines(string(b)) {
		name, rest, _ := strings.Cut(line, ":")
		if f := strings.Fields(rest); len(f) > 0 {
			if n, err := strconv.ParseInt(f[0], 10, 64); err == nil {
				m[name] = n
			}
		}
	}
	return m, nil
}
