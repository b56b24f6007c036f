package simulated

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"flurry/broker/snowbroker"
	"flurry/client/rendezvous"
	"flurry/client/snowclient"
	"flurry/common/carrier"
	"flurry/common/messages"
	"flurry/common/simnet"
	"flurry/common/simnet/line"
	"flurry/proxy/snowproxy"
	"flurry/server/snowserver"
	"flurry/test/stage"

	"github.com/prometheus/client_golang/prometheus"
)

// A simulation is one broker, one server, one client and any number of
// volunteers on one network, in one bubble.
type simulation struct {
	t       *testing.T
	options options
	world   *simnet.World
	client  *simnet.Host
	server  *simnet.Host
	broker  *simnet.Host

	listener  *snowserver.Listener
	transport *snowclient.Transport
	metrics   *prometheus.Registry // of the client
	meeting   *meeting
	peer      peer

	ctx        context.Context
	cancel     context.CancelFunc
	tasks      sync.WaitGroup // all but the volunteers
	volunteers []*volunteer
}

// options say what a simulation is like. The zero value: one path, over fast
// lines without delay.
type options struct {
	client simnet.Access
	server simnet.Access
	max    int // paths of the client; 0 is 1

	webRTC bool // the client has a NAT and WebRTC; else carriers are in memory
}

const httpPort = 80

// simulate runs f in a bubble and then looks for anything that is left.
func simulate(t *testing.T, o options, f func(s *simulation)) {
	forgetPools()
	synctest.Test(t, func(t *testing.T) {
		s := &simulation{t: t, options: o, world: simnet.New(), metrics: prometheus.NewRegistry(), meeting: newMeeting()}
		s.ctx, s.cancel = context.WithCancel(t.Context())
		s.client, s.server, s.broker = s.world.Host(o.client), s.world.Host(o.server), s.world.Host(simnet.Access{})
		stopSTUN := func() {}
		if o.webRTC {
			s.client = s.world.Home(simnet.PortRestricted, o.client).Host(simnet.Access{})
			var err error
			stopSTUN, err = s.broker.ServeSTUN(stunPort)
			s.must(err)
		}
		stopServer := s.startServer()
		stopBroker := s.startBroker()
		stopClient := s.startClient()
		f(s)
		if o.webRTC {
			s.client.Silence(true)
		}
		stopClient()
		for _, v := range s.volunteers {
			v.vanish()
		}
		stopServer()
		stopBroker()
		stopSTUN()
		s.cancel()
		s.tasks.Wait()
	})
}

// forgetPools empties every sync.Pool: smux keeps channels in one, and a channel
// of one bubble must not be met in another. It takes two collections, the first
// only marks what is in a pool as old. For the same reason these tests are not
// parallel to each other.
func forgetPools() {
	runtime.GC()
	runtime.GC()
}

// logger writes to the test's log, if that is wanted.
func (s *simulation) logger(who string) *slog.Logger {
	if !*logs {
		return nil
	}
	return slog.New(slog.NewTextHandler(s.t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})).With("who", who)
}

var logs = flag.Bool("logs", false, "show what the libraries log")

func (s *simulation) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// startServer serves proxies on port 80, and gives the streams to the peer.
func (s *simulation) startServer() (stop func()) {
	socket, err := s.server.Listen(httpPort)
	s.must(err)
	s.listener, err = snowserver.Listen(s.ctx, snowserver.Config{Listener: socket, Logger: s.logger("server")})
	s.must(err)
	s.tasks.Go(func() { s.peer.serve(s.listener.Accept) })
	return func() { s.listener.Close() }
}

func (s *simulation) startBroker() (stop func()) {
	bridges, err := snowbroker.ReadBridges(strings.NewReader(fmt.Sprintf(
		`{"displayName":"simulated","webSocketAddress":"ws://%v/","fingerprint":"%v"}`, s.server.Addr(), messages.DefaultFingerprint)))
	s.must(err)
	b, err := snowbroker.New(snowbroker.Config{
		Bridges:       bridges,
		PollIntervals: &snowbroker.PollIntervals{Unrestricted: snowproxy.MinPollInterval, Restricted: snowproxy.MinPollInterval},
		Logger:        s.logger("broker"),
	})
	s.must(err)
	socket, err := s.broker.Listen(httpPort)
	s.must(err)
	srv := &http.Server{Handler: b.Handler(), ReadHeaderTimeout: time.Minute}
	s.tasks.Go(func() { srv.Serve(socket) })
	s.tasks.Go(func() { b.Run(s.ctx) })
	return func() {
		b.Close()
		srv.Close()
	}
}

