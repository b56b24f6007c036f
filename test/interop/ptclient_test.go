package interop

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"flurry/test/stage"
)

// sessionLimit bounds one transfer through a whole system. Deployed clients wait ten seconds after a refusal, and give up a
// silent proxy after thirty.
const sessionLimit = 3 * time.Minute

// A ptClient is a client program that runs as tor would run it.
type ptClient struct {
	*program
	addr string // of the SOCKS5 port
}

// startClient starts a client program with these arguments and variables. A wrap is put in front of the command line.
func (l *lab) startClient(name, file string, wrap, env []string, args ...string) *ptClient {
	l.t.Helper()
	env = append([]string{"TOR_PT_MANAGED_TRANSPORT_VER=1", "TOR_PT_CLIENT_TRANSPORTS=snowflake",
		"TOR_PT_STATE_LOCATION=" + filepath.Join(l.dir, name+"-state")}, env...)
	argv := append(append(append([]string(nil), wrap...), file, "-unsafe-logging", "-log", filepath.Join(l.dir, name+".log")), args...)
	c := &ptClient{program: l.start(name, env, argv...)}
	l.t.Cleanup(func() {
		if l.t.Failed() {
			l.t.Logf("end of the log of %s:\n%s", name, tail(filepath.Join(l.dir, name+".log"), 25))
		}
	})
	eventually(l.t, startLimit, name+" opens its SOCKS port", c.output, func() bool {
		for line := range strings.Lines(c.output()) {
			if f := strings.Fields(line); len(f) == 4 && f[0] == "CMETHOD" && f[1] == "snowflake" && f[2] == "socks5" {
				c.addr = f[3]
				return true
			}
		}
		return !c.alive()
	})
	if c.addr == "" {
		l.t.Fatalf("%s has ended:\n%s", name, c.output())
	}
	return c
}

// output is all the program has written on its standard output and error so far.
func (p *program) output() string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// get fetches size bytes of the web site through the client, with SOCKS arguments.
func (c *ptClient) get(t *testing.T, args stage.Args, size int64) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), sessionLimit)
	defer cancel()
	conn, err := stage.DialSOCKS(ctx, c.addr, args)
	if err != nil {
		return err
	}
	return stage.Get(ctx, conn, 7, size, nil)
}
