package stage

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
)

// startRole starts one program on a host with those of the wanted flags that it has, then the arguments of more. A flag is
// written "-name" or "-name=value".
func (s *Stage) startRole(ctx context.Context, role Role, on Host, program string, flags, more, env []string) (*Process, error) {
	known, err := flagsOf(ctx, program)
	if err != nil {
		return nil, fmt.Errorf("start a %s: %w", role, err)
	}
	var args []string
	for _, f := range flags {
		name, _, _ := strings.Cut(strings.TrimPrefix(f, "-"), "=")
		if known[name] {
			args = append(args, f)
		}
	}
	s.mu.Lock()
	s.counter[role]++
	name := fmt.Sprintf("%s-%d", role, s.counter[role])
	s.mu.Unlock()
	logFile := filepath.Join(s.dir, name+".log")
	if (role == RoleClient || role == RoleServer) && known["log"] { // The other two log to standard error.
		args = append(args, "-log="+logFile)
	}
	p, err := startProcess(s.fork.run, s.dir, name, role, on.Command(append(append([]string{program}, args...), more...)...), env)
	if err != nil {
		return nil, err
	}
	p.logFiles = append(p.logFiles, logFile)
	s.mu.Lock()
	s.all = append(s.all, p)
	s.mu.Unlock()
	return p, nil
}

// StartServer starts the server, on the same port each time. The one before must have ended.
func (s *Stage) StartServer(ctx context.Context) error {
	env := []string{"TOR_PT_MANAGED_TRANSPORT_VER=1", "TOR_PT_SERVER_TRANSPORTS=snowflake", "TOR_PT_EXIT_ON_STDIN_CLOSE=1",
		"TOR_PT_STATE_LOCATION=" + filepath.Join(s.dir, "server-state"), "TOR_PT_ORPORT=" + s.web.Addr(),
		fmt.Sprintf("TOR_PT_SERVER_BINDADDR=snowflake-%s:%d", s.net.Bridge.Addrs()[0], s.serverPort)}
	p, err := s.startRole(ctx, RoleServer, s.net.Bridge, s.opt.Programs.Server, []string{"-disable-tls", "-unsafe-logging"}, s.opt.ServerArgs, env)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.server = p
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	line, err := p.WaitLine(ctx, "SMETHOD snowflake ")
	if err != nil {
		return err
	}
	s.logf("%s: %s", p.name, line)
	_, err = p.WaitLine(ctx, "SMETHODS DONE")
	return err
}

// StartBroker starts the broker, on the same port each time. The one before must have ended.
func (s *Stage) StartBroker(ctx context.Context) error {
	flags := []string{"-disable-tls", "-disable-geoip", "-unsafe-logging", fmt.Sprintf("-addr=%s:%d", s.net.Infra.Addrs()[0], s.brokerPort),
		"-bridge-list-path=" + s.bridgeFile(), "-allowed-relay-pattern=" + s.allowedRelay(),
		"-poll-interval-filepath=" + s.pollFile(), "-metrics-log=" + filepath.Join(s.dir, "broker-metrics.log")}
	p, err := s.startRole(ctx, RoleBroker, s.net.Infra, s.opt.Programs.Broker, flags, s.opt.BrokerArgs, nil)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.broker = p
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	err = poll(ctx, func() (bool, error) {
		if !p.Alive() {
			cancel()
			return false, fmt.Errorf("it ended: %v", p.ExitError())
		}
		_, err := s.brokerGet(ctx, "debug")
		return err == nil, err
	})
	if err != nil {
		return fmt.Errorf("wait for %s: %w\n%s", p.name, err, p.Tail(15))
	}
	s.logf("%s serves at %s", p.name, s.BrokerURL())
	return nil
}

// RestartBroker ends the broker cleanly and starts it again. Volunteers and clients find it where it was.
func (s *Stage) RestartBroker(ctx context.Context) error {
	if err := s.Broker().Stop(); err != nil && !s.opt.AnyExit {
		return err
	}
	return s.StartBroker(ctx)
}

// ProxyOptions say how one volunteer differs from the others.
type ProxyOptions struct {
	Program   string   // another program file; empty means the stage's
	BrokerURL string   // another broker; empty means the stage's
	Host      Host     // where it runs; nil means the next of the stage's in turn
	Args      []string // more arguments, after those of the stage
}