func (s *simulation) brokerURL() string { return fmt.Sprintf("http://%v/", s.broker.Addr()) }

func (s *simulation) startClient() (stop func()) {
	way, err := rendezvous.NewHTTP(rendezvous.HTTPConfig{BrokerURL: s.brokerURL(), DialContext: s.client.DialContext})
	s.must(err)
	dialer := s.meeting.dialer(s.client)
	if s.options.webRTC {
		dialer = rtcDialer{s.endpoint(s.client, false)}
	}
	s.transport, err = snowclient.New(snowclient.Config{
		Rendezvous: way, Dialer: dialer, Max: s.options.max, Registerer: s.metrics,
		Logger: s.logger("client"),
	})
	s.must(err)
	return func() {
		s.transport.Close()
		way.Close()
	}
}

// dial opens a stream. The caller closes it.
func (s *simulation) dial() net.Conn {
	s.t.Helper()
	c, err := s.transport.DialContext(s.ctx)
	s.must(err)
	return c
}

// A volunteer is a proxy on a host of its own.
type volunteer struct {
	host   *simnet.Host
	carry  *answerer // nil: WebRTC
	cancel context.CancelFunc
	done   chan struct{}
}

// volunteer starts a proxy on host, whose carriers to clients are of that kind.
func (s *simulation) volunteer(host *simnet.Host, k hop) *volunteer {
	s.t.Helper()
	return s.odd(host, k, nil)
}

// odd is volunteer with something done to the proxy's end of each carrier.
func (s *simulation) odd(host *simnet.Host, k hop, wrap func(carrier.Conn) carrier.Conn) *volunteer {
	s.t.Helper()
	carry := &answerer{meeting: s.meeting, host: host, hop: k, wrap: wrap}
	v := s.start(host, carry)
	v.carry = carry
	return v
}

// start starts a proxy on host that makes its carriers with a.
func (s *simulation) start(host *simnet.Host, a snowproxy.Answerer) *volunteer {
	s.t.Helper()
	web := &http.Transport{DialContext: host.DialContext}
	v := &volunteer{host: host, done: make(chan struct{})}
	p, err := snowproxy.New(snowproxy.Config{
		BrokerURL: s.brokerURL(), RelayURL: fmt.Sprintf("ws://%v/", s.server.Addr()), ForceUnrestricted: true,
		STUNServers: []string{}, RelayPattern: "$", AllowNonTLSRelay: true, AllowPrivateRelays: true,
		PollInterval: snowproxy.MinPollInterval, HTTP: web,
		Upstream: webSocket{host}, Answerer: a,
		Logger: s.logger(fmt.Sprint(host)),
	})
	s.must(err)
	ctx, cancel := context.WithCancel(s.ctx)
	v.cancel = cancel
	go func() {
		defer close(v.done)
		defer web.CloseIdleConnections()
		p.Run(ctx)
	}()
	s.volunteers = append(s.volunteers, v)
	return v
}

// vanish ends the proxy without a word on any line: a laptop is closed.
func (v *volunteer) vanish() {
	v.host.Silence(true)
	v.cancel()
	<-v.done
}

// kill ends the process only: broker and bridge hear of it from the kernel, by
// TCP, and the client does not.
func (v *volunteer) kill() {
	v.carry.kill()
	v.cancel()
}

// both is a line with the same shape in both directions.
func both(s line.Shape) simnet.Access {
	down := s
	down.Seed++
	return simnet.Access{Up: s, Down: down}
}

// few leaves out some of the cases of a test under the race detector, with which
// everything takes ten times as long.
func few[T any](cases ...T) []T {
	if stage.RaceEnabled {
		return cases[:(len(cases)+1)/2]
	}
	return cases
}

// megabits is a rate.
func megabits(n float64) float64 { return n * 1e6 / 8 }

// segments are the client's counts so far, by kind: sent, resent, received, duplicate.
func (s *simulation) segments() map[string]float64 {
	s.t.Helper()
	families, err := s.metrics.Gather()
	s.must(err)
	counts := map[string]float64{}
	for _, f := range families {
		if f.GetName() == "snowflake_client_segments_total" {
			for _, m := range f.GetMetric() {
				counts[m.GetLabel()[0].GetValue()] = m.GetCounter().GetValue()
			}
		}
	}
	return counts
}
