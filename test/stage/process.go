package stage

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A Role is one of the four parts.
type Role string

// The four parts.
const (
	RoleClient Role = "client"
	RoleBroker Role = "broker"
	RoleProxy  Role = "proxy"
	RoleServer Role = "server"
)

// graceful bounds how long a program may take to end after it was asked to.
const graceful = 15 * time.Second

// keptLines bounds the standard output that a Process keeps in memory for WaitLine. The protocol lines at the start of a
// managed transport are fewer than ten.
const keptLines = 10_000

// A Process is one running program. All methods may be called at any time by any goroutine.
type Process struct {
	// fixed after start
	name     string
	role     Role
	cmd      *exec.Cmd
	stdin    io.WriteCloser
	logFiles []string      // where the program writes what it does, the most telling last
	done     chan struct{} // closed when the process has ended and its output is read

	// guarded by mu
	mu      sync.Mutex
	lines   []string
	changed chan struct{} // closed and replaced at each new line
	asked   bool          // somebody wants it to end
	waitErr error         // of cmd.Wait, set before done is closed
}

// Usage is what a process has taken from the machine. Off Linux it is not known.
type Usage struct {
	FDs           int // open file descriptors
	RSS, PeakRSS  int64
	CPU           time.Duration
	Read, Written int64 // bytes through read(2) and write(2): a Go program's TCP counts, its UDP does not
}

// startProcess starts argv with its output in dir. fork runs its argument where children may be started, see forker.
func startProcess(fork func(func() error) error, dir, name string, role Role, argv, env []string) (*Process, error) {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = dir
	cmd.SysProcAttr = childAttr()
	// Nothing of the caller's environment but what a program needs to run: no proxy settings, no locale.
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "TMPDIR=" + os.TempDir(), "SYSTEMROOT=" + os.Getenv("SYSTEMROOT"),
		"GOTRACEBACK=all", "GOCOVERDIR=" + os.Getenv("GOCOVERDIR")}, env...)
	errPath, outPath := filepath.Join(dir, name+".stderr"), filepath.Join(dir, name+".stdout")
	errFile, err := os.Create(errPath)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	defer errFile.Close()
	outFile, err := os.Create(outPath)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	cmd.Stderr = errFile
	in, err := cmd.StdinPipe()
	if err != nil {
		outFile.Close()
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		outFile.Close()
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	if err := fork(cmd.Start); err != nil {
		outFile.Close()
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	p := &Process{name: name, role: role, cmd: cmd, stdin: in, logFiles: []string{outPath, errPath}, done: make(chan struct{}), changed: make(chan struct{})}
	go p.follow(out, outFile)
	return p, nil
}

// follow keeps the process's standard output until it ends, then collects its status.
func (p *Process) follow(out io.Reader, file *os.File) {
	r := bufio.NewReader(io.TeeReader(out, file))
	for {
		line, err := r.ReadString('\n')
		if line = strings.TrimRight(line, "\r\n"); line != "" {
			p.mu.Lock()
			if len(p.lines) < keptLines {
				p.lines = append(p.lines, line)
			}
			close(p.changed)
			p.changed = make(chan struct{})
			p.mu.Unlock()
		}
		if err != nil {
			break
		}
	}
	err := p.cmd.Wait()
	file.Close()
	p.mu.Lock()
	p.waitErr = err
	p.mu.Unlock()
	close(p.done)
}

// Name is the name of the process on this stage, such as "proxy-2".
func (p *Process) Name() string { return p.name }

// Role is the part the process plays.
func (p *Process) Role() Role { return p.role }

// Pid is the process number.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Alive reports whether the process still runs.
func (p *Process) Alive() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// WaitLine waits for a line of standard output that starts with prefix, past or future, and returns it. A line that holds
// "-ERROR" (how a managed transport reports a failure) and the end of the process are errors.
func (p *Process) WaitLine(ctx context.Context, prefix string) (string, error) {
	for next := 0; ; {
		p.mu.Lock()
		lines, changed := p.lines[next:], p.changed
		next = len(p.lines)
		p.mu.Unlock()
		for _, line := range lines {
			if strings.HasPrefix(line, prefix) {
				return line, nil
			}
			if word, _, _ := strings.Cut(line, " "); strings.HasSuffix(word, "-ERROR") {
				return "", fmt.Errorf("%s says: %s", p.name, line)
			}
		}
		select {
		case <-changed:
		case <-p.done:
			p.mu.Lock()
			more := len(p.lines) > next
			p.mu.Unlock()
			if !more {
				return "", fmt.Errorf("%s ended (%v) before it said %q\n%s", p.name, p.ExitError(), prefix, p.Tail(10))
			}
		case <-ctx.Done():
			return "", fmt.Errorf("wait for %s to say %q: %w\n%s", p.name, prefix, ctx.Err(), p.Tail(10))
		}
	}
}

// ExitError says how the process ended: nil for exit code 0 and while it runs.
func (p *Process) ExitError() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.waitErr
}

