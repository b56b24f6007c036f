package interop

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// startLimit bounds how long another project's program may take to be ready, on a busy machine.
const startLimit = 60 * time.Second

// pollEvery is how often a test looks at something that cannot tell it of changes: another process.
const pollEvery = 100 * time.Millisecond

// A lab runs programs for one test. They end with the test, whatever becomes of it.
type lab struct {
	t    *testing.T
	dir  string
	fork chan func() // runs functions on one thread, to which the parent death signal of children is tied
}

func newLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{t: t, dir: t.TempDir(), fork: make(chan func())}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		for f := range l.fork {
			f()
		}
	}()
	t.Cleanup(func() {
		close(l.fork)
		<-done
	})
	return l
}

// A program is one running process of a lab.
type program struct {
	name string
	cmd  *exec.Cmd
	log  string        // file with its output
	done chan struct{} // closed when it has ended
}

// start runs a program until the test ends or it is killed. Its output goes to a file that is shown if the test fails.
func (l *lab) start(name string, env []string, argv ...string) *program {
	l.t.Helper()
	p := &program{name: name, log: filepath.Join(l.dir, name+".output"), done: make(chan struct{})}
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		l.t.Fatal(err)
	}
	defer out.Close()
	p.cmd = exec.Command(argv[0], argv[1:]...)
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = l.dir, out, out
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + l.dir}, env...)
	p.cmd.SysProcAttr = childAttr()
	started := make(chan error, 1)
	l.fork <- func() { started <- p.cmd.Start() }
	if err := <-started; err != nil {
		l.t.Fatalf("start %s: %v", name, err)
	}
	go func() {
		defer close(p.done)
		p.cmd.Wait() //nolint:errcheck // Killed ones have a status that says so.
	}()
	l.t.Cleanup(func() {
		p.kill()
		if l.t.Failed() {
			l.t.Logf("end of the output of %s:\n%s", p.name, tail(p.log, 25))
		}
	})
	return p
}

// run runs a program to its end and returns what it wrote on standard output.
func (l *lab) run(dir, stdin string, argv ...string) string {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), startLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir, cmd.Stdin = dir, strings.NewReader(stdin)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		l.t.Fatalf("%s: %v\n%s%s", strings.Join(argv, " "), err, out, errs.String())
	}
	return string(out)
}

// kill ends the program at once and waits until it is gone.
func (p *program) kill() {
	p.cmd.Process.Kill() //nolint:errcheck // It fails only if the process has ended already.
	<-p.done
}

// signal asks the program to end, and waits until it has.
func (p *program) signal(t *testing.T, sig os.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		t.Fatalf("signal %s: %v", p.name, err)
	}
	select {
	case <-p.done:
	case <-time.After(startLimit):
		t.Fatalf("%s did not end on %v", p.name, sig)
	}
}

// alive reports whether the program still runs.
func (p *program) alive() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// tail returns the last n lines of a file, for people.
func tail(path string, n int) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimRight(string(b), "\n"), "\n")
	// A tor in so small a network complains all the time that it cannot choose among many, and reports our questions.
	lines = slices.DeleteFunc(lines, func(s string) bool {
		return strings.Contains(s, "No available nodes when trying") || strings.Contains(s, "Failed to find node for hop") ||
			strings.Contains(s, "New control connection opened")
	})
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// eventually waits until f is true. The test fails if that takes longer than limit; state, if not nil, then adds what is
// known.
func eventually(t *testing.T, limit time.Duration, what string, state func() string, f func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for !f() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			text := ""
			if state != nil {
				text = "\n" + state()
			}
			t.Fatalf("not within %v: %s%s", limit, what, text)
		}
	}
}

// freePorts finds n TCP ports for programs that must be told theirs, under the range from which systems draw the ports of
// outgoing connections.
func freePorts(t *testing.T, n int) []int {
	t.Helper()
	var ports []int
	for range 100 * n {
		port := 10_000 + rand.IntN(10_000)
		ln, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		defer ln.Close() // Held until all are found, so that they differ.
		if ports = append(ports, port); len(ports) == n {
			return ports
		}
	}
	t.Fatalf("found only %d of %d free ports", len(ports), n)
	return nil
}

// write writes a file of the lab and returns its path.
func (l *lab) write(name, text string) string {
	l.t.Helper()
	path := filepath.Join(l.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		l.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		l.t.Fatal(err)
	}
	return path
}

// executable writes a program file of the lab and returns its path.
func (l *lab) executable(name, text string) string {
	l.t.Helper()
	path := l.write(name, text)
	if err := os.Chmod(path, 0o700); err != nil {
		l.t.Fatal(err)
	}
	return path
}