// StartProxy starts one more volunteer. It returns at once; WaitAvailable waits until the broker knows it.
func (s *Stage) StartProxy(ctx context.Context, o ProxyOptions) (*Proxy, error) {
	if o.Program == "" {
		o.Program = s.opt.Programs.Proxy
	}
	if o.BrokerURL == "" {
		o.BrokerURL = s.BrokerURL()
	}
	if o.Host == nil {
		s.mu.Lock()
		o.Host = s.net.Proxies[len(s.proxies)%len(s.net.Proxies)]
		s.mu.Unlock()
	}
	port, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	flags := []string{"-broker=" + o.BrokerURL, "-relay=" + s.RelayURL(), "-stun=" + s.stun.url(),
		// There is no NAT on loopback to find out about: the probe gets an error at once and the volunteer's kind stays unknown.
		"-nat-probe-server=" + s.BrokerURL() + "no-such-probe",
		"-keep-local-addresses", "-allow-non-tls-relay", "-allow-proxying-to-private-addresses",
		"-allowed-relay-hostname-pattern=" + s.allowedRelay(), "-unsafe-logging", "-verbose",
		"-metrics", "-metrics-address=127.0.0.1", "-metrics-port=" + strconv.Itoa(port)}
	var env []string
	if s.opt.Trust != "" {
		env = []string{"SSL_CERT_FILE=" + s.opt.Trust, "SSL_CERT_DIR=" + s.dir}
	}
	p, err := s.startRole(ctx, RoleProxy, o.Host, o.Program, flags, append(append([]string(nil), s.opt.ProxyArgs...), o.Args...), env)
	if err != nil {
		return nil, err
	}
	proxy := &Proxy{Process: p, stage: s, host: o.Host, metricsPort: port}
	s.mu.Lock()
	s.proxies = append(s.proxies, proxy)
	s.mu.Unlock()
	s.logf("%s started (pid %d)", p.name, p.Pid())
	return proxy, nil
}

// A Proxy is a running volunteer.
type Proxy struct {
	*Process
	stage       *Stage
	host        Host
	metricsPort int
}

// Host is where the volunteer runs.
func (p *Proxy) Host() Host { return p.host }

// Goroutines asks the volunteer how many goroutines it has. A program without -metrics has no answer.
func (p *Proxy) Goroutines(ctx context.Context) (int, error) {
	page, err := p.stage.get(ctx, p.host, fmt.Sprintf("http://127.0.0.1:%d/internal/metrics", p.metricsPort))
	if err != nil {
		return 0, err
	}
	n, err := metric(page, "go_goroutines")
	return int(n), err
}

// A Client is a running client.
type Client struct {
	*Process
	host Host
	addr string
}

// StartClient starts one more client and returns when its SOCKS port is open. More are the arguments after the stage's own.
func (s *Stage) StartClient(ctx context.Context, more ...string) (*Client, error) {
	return s.StartClientProgram(ctx, s.opt.Programs.Client, more...)
}

// StartClientProgram is StartClient with another program file.
func (s *Stage) StartClientProgram(ctx context.Context, program string, more ...string) (*Client, error) {
	env := []string{"TOR_PT_MANAGED_TRANSPORT_VER=1", "TOR_PT_CLIENT_TRANSPORTS=snowflake", "TOR_PT_EXIT_ON_STDIN_CLOSE=1",
		"TOR_PT_STATE_LOCATION=" + filepath.Join(s.dir, "client-state")}
	flags := []string{"-url=" + s.BrokerURL(), "-ice=" + s.stun.url(), "-keep-local-addresses", "-unsafe-logging"}
	if s.opt.Max > 0 {
		flags = append(flags, "-max="+strconv.Itoa(s.opt.Max))
	}
	p, err := s.startRole(ctx, RoleClient, s.net.Client, program, flags, more, env)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	line, err := p.WaitLine(ctx, "CMETHOD snowflake ")
	if err != nil {
		return nil, err
	}
	fields := strings.Fields(line)
	if len(fields) != 4 || fields[2] != "socks5" {
		return nil, fmt.Errorf("%s says %q", p.name, line)
	}
	s.logf("%s: %s", p.name, line)
	return &Client{Process: p, host: s.net.Client, addr: fields[3]}, nil
}

// Addr is the client's SOCKS5 port, "127.0.0.1:PORT".
func (c *Client) Addr() string { return c.addr }

// Dial opens a connection to the web site through this client, see DialSOCKS.
func (c *Client) Dial(ctx context.Context, args Args) (net.Conn, error) {
	var conn net.Conn
	err := c.host.Do(func() (err error) {
		conn, err = DialSOCKS(ctx, c.addr, args)
		return err
	})
	return conn, err
}

// metric finds the value of a metric without labels in Prometheus's text format.
func metric(page, name string) (float64, error) {
	for line := range strings.Lines(page) {
		if f := strings.Fields(line); len(f) == 2 && f[0] == name {
			return strconv.ParseFloat(f[1], 64)
		}
	}
	return 0, errors.New("no metric " + name)
}