// Kill ends the process at once, as a crash or a power cut would, and waits until it is gone.
func (p *Process) Kill() {
	p.ask()
	p.cmd.Process.Kill() //nolint:errcheck // It fails only if the process has ended already.
	p.stdin.Close()
	<-p.done
}

// Stop ends the process as its user would: a managed transport by closing its standard input, the others by SIGTERM. It
// returns an error, with the end of the log, unless the process ends with exit code 0 within a bounded time; the process
// is gone in any case.
func (p *Process) Stop() error {
	if !p.Alive() && p.wasAsked() {
		return nil
	}
	p.ask()
	p.stdin.Close()
	if p.role == RoleBroker || p.role == RoleProxy {
		if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
			p.Kill() // A system without SIGTERM.
			return nil
		}
	}
	timer := time.NewTimer(graceful)
	defer timer.Stop()
	select {
	case <-p.done:
	case <-timer.C:
		p.Kill()
		return fmt.Errorf("%s did not end within %v of being asked to\n%s", p.name, graceful, p.Tail(15))
	}
	if err := p.ExitError(); err != nil {
		return fmt.Errorf("%s ended with %w\n%s", p.name, err, p.Tail(15))
	}
	return nil
}

// Signal sends sig to the process.
func (p *Process) Signal(sig os.Signal) error {
	if err := p.cmd.Process.Signal(sig); err != nil {
		return fmt.Errorf("signal %s: %w", p.name, err)
	}
	return nil
}

// Dump ends the process with SIGQUIT, which makes the Go runtime print every goroutine, and returns their stacks, without
// those of the runtime itself.
func (p *Process) Dump(ctx context.Context) ([]string, error) {
	p.ask()
	if err := p.Signal(syscall.SIGQUIT); err != nil {
		return nil, err
	}
	select {
	case <-p.done:
	case <-ctx.Done():
		return nil, fmt.Errorf("dump %s: %w", p.name, ctx.Err())
	}
	b, err := os.ReadFile(p.errFile())
	if err != nil {
		return nil, fmt.Errorf("dump %s: %w", p.name, err)
	}
	_, dump, _ := bytes.Cut(b, []byte("SIGQUIT: quit"))
	var stacks []string
	for _, s := range strings.Split(string(dump), "\n\n") {
		if s = strings.TrimLeft(s, "\n"); strings.HasPrefix(s, "goroutine ") && !strings.HasPrefix(s, "goroutine 0 ") && !strings.Contains(s, "created by runtime.") {
			stacks = append(stacks, s)
		}
	}
	if len(stacks) == 0 {
		return nil, fmt.Errorf("dump %s: no goroutines on its standard error", p.name)
	}
	return stacks, nil
}

// Usage reports what the process takes now. Off Linux the error is errors.ErrUnsupported.
func (p *Process) Usage() (Usage, error) { return usageOf(p.Pid()) }

// Tail returns the last n lines of each log of the process, for people.
func (p *Process) Tail(n int) string {
	var b strings.Builder
	for _, path := range p.logFiles {
		text, err := os.ReadFile(path)
		if err != nil || len(text) == 0 {
			continue
		}
		text, _, _ = bytes.Cut(text, []byte("SIGQUIT: quit")) // What Dump asked for is not for people.
		lines := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
		fmt.Fprintf(&b, "--- end of %s\n", filepath.Base(path))
		for _, line := range lines[max(0, len(lines)-n):] {
			fmt.Fprintf(&b, "    %.300s\n", line)
		}
	}
	return b.String()
}

// Log returns all the process has written: standard output, standard error, log file.
func (p *Process) Log() string {
	var b strings.Builder
	for _, path := range p.logFiles {
		text, _ := os.ReadFile(path) // A log file that was never opened is an empty one.
		b.Write(text)
	}
	return b.String()
}

// crash returns what a fault of the program's own has left on its standard error: a panic, or a report of the race detector.
func (p *Process) crash() string {
	b, _ := os.ReadFile(p.errFile())
	for _, mark := range []string{"WARNING: DATA RACE", "panic: ", "fatal error: "} {
		if i := bytes.Index(b, []byte(mark)); i >= 0 && (i == 0 || b[i-1] == '\n') {
			return string(b[i:min(len(b), i+3000)])
		}
	}
	return ""
}

func (p *Process) errFile() string { return p.logFiles[1] }

func (p *Process) ask() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = true
}

func (p *Process) wasAsked() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked
}
