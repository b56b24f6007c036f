package system

import (
	"context"
	"fmt"
	"sort"
	"strings"
	"testing"
	"time"

	"flurry/test/stage"
)

const (
	// settle is how long programs may take to let go of what a session held; a client lingers 10 s over a finished one.
	settle = time.Minute

	// lingers is a little more than a client keeps a session without streams. Its sockets do not tell: before its first
	// session a client holds as many, ready for it.
	lingers = 12 * time.Second

	// sessionIdle is how long the server keeps a session without carriers: a minute, looked at six times a minute, and
	// some more. It has nothing that could be asked whether it has let go.
	sessionIdle = 75 * time.Second

	// slackFDs is what a program may hold more when it is idle again than before its first use: an idle connection to the
	// broker, the random device, a log file that was opened again.
	slackFDs = 5

	// slackGoroutines is the same for goroutines: the Go runtime's HTTP client and the timers of KCP (one for each
	// processor) start some that stay.
	slackGoroutines = 10
)

// What idle programs have, counted on two processors. A broker has two more for each volunteer that waits.
const (
	idleClient       = 8
	idleServer       = 12
	idleBroker       = 6
	idlePerVolunteer = 2
	// A session that has just ended is kept by the server for a minute, which is too long to wait for in each test.
	perSession = 6
	recent     = 2 // such sessions
)

// A leakCheck compares what the programs hold before and after a test's load.
type leakCheck struct {
	stage      *stage.Stage
	fds        map[*stage.Process]int
	goroutines map[*stage.Proxy]int // of the volunteers, which can tell while they run
}

// watchLeaks takes the base line of s before its first use.
func watchLeaks(t *testing.T, ctx context.Context, s *stage.Stage) *leakCheck {
	t.Helper()
	l := &leakCheck{stage: s, fds: map[*stage.Process]int{}, goroutines: map[*stage.Proxy]int{}}
	for _, p := range append([]*stage.Process{s.Client().Process, s.Broker(), s.Server()}, processes(s.Proxies())...) {
		u, err := p.Usage()
		if err != nil {
			t.Skip(err) // Not Linux: nothing to see.
		}
		l.fds[p] = u.FDs
	}
	for _, p := range s.Proxies() {
		n, err := p.Goroutines(ctx)
		if err != nil {
			t.Fatal(err)
		}
		l.goroutines[p] = n
	}
	return l
}

// check waits until every program is back to its base line: file descriptors of all, goroutines of the volunteers. Then it
// counts the goroutines of client, server and broker, which ends them: it comes last.
func (l *leakCheck) check(t *testing.T, ctx context.Context) {
	t.Helper()
	s := l.stage
	eventually(t, ctx, settle, func() (bool, string) {
		over := l.over(ctx)
		return len(over) == 0, strings.Join(over, "; ")
	})
	if t.Failed() {
		return
	}
	select {
	case <-time.After(lingers):
	case <-ctx.Done():
	}
	limits := map[*stage.Process]int{
		s.Client().Process: idleClient + slackGoroutines,
		s.Server():         idleServer + recent*perSession + slackGoroutines,
		s.Broker():         idleBroker + idlePerVolunteer*len(s.Proxies()) + slackGoroutines,
	}
	for p, limit := range limits {
		stacks, err := p.Dump(ctx)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s, idle again, has %d goroutines", p.Name(), len(stacks))
		if len(stacks) > limit {
			t.Errorf("%s, idle again, has %d goroutines, want at most %d:\n%s", p.Name(), len(stacks), limit, summary(stacks))
		}
	}
}

// over lists what is held beyond the base line.
func (l *leakCheck) over(ctx context.Context) (over []string) {
	if n := l.stage.Web().Open(); n > 0 {
		over = append(over, fmt.Sprintf("%d connections to the ORPort", n))
	}
	for p, base := range l.fds {
		if u, err := p.Usage(); err == nil && p.Alive() && u.FDs > base+slackFDs {
			over = append(over, fmt.Sprintf("%s has %d file descriptors, %d at first", p.Name(), u.FDs, base))
		}
	}
	for p, base := range l.goroutines {
		if n, err := p.Goroutines(ctx); p.Alive() && (err != nil || n > base+slackGoroutines) {
			over = append(over, fmt.Sprintf("%s has %d goroutines, %d at first (%v)", p.Name(), n, base, err))
		}
	}
	return over
}

// summary counts stacks by their innermost and outermost functions.
func summary(stacks []string) string {
	count := map[string]int{}
	for _, s := range stacks {
		lines := strings.Split(strings.TrimSpace(s), "\n")
		var calls []string
		for _, line := range lines[1:] {
			if !strings.HasPrefix(line, "\t") {
				name, _, _ := strings.Cut(line, "(0x")
				calls = append(calls, strings.TrimPrefix(name, "created by "))
			}
		}
		if len(calls) > 0 {
			count[calls[0]+" ... "+calls[len(calls)-1]]++
		}
	}
	var keys []string
	for k := range count {
		keys = append(keys, k)
	}
	sort.Slice(keys, func(i, j int) bool { return count[keys[i]] > count[keys[j]] })
	var b strings.Builder
	for _, k := range keys {
		fmt.Fprintf(&b, "%6d %s\n", count[k], k)
	}
	return b.String()
}
