package rtc

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"flurry/common/sdp"

	"github.com/pion/datachannel"
	"github.com/pion/ice/v4"
	"github.com/pion/sctp"
)

// peer is one connection on its way to a Conn: the ICE agent, and on its path
// DTLS, SCTP and one data channel.
type peer struct {
	e     *Endpoint
	agent *ice.Agent
	local credentials

	shaper      *shaper // nil: the agent's checks leave as they are
	certificate tls.Certificate

	gathering *gathering
	selection selection

	opened   chan *Conn    // the first channel, once open; buffered
	failed   chan struct{} // closed when ICE, DTLS or SCTP has failed
	failOnce sync.Once
	closed   chan struct{} // closed when either end has closed the connection

	ctx       context.Context // of all that runs; close ends it
	cancel    context.CancelFunc
	running   sync.WaitGroup
	closeOnce sync.Once
}

// peer returns the connection that Prepare made ready, or a new one.
func (e *Endpoint) peer() (*peer, error) {
	if p := e.stock.take(); p != nil {
		return p, nil
	}
	return e.newPeer()
}

// newPeer makes a connection, which begins to gather.
func (e *Endpoint) newPeer() (*peer, error) {
	look := &e.look
	p := &peer{
		e: e, gathering: newGathering(),
		local:  credentials{randomText(look.alphabet, look.ufragLen), randomText(look.alphabet, look.pwdLen)},
		opened: make(chan *Conn, 1), failed: make(chan struct{}), closed: make(chan struct{}),
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	if look.checks != nil {
		p.shaper = newShaper(look.checks, e.ticks)
	}
	var err error
	if p.certificate, err = newCertificate(look.profile); err != nil {
		return nil, err
	}
	if p.agent, err = e.newAgent(p); err != nil {
		return nil, fmt.Errorf("ICE: %w", err)
	}
	if err := p.begin(); err != nil {
		p.close()
		return nil, fmt.Errorf("ICE: %w", err)
	}
	return p, nil
}

// begin has the agent gather.
func (p *peer) begin() error {
	err := p.agent.OnConnectionStateChange(func(s ice.ConnectionState) {
		if s == ice.ConnectionStateFailed {
			p.fail()
		}
	})
	if err != nil {
		return err
	}
	if err := p.agent.OnCandidate(p.gathering.candidate); err != nil {
		return err
	}
	return p.agent.GatherCandidates()
}

func (p *peer) fail() { p.failOnce.Do(func() { close(p.failed) }) }

func (e *Endpoint) associationOptions(secured net.Conn, maxMessage uint32) []sctp.ClientOption {
	options := []sctp.ClientOption{
		sctp.WithNetConn(secured),
		sctp.WithMaxMessageSize(maxMessage),
		sctp.WithLoggerFactory(loggers{e.cfg.Logger}),
		sctp.WithMTU(e.look.mtu),
		sctp.WithMaxReceiveBufferSize(receiveWindow),
		sctp.WithInitShape(e.look.init),
		sctp.WithEnableInterleaving(e.look.interleaving),
		sctp.WithMinCwnd(congestionFloor),
	}
	if e.look.profile != Pion {
		options = append(options, sctp.WithBrowserAcks(e.look.channelPause))
	}
	return options
}

// describe returns the text of our description, as it is by now.
func (p *peer) describe(setup, mid string) string {
	if mid == "" {
		mid = "0"
	}
	return p.e.look.sdp.write(description{
		credentials: p.local, session: randomSession(), unix: time.Now().Unix(), mid: mid, setup: setup,
		fingerprint: fingerprintOf(p.certificate),
		candidates:  usable(p.gathering.found(), p.e.cfg.KeepLocalAddresses),
	})
}

// publishAnswer returns the answer to r as wrapper text.
func (p *peer) publishAnswer(r remote) string {
	setup := setupActive
	if !r.serves(true) {
		setup = setupPassive
	}
	text := sdp.MarkEarly(p.describe(setup, r.mid))
	if p.e.cfg.KeepsEdges {
		text = sdp.MarkEdges(text)
	}
	return sdp.Description{Type: typeAnswer, SDP: text}.String()
}

// serves reports whether the other end is the DTLS server. What does not say so
// is the server as an offerer, and the client as an answerer (RFC 8842 section 5).
func (r remote) serves(offers bool) bool {
	if offers {
		return r.setup != setupActive
	}
	return r.setup == setupPassive
}

// start has the connection form, now that both ends are known. The offerer says
// which channel to open, and controls ICE.
func (p *peer) start(r remote, open *datachannel.Config) error {
	if p.shaper != nil {
		p.shaper.remotePassword(r.pwd)
		p.shaper.stopEarly()
	}
	if err := p.agent.SetRemoteICELite(r.lite); err != nil {
		return err
	}
	for _, c := range r.candidates {
		if err := p.agent.AddRemoteCandidate(c); err != nil {
			return fmt.Errorf("%w: %w", ErrBadDescription, err)
		}
	}
	connect := p.agent.StartAccept
	if open != nil {
		connect = p.agent.StartDial
		// The checks of a browser all nominate.
		p.selection.early.Store(r.early || p.shaper != nil)
	}
	path, err := connect(r.ufrag, r.pwd)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBadDescription, err)
	}
	client := r.serves(open == nil)
	p.running.Go(func() { p.run(r, path, client, open) })
	return nil
}

