package browsers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// Begin starts a program from a thread that lives as long as the program: at the end of that thread the kernel sends Pdeathsig, and
// threads end that were in a host's namespace. The channel gets what Wait returns.
func Begin(cmd *exec.Cmd) (ended <-chan error, err error) {
	started, waited := make(chan error), make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			waited <- cmd.Wait()
		}
	}()
	return waited, <-started
}

// A Group is a running browser: a process group. Its methods may be called by any goroutine.
type Group struct {
	cmd    *exec.Cmd
	cancel context.CancelFunc
	said   said
	ended  chan struct{}
	err    error // of Wait, set before ended is closed
}

// Start runs a browser, or another program, which writes in dir only. Of the caller's environment it gets the way to programs.
func Start(dir string, argv ...string) (*Group, error) {
	ctx, cancel := context.WithCancel(context.Background())
	g := &Group{cmd: exec.CommandContext(ctx, argv[0], argv[1:]...), cancel: cancel, ended: make(chan struct{})}
	g.cmd.Stdout, g.cmd.Stderr = &g.said, &g.said
	g.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "TMPDIR=" + dir, "XDG_RUNTIME_DIR=" + dir,
		"MOZ_CRASHREPORTER_DISABLE=1"}
	// All its processes are one group. The kernel ends the first if this one dies without a word, and the others follow.
	g.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	g.cmd.Cancel = func() error { return syscall.Kill(-g.cmd.Process.Pid, syscall.SIGKILL) }
	g.cmd.WaitDelay = 10 * time.Second // For the last of the group to close its standard error.
	ended, err := Begin(g.cmd)
	if err != nil {
		cancel()
		return nil, fmt.Errorf("start a browser: %w", err)
	}
	go func() {
		defer close(g.ended)
		g.err = <-ended
	}()
	return g, nil
}

// Ended is closed when the browser has ended.
func (g *Group) Ended() <-chan struct{} { return g.ended }

// End kills every process of the browser and waits until they are gone. The error is that it had ended before, or that
// something of it is left.
func (g *Group) End() error {
	select {
	case <-g.ended:
		g.cancel()
		return fmt.Errorf("the browser ended by itself: %w", errors.Join(g.err, errors.New(g.Said())))
	default:
	}
	g.cancel()
	<-g.ended
	return g.left()
}

// Wait waits until the browser has ended, as it was asked to. If it does not until ctx ends, it is killed. The error is that, or
// that something of it is left.
func (g *Group) Wait(ctx context.Context) error {
	select {
	case <-g.ended:
		g.cancel()
		return g.left()
	case <-ctx.Done():
		return errors.Join(fmt.Errorf("the browser does not end: %w", context.Cause(ctx)), g.End())
	}
}

func (g *Group) left() error {
	if errors.Is(g.err, exec.ErrWaitDelay) {
		return errors.New("processes of the browser are left")
	}
	return nil
}

// Said is the beginning of what the browser wrote on its standard output and error.
func (g *Group) Said() string { return g.said.String() }

// maxSaid bounds what is kept of a browser's complaints, in bytes.
const maxSaid = 4000

type said struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.buf.Write(p[:min(len(p), maxSaid-s.buf.Len())])
	return len(p), nil
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.String()
}

// clockTicks is the unit of the times in /proc/PID/stat: USER_HZ, 100 on every Linux architecture that Go supports.
const clockTicks = 100

// Fields of /proc/PID/stat after the name in parentheses, numbered from 0: proc(5), fields 5, 14 and 15.
const (
	statGroup  = 2
	statUser   = 11
	statSystem = 12
)

// A Usage is what the browser's processes take together.
type Usage struct {
	CPU time.Duration // of those that run now, since their start
	PSS int64         // memory in bytes, shared pages divided among their users
}

// Usage adds up the browser's processes.
func (g *Group) Usage() (Usage, error) {
	var u Usage
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return u, err
	}
	for _, path := range stats {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // It has ended.
		}
		f := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
		if len(f) <= statSystem || string(f[statGroup]) != strconv.Itoa(g.cmd.Process.Pid) {
			continue
		}
		for _, i := range []int{statUser, statSystem} {
			ticks, err := strconv.ParseInt(string(f[i]), 10, 64)
			if err != nil {
				return u, fmt.Errorf("%s: %w", path, err)
			}
			u.CPU += time.Duration(ticks) * time.Second / clockTicks
		}
		u.PSS += pss(filepath.Join(filepath.Dir(path), "smaps_rollup"))
	}
	return u, nil
}

// pss reads the Pss line of a process's smaps_rollup, in kB, proc(5). A process that has just ended has none.
func pss(path string) int64 {
	b, _ := os.ReadFile(path)
	for line := range bytes.Lines(b) {
		if f := bytes.Fields(line); len(f) == 3 && string(f[0]) == "Pss:" {
			kb, _ := strconv.ParseInt(string(f[1]), 10, 64)
			return kb << 10
		}
	}
	return 0
}
