package snowserver

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"
)

// Defaults of a Config's fields.
const (
	// DefaultPreludeTimeout is how long an upgraded WebSocket, or the stream of a
	// WebTransport session, may stay without its 16 opening bytes. Clients send
	// them as soon as the data channel is open; the deployed server waits for ever
	// (spec section 13, number 12).
	DefaultPreludeTimeout = 10 * time.Second

	// DefaultHeaderTimeout bounds TLS handshake and upgrade request, as the
	// deployed server does (spec section 8.1); of WebTransport the handshake, and
	// from there the time to the stream.
	DefaultHeaderTimeout = 10 * time.Second

	// DefaultIdleTimeout is how long a session without streams and carriers is
	// kept: as long as packets wait for a carrier (spec section 7.6).
	DefaultIdleTimeout = time.Minute

	// DefaultMaxHalfOpen bounds connections that have not yet sent a complete
	// prelude. At some 30 KiB each (TLS state, HTTP buffers) they take at most
	// a quarter of a gigabyte, three times that if all come over QUIC. The oldest
	// gives way to the newest, so a flood has to renew all of them within one
	// honest round trip to do harm.
	DefaultMaxHalfOpen = 8192

	// DefaultMaxSessions bounds the sessions of all shards: above the 98 304
	// clients that the deployed server remembers (spec section 7.6).
	DefaultMaxSessions = 131072

	// DefaultMaxStreams bounds the open streams of one session. The deployed
	// client opens one (spec section 7.4), ours one for each connection that an
	// application has open.
	DefaultMaxStreams = 1024
)

const (
	// maxCarriers bounds the carriers that one ClientID may have at a time,
	// since choosing among them takes time linear in their number. Clients use
	// a handful.
	maxCarriers = 64

	// acceptBacklog is the number of streams that may wait for Accept. When it
	// is full, only the sessions that bring new streams wait.
	acceptBacklog = 1024

	// maxHeaderBytes bounds an upgrade request. Browsers send about 1 KiB.
	maxHeaderBytes = 8 << 10

	// sweepsPerIdle is how often idle sessions are looked for within one
	// IdleTimeout, which makes the timeout exact to a sixth.
	sweepsPerIdle = 6

	// deadAfter is how long a proxy may leave what it was sent unacknowledged.
	// Proxies that live hear something every 10 s (spec section 7.4) and end a
	// client after 30 s of silence (spec section 8.2).
	deadAfter = time.Minute

	// reportEvery is the period of the log line that counts connections with
	// and without an address (spec section 8.3).
	reportEvery = 24 * time.Hour
)

// Config says how to serve. Its zero value listens on a free port of all
// addresses, without TLS.
type Config struct {
	// Addr is the TCP address to listen on when Listener is nil.
	Addr string

	// Listener, if set, brings the connections. Listen takes it over, and
	// closes it when it returns an error.
	Listener net.Listener

	// TLSConfig, if set, puts TLS under HTTP. Only HTTP/1.1 is offered.
	TLSConfig *tls.Config

	// WebTransport takes proxies by WebTransport too, with the certificates of
	// TLSConfig, at the UDP port of the same number.
	WebTransport bool

	// Shards is among how many locks the clients are divided (num-turbotunnel in
	// torrc); 0 is 1. Their sessions run side by side whatever it is.
	Shards int

	// Times and limits; 0 stands for the default above.
	PreludeTimeout time.Duration
	HeaderTimeout  time.Duration
	IdleTimeout    time.Duration
	MaxHalfOpen    int
	MaxSessions    int
	MaxStreams     int

	// Rendezvous, if set, reaches the broker, and clients are offered to ask it
	// for more proxies through the tunnel. The bridge sees when they ask and
	// how much, and no more: see doc/threats.md.
	Rendezvous Rendezvous

	// Logger takes what an operator should know; nil is silence.
	Logger *slog.Logger

	desk *desk // nil without Rendezvous; made by withDefaults, once
}

// Validate reports every fault of c at once.
func (c Config) Validate() error {
	var faults []error
	for _, f := range []struct {
		name  string
		value int64
	}{
		{"Shards", int64(c.Shards)},
		{"PreludeTimeout", int64(c.PreludeTimeout)},
		{"HeaderTimeout", int64(c.HeaderTimeout)},
		{"IdleTimeout", int64(c.IdleTimeout)},
		{"MaxHalfOpen", int64(c.MaxHalfOpen)},
		{"MaxSessions", int64(c.MaxSessions)},
		{"MaxStreams", int64(c.MaxStreams)},
	} {
		if f.value < 0 {
			faults = append(faults, fmt.Errorf("%s is negative", f.name))
		}
	}
	if c.Listener != nil && c.Addr != "" {
		faults = append(faults, errors.New("both Addr and Listener are set"))
	}
	if c.WebTransport && c.TLSConfig == nil {
		faults = append(faults, errors.New("WebTransport is set without TLSConfig"))
	}
	return errors.Join(faults...)
}

// withDefaults fills what is zero.
func (c Config) withDefaults() Config {
	orDefault(&c.Shards, 1)
	orDefault(&c.PreludeTimeout, DefaultPreludeTimeout)
	orDefault(&c.HeaderTimeout, DefaultHeaderTimeout)
	orDefault(&c.IdleTimeout, DefaultIdleTimeout)
	orDefault(&c.MaxHalfOpen, DefaultMaxHalfOpen)
	orDefault(&c.MaxSessions, DefaultMaxSessions)
	orDefault(&c.MaxStreams, DefaultMaxStreams)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Rendezvous != nil && c.desk == nil {
		c.desk = newDesk(c.Rendezvous)
	}
	return c
}

func orDefault[T int | time.Duration](v *T, d T) {
	if *v == 0 {
		*v = d
	}
}
