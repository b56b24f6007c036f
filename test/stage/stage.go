package stage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// readyTimeout bounds how long a program may take from its start until it serves. Programs under the race detector on a
// busy machine take seconds.
const readyTimeout = 60 * time.Second

// pollEvery is how often the stage looks at something that cannot tell it of changes: another process.
const pollEvery = 50 * time.Millisecond

// Options say what stands on a Stage. Only Programs is required.
type Options struct {
	Programs Programs

	// Proxies is the number of volunteers that New starts. It returns when the broker knows them all.
	Proxies int
	// Max is the client's -max; 0 leaves the flag out.
	Max int
	// PollInterval is how long the broker tells volunteers to wait between polls; 0 is one second, the shortest they obey.
	PollInterval time.Duration
	// Network says where the parts stand; nil puts all of them on this machine's loopback.
	Network *Network
	// Bridges is the number of fingerprints in the broker's bridge list beside the default one, see Fingerprint.
	Bridges int
	// RelayURL replaces, if not empty, the relay address in the broker's bridge list, to lead volunteers elsewhere.
	RelayURL string
	// RelayScheme is that of the server's own address; empty is "ws".
	RelayScheme string
	// Trust names, if not empty, a PEM file with the certificates that volunteers believe instead of the system's.
	Trust string

	// More command line arguments, after the stage's own. Of a flag given twice the last one counts.
	ClientArgs, BrokerArgs, ProxyArgs, ServerArgs []string

	// Dir is where the files of the run go, above all the logs. Empty means a new temporary directory that Close removes.
	Dir string
	// AnyExit accepts any exit status of a program that was asked to end: deployed ones have no handler for SIGTERM.
	AnyExit bool
	// Log, if not nil, is told in words what the stage does.
	Log io.Writer
}

// A Stage is a running system. Its methods may be called at any time by any goroutine, Close once and last.
type Stage struct {
	// fixed after construction
	opt        Options
	dir        string
	removeDir  bool
	net        Network
	fork       *forker
	stun       *stunServer
	web        *Web
	brokerPort int
	serverPort int

	// guarded by mu
	mu      sync.Mutex
	all     []*Process // every process ever started
	broker  *Process
	server  *Process
	client  *Client
	proxies []*Proxy // every volunteer ever started
	counter map[Role]int
}

// New starts a STUN server, the web site, a broker, a server, the volunteers and a client, and returns when they serve. On
// failure nothing is left behind, and the error holds the end of the log of the program that failed.
func New(ctx context.Context, o Options) (*Stage, error) {
	s := &Stage{opt: o, fork: newForker(), net: o.network(), counter: map[Role]int{}}
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(err, s.closeQuietly())
	}
	return s, nil
}

func (s *Stage) start(ctx context.Context) error {
	if s.opt.Dir == "" {
		dir, err := os.MkdirTemp("", "flurry-stage-")
		if err != nil {
			return fmt.Errorf("start the stage: %w", err)
		}
		s.dir, s.removeDir = dir, true
	} else if err := os.MkdirAll(s.opt.Dir, 0o700); err != nil {
		return fmt.Errorf("start the stage: %w", err)
	}
	if s.dir == "" {
		dir, err := filepath.Abs(s.opt.Dir)
		if err != nil {
			return fmt.Errorf("start the stage: %w", err)
		}
		s.dir = dir
	}
	var err error
	if s.stun, err = startSTUN(ctx, s.net.Infra); err != nil {
		return err
	}
	if s.web, err = startWeb(ctx, s.net.Bridge); err != nil {
		return err
	}
	if s.brokerPort, err = freePort(ctx); err != nil {
		return err
	}
	if s.serverPort, err = freePort(ctx); err != nil {
		return err
	}
	if err := s.writeBrokerFiles(); err != nil {
		return err
	}
	s.logf("STUN server at %s, web site at %s", s.stun.url(), s.web.Addr())
	if err := s.StartServer(ctx); err != nil {
		return err
	}
	if err := s.StartBroker(ctx); err != nil {
		return err
	}
	for range s.opt.Proxies {
		if _, err := s.StartProxy(ctx, ProxyOptions{}); err != nil {
			return err
		}
	}
	client, err := s.StartClient(ctx, s.opt.ClientArgs...)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.client = client
	s.mu.Unlock()
	return s.WaitAvailable(ctx, s.opt.Proxies)
}

// freePort finds a TCP port for a program that must be told one. It is under the range from which systems draw the ports of
// outgoing connections, so a restarted program finds it free again.
func freePort(ctx context.Context) (int, error) {
	var err error
	for range 100 {
		port := 20_000 + rand.IntN(12_000)
		var lc net.ListenConfig
		var ln net.Listener
		if ln, err = lc.Listen(ctx, "tcp4", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			return port, ln.Close()
		}
	}
	return 0, fmt.Errorf("find a free port: %w", err)
}

// BrokerURL is the broker's address, with a slash at the end.
func (s *Stage) BrokerURL() string {
	return fmt.Sprintf("http://%s:%d/", s.net.Infra.Addrs()[0], s.brokerPort)
}

// RelayURL is the server's address for volunteers.
func (s *Stage) RelayURL() string {
	scheme := s.opt.RelayScheme
	if scheme == "" {
		scheme = "ws"
	}
	return fmt.Sprintf("%s://%s:%d/", scheme, s.net.Bridge.Addrs()[0], s.serverPort)
}

