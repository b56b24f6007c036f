package main

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"flurry/client/rendezvous"
	"flurry/client/snowclient"
	"flurry/common/carrier/rtc"
	"flurry/common/covert"
)

const (
	// maxTransports bounds how many different settings are in use at once:
	// each holds proxies of its own. No torrc has that many bridge lines.
	maxTransports = 32

	// keepIdle is how long settings that nobody uses are remembered, with the
	// NAT type they have learned and connections to the broker.
	keepIdle = 10 * time.Minute
)

// errTooManyTransports refuses yet another configuration.
var errTooManyTransports = errors.New("too many different bridge lines in use at once")

// errStopping refuses connections that come while the program ends.
var errStopping = errors.New("the client is stopping")

// A transport is what the program needs of a snowclient.Transport.
type transport interface {
	DialContext(ctx context.Context) (net.Conn, error)
	Close() error
}

// transports holds one transport for each settings in use, so that connections
// of one bridge line share a session and its proxies. All methods may be called
// from any goroutine.
type transports struct {
	// Fixed after construction.
	start   func(settings) (transport, error) // called with mu held
	now     func() time.Time
	browser rtc.Profile // what all look like that are not told otherwise

	// Guarded by mu.
	mu     sync.Mutex
	closed bool
	all    map[settings]*sharedTransport
	kept   map[greeting]*covert.Transport
}

// A greeting is what tells connections to a front apart. All transports with the
// same one share their connections, as all pages of a browser do: two bridge
// lines mostly name the same fronts.
type greeting struct {
	hello string
	noSNI bool
}

// A sharedTransport is one entry; all fields are guarded by transports.mu.
type sharedTransport struct {
	transport
	users     int
	idleSince time.Time // when users became 0
}

// newTransports makes transports that share what is known of the NAT.
func newTransports(memory *snowclient.NATMemory, log *slog.Logger) *transports {
	ts := &transports{
		now:     time.Now,
		browser: rtc.AnyBrowser.Pick(),
		all:     make(map[settings]*sharedTransport),
		kept:    make(map[greeting]*covert.Transport),
	}
	ts.start = func(s settings) (transport, error) {
		s = s.as(ts.browser)
		connections, err := ts.connectionsLocked(greeting{s.hello, s.noSNI})
		if err != nil {
			return nil, err
		}
		return startTransport(s, connections, memory, log)
	}
	return ts
}

// connectionsLocked returns the kept connections of a kind.
func (ts *transports) connectionsLocked(g greeting) (*covert.Transport, error) {
	if c := ts.kept[g]; c != nil {
		return c, nil
	}
	c, err := rendezvous.NewConnections(g.hello, g.noSNI)
	if err == nil {
		ts.kept[g] = c
	}
	return c, err
}

// startTransport makes the transport that s describes.
func startTransport(s settings, connections *covert.Transport, memory *snowclient.NATMemory, log *slog.Logger) (transport, error) {
	r, err := s.newRendezvous(log, connections)
	if err != nil {
		return nil, err
	}
	t, err := snowclient.New(snowclient.Config{
		Rendezvous:         r,
		ICEServers:         splitList(s.ice),
		KeepLocalAddresses: s.keepLocal,
		Profile:            s.profile,
		NoInBand:           s.noInBand,
		Max:                s.max,
		NATMemory:          memory,
		Fingerprint:        s.fingerprint,
		Logger:             log,
		Trace:              newTrace(),
	})
	if err != nil {
		r.Close()
		return nil, err
	}
	return &ownedTransport{t, r}, nil
}

// An ownedTransport closes its rendezvous with it.
type ownedTransport struct {
	*snowclient.Transport
	rendezvous *rendezvous.HTTP
}

// Close implements transport.
func (o *ownedTransport) Close() error {
	return errors.Join(o.Transport.Close(), o.rendezvous.Close())
}

// prepare gets the transport for s ready for a connection that is expected
// soon, as far as it can be.
func (ts *transports) prepare(s settings) {
	t, release, err := ts.acquire(s)
	if err != nil {
		return // the connection will meet it and tell
	}
	defer release()
	if p, ok := t.(snowclient.Preparer); ok {
		p.Prepare()
	}
}

// acquire gives the transport for s, until release is called once.
func (ts *transports) acquire(s settings) (t transport, release func(), err error) {
	ts.mu.Lock()
	old := ts.sweepLocked(s)
	shared, err := ts.getLocked(s)
	ts.mu.Unlock()
	closeAll(old)
	if err != nil {
		return nil, nil, err
	}
	return shared.transport, func() { ts.release(shared) }, nil
}

func (ts *transports) getLocked(s settings) (*sharedTransport, error) {
	if ts.closed {
		return nil, errStopping
	}
	shared := ts.all[s]
	if shared == nil {
		if len(ts.all) >= maxTransports {
			return nil, errTooManyTransports
		}
		t, err := ts.start(s)
		if err != nil {
			return nil, err
		}
		shared = &sharedTransport{transport: t}
		ts.all[s] = shared
	}
	shared.users++
	return shared, nil
}

func (ts *transports) release(shared *sharedTransport) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	shared.users--
	if shared.users == 0 {
		shared.idleSince = ts.now()
	}
}

// sweepLocked takes out the transports that have been idle for keepIdle and, if
// there is no room for want otherwise, the one idle longest. The caller closes
// them, without the lock.
func (ts *transports) sweepLocked(want settings) (old []transport) {
	var longest settings
	var oldest *sharedTransport
	for s, shared := range ts.all {
		switch {
		case shared.users > 0 || s == want:
		case ts.now().Sub(shared.idleSince) >= keepIdle:
			delete(ts.all, s)
			old = append(old, shared.transport)
		case oldest == nil || shared.idleSince.Before(oldest.idleSince):
			longest, oldest = s, shared
		}
	}
	if _, known := ts.all[want]; !known && len(ts.all) >= maxTransports && oldest != nil {
		delete(ts.all, longest)
		old = append(old, oldest.transport)
	}
	return old
}

// close ends all transports, side by side, and refuses new ones.
func (ts *transports) close() {
	ts.mu.Lock()
	ts.closed = true
	var all []transport
	for _, shared := range ts.all {
		all = append(all, shared.transport)
	}
	clear(ts.all)
	kept := slices.Collect(maps.Values(ts.kept))
	clear(ts.kept)
	ts.mu.Unlock()
	closeAll(all)
	for _, c := range kept {
		c.Close() // nobody uses it now
	}
}

// closeAll closes transports side by side: each may take a moment.
func closeAll(all []transport) {
	var wg sync.WaitGroup
	for _, t := range all {
		wg.Go(func() { t.Close() })
	}
	wg.Wait()
}