// run forms the connection and ends when it has ended, by either end.
func (p *peer) run(r remote, path *ice.Conn, client bool, open *datachannel.Config) {
	secured, err := p.secure(r, path, client)
	if err != nil {
		p.fail()
		return
	}
	defer secured.Close()
	if p.e.look.slow {
		p.handOver()
		if !client {
			secured = &lateReader{Conn: secured, wait: p.handOver}
		}
	}
	association, err := sctp.ClientContext(p.ctx, p.e.associationOptions(secured, r.maxMessage)...)
	if err != nil {
		p.fail()
		return
	}
	defer association.Close()
	aborted := make(chan struct{})
	stop := context.AfterFunc(p.ctx, func() {
		defer close(aborted)
		association.Abort(abortReason)
	})
	p.channels(association, client, open)
	close(p.closed)
	if !stop() {
		<-aborted
	}
}

// secure waits for ICE, as far as need be, and shakes hands.
func (p *peer) secure(r remote, path *ice.Conn, client bool) (net.Conn, error) {
	// The server answers on any pair that works, and the client sends its first
	// words when it has one to use, or, where the browser does, as soon as one
	// works. A hello that comes before any pair works waits: an answer to it would
	// be lost, and show by the number of the next.
	conn := &dtlsConn{path: path}
	stop := func() {}
	if !client && p.shaper != nil {
		conn.stashed = p.shaper.takeStash()
		stop = conn.keep()
	}
	err := p.ready(client)
	stop()
	if err != nil {
		return nil, err
	}
	s := securing{client: client, certificate: p.certificate, expected: r.fingerprints,
		profile: p.e.look.profile, loggers: loggers{p.e.cfg.Logger}}
	if p.shaper != nil {
		s.roundTrip, s.wake = p.shaper.roundTrip, p.shaper.ticks.next
	}
	return s.do(p.ctx, conn)
}

// abortReason is what dcSCTP, the library of browsers, says in the ABORT chunk
// that ends a connection. Its length shows.
const abortReason = "Close called"

// ready waits until DTLS may begin.
func (p *peer) ready(client bool) error {
	if p.shaper == nil || client && !p.e.look.eager {
		if !client {
			return nil
		}
		return p.agent.AwaitConnect(p.ctx)
	}
	ctx, cancel := context.WithCancel(p.ctx)
	var waits sync.WaitGroup
	defer waits.Wait()
	defer cancel()
	connected := make(chan error, 1)
	if client { // Between two of ours a pair may be selected sooner, see selection.
		waits.Go(func() { connected <- p.agent.AwaitConnect(ctx) })
	}
	select {
	case <-p.shaper.answered:
		return nil
	case err := <-connected:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// channels opens the channel, or takes the first that the other end opens, and
// returns when the association has ended. Deployed proxies serve one channel for
// each connection, and so do we.
func (p *peer) channels(a *sctp.Association, client bool, open *datachannel.Config) {
	served := open != nil
	if served {
		id := uint16(1) // odd ones are the DTLS server's to open (RFC 8832 section 6)
		if client {
			id = 0
		}
		channel, err := datachannel.Dial(a, id, open)
		if err != nil {
			p.fail()
			return
		}
		if !p.acknowledged(channel) {
			return
		}
		p.opened <- newConn(p, channel, a)
	}
	for {
		stream, err := a.AcceptStream()
		if err != nil {
			return
		}
		if !served {
			channel, err := datachannel.Server(stream, &datachannel.Config{LoggerFactory: loggers{p.e.cfg.Logger}})
			if err == nil {
				served = true
				p.opened <- newConn(p, channel, a)
				continue
			}
		}
		_ = stream.Close() // which resets it
	}
}

// mostForHandOver is what Firefox takes, mostly, to hand a connection from one
// thread to another that does other things, too: from the end of DTLS to SCTP's
// INIT, and from there to the answer to the other end's (measured: a millisecond or
// two in half of the calls, several in one of ten, more the more the machine has
// to do).
const mostForHandOver = 5 * time.Millisecond

func (p *peer) handOver() {
	select {
	case <-time.After(randomBetween(0, randomBetween(0, mostForHandOver))):
	case <-p.ctx.Done():
	}
}

// A lateReader is a connection that waits before its first Read.
type lateReader struct {
	net.Conn
	wait func()
	once sync.Once
}

// Read implements net.Conn.
func (l *lateReader) Read(p []byte) (int, error) {
	l.once.Do(l.wait)
	return l.Conn.Read(p)
}

// acknowledged waits, where a browser does, until the other end has acknowledged
// the channel, or says something on it, which is left to be read. It reports
// whether there is a channel.
func (p *peer) acknowledged(channel *datachannel.DataChannel) bool {
	if !p.e.look.patient {
		return true
	}
	_, _, err := channel.ReadDataChannel(nil)
	return errors.Is(err, io.ErrShortBuffer)
}

// wait returns the Conn when its channel is open.
func (p *peer) wait(ctx context.Context, limit time.Duration) (*Conn, error) {
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case c := <-p.opened:
		go c.watch()
		return c, nil
	case <-p.failed:
		return nil, ErrFailed
	case <-p.closed:
		return nil, ErrFailed
	case <-t.C:
		return nil, ErrOpenTimeout
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// close ends the connection and waits for all of its goroutines.
func (p *peer) close() {
	p.closeOnce.Do(func() {
		p.cancel()
		p.running.Wait()
		_ = p.agent.GracefulClose()
	})
}