// STUN is the URL of the STUN server.
func (s *Stage) STUN() string { return s.stun.url() }

// Web is the web site behind the bridge.
func (s *Stage) Web() *Web { return s.web }

// Dir is where logs and other files of the run are.
func (s *Stage) Dir() string { return s.dir }

// Broker is the broker that runs now or ran last.
func (s *Stage) Broker() *Process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.broker
}

// Server is the server that runs now or ran last.
func (s *Stage) Server() *Process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.server
}

// Client is the client that New started.
func (s *Stage) Client() *Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.client
}

// Proxies are the volunteers that run now, oldest first.
func (s *Stage) Proxies() []*Proxy {
	s.mu.Lock()
	defer s.mu.Unlock()
	var alive []*Proxy
	for _, p := range s.proxies {
		if p.Alive() {
			alive = append(alive, p)
		}
	}
	return alive
}

// Dial opens a connection to the web site through the client that New started, see DialSOCKS.
func (s *Stage) Dial(ctx context.Context, args Args) (net.Conn, error) {
	return s.Client().Dial(ctx, args)
}

// brokerGet fetches a page of the broker.
func (s *Stage) brokerGet(ctx context.Context, path string) (string, error) {
	return s.get(ctx, s.net.Infra, s.BrokerURL()+path)
}

// maxPage bounds a page of text from one of the programs.
const maxPage = 1 << 20

// get fetches a page from a host, straight from it, whatever the environment says about proxies.
func (s *Stage) get(ctx context.Context, from Host, url string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) { return dialFrom(ctx, from, addr) }}}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxPage))
	if err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s", url, resp.Status)
	}
	return string(b), nil
}

// Available asks the broker how many volunteers wait for a client.
func (s *Stage) Available(ctx context.Context) (int, error) {
	page, err := s.brokerGet(ctx, "debug")
	if err != nil {
		return 0, err
	}
	var n int
	if _, err := fmt.Sscanf(page, "current snowflakes available: %d", &n); err != nil {
		return 0, fmt.Errorf("the broker's /debug page: %w: %q", err, page)
	}
	return n, nil
}

// WaitAvailable waits until the broker knows at least n waiting volunteers.
func (s *Stage) WaitAvailable(ctx context.Context, n int) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	var have int
	err := poll(ctx, func() (done bool, err error) {
		have, err = s.Available(ctx)
		return have >= n, err
	})
	if err != nil {
		text := ""
		for _, p := range s.Proxies() {
			text += p.Tail(5)
		}
		return fmt.Errorf("wait for %d volunteers, %d are there: %w\n%s", n, have, err, text)
	}
	return nil
}

// poll calls f until it reports done or ctx ends. Errors of f count only then: what is asked may be about to start.
func poll(ctx context.Context, f func() (done bool, err error)) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		done, err := f()
		if done && err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		}
	}
}

// Check reports a program that has ended though nobody asked it to, or that has left a crash report.
func (s *Stage) Check() error {
	s.mu.Lock()
	all := append([]*Process(nil), s.all...)
	s.mu.Unlock()
	var errs []error
	for _, p := range all {
		if !p.Alive() && !p.wasAsked() {
			errs = append(errs, fmt.Errorf("%s ended by itself: %v\n%s", p.name, p.ExitError(), p.Tail(15)))
		} else if text := p.crash(); text != "" {
			errs = append(errs, fmt.Errorf("%s has a fault:\n%s", p.name, text))
		}
	}
	return errors.Join(errs...)
}

// Close ends everything, the way users end these programs: client first, broker last. It reports every program that did not
// end cleanly, ended before its time, or crashed. Nothing is left running in any case.
func (s *Stage) Close() error {
	errs := []error{s.Check()}
	s.mu.Lock()
	all := append([]*Process(nil), s.all...)
	s.mu.Unlock()
	for _, role := range []Role{RoleClient, RoleProxy, RoleServer, RoleBroker} {
		var group sync.WaitGroup
		var mu sync.Mutex
		for _, p := range all {
			if p.role == role && p.Alive() {
				group.Go(func() {
					if err := p.Stop(); err != nil && !s.opt.AnyExit {
						mu.Lock()
						errs = append(errs, err)
						mu.Unlock()
					}
				})
			}
		}
		group.Wait()
	}
	for _, p := range all {
		if text := p.crash(); text != "" && errs[0] == nil {
			errs = append(errs, fmt.Errorf("%s has a fault:\n%s", p.name, text))
		}
	}
	return errors.Join(append(errs, s.closeQuietly())...)
}

// Abort ends everything at once by killing it.
func (s *Stage) Abort() { s.closeQuietly() } //nolint:errcheck // An abort has its own reason already.

// closeQuietly ends what is left, without asking, and frees everything.
func (s *Stage) closeQuietly() error {
	s.mu.Lock()
	all := append([]*Process(nil), s.all...)
	s.mu.Unlock()
	for _, p := range all {
		if p.Alive() {
			p.Kill()
		}
	}
	s.fork.close()
	var err error
	if s.web != nil {
		err = s.web.close()
	}
	if s.stun != nil {
		s.stun.close()
	}
	if s.removeDir {
		err = errors.Join(err, os.RemoveAll(s.dir))
	}
	return err
}

func (s *Stage) logf(format string, args ...any) {
	if s.opt.Log != nil {
		fmt.Fprintf(s.opt.Log, format+"\n", args...)
	}
}
