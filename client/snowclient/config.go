package snowclient

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"strings"

	"github.com/pion/stun/v3"
	"github.com/prometheus/client_golang/prometheus"

	"flurry/common/carrier"
	"flurry/common/carrier/rtc"
	"flurry/common/messages"
	"flurry/common/safelog"
)

// MaxPaths bounds Config.Max. A bridge line can ask for any number; each path
// costs a volunteer, and past a few dozen they only share the client's own line.
const MaxPaths = 32

// A Rendezvous takes one request to the broker and brings back the reply. It
// may be called from several goroutines at once and must heed ctx. It may also
// be a Preparer.
type Rendezvous interface {
	Exchange(ctx context.Context, request []byte) (reply []byte, err error)
}

// A SignalFunc trades our session description for the proxy's. Both are
// wrapper texts (sdp.Description).
type SignalFunc func(ctx context.Context, offer string) (answer string, err error)

// A CarrierDialer makes one carrier through one proxy, calling signal at most
// once to trade descriptions. It may be called from several goroutines at once.
// It may also be a Preparer.
type CarrierDialer interface {
	DialCarrier(ctx context.Context, signal SignalFunc) (carrier.Conn, error)
}

// A Config says how a Transport reaches its bridge. Only Rendezvous is needed;
// the zero value of every other field has a working meaning.
type Config struct {
	// Rendezvous reaches the broker.
	Rendezvous Rendezvous

	// Dialer makes carriers. Nil means WebRTC data channels made with
	// ICEServers, KeepLocalAddresses and Profile.
	Dialer CarrierDialer

	// ICEServers are STUN servers as stun: URLs, used to learn our public
	// address and the kind of NAT we are behind. A Transport uses a random
	// half of more than two (spec section 6). URLs of other schemes and
	// malformed ones are passed over, with a line in the log.
	ICEServers []string

	// KeepLocalAddresses offers proxies our local addresses too. It is for
	// tests and for networks that are whole worlds of their own.
	KeepLocalAddresses bool

	// Profile says whose WebRTC the connections look like, for as long as the
	// Transport lives. The zero value is a browser's, chosen at random.
	Profile rtc.Profile

	// NoInBand keeps every request to the broker on Rendezvous. Otherwise,
	// while a session lives whose bridge and broker offer it, requests go
	// through the tunnel, sealed to the broker, and Rendezvous is asked once a
	// session and when that fails.
	NoInBand bool

	// Max is the number of proxies used at once. Below 1 means 1; above
	// MaxPaths means MaxPaths.
	Max int

	// NATMemory remembers the kind of NAT for other Transports and, if it has a
	// file, for the next start. Nil means that this Transport learns it alone.
	NATMemory *NATMemory

	// Fingerprint names the bridge. Empty means messages.DefaultFingerprint.
	Fingerprint messages.Fingerprint

	Logger     *slog.Logger          // nil: silent
	Registerer prometheus.Registerer // nil: metrics are kept nowhere
	Trace      *Trace                // nil: no hooks
}

// Validate reports every fault of the configuration at once.
func (c *Config) Validate() error {
	var errs []error
	if c.Rendezvous == nil {
		errs = append(errs, configError("Rendezvous", "missing: a way to the broker is needed"))
	}
	if n := len(c.Fingerprint); n != 0 && n != 20 && n != 32 {
		errs = append(errs, configError("Fingerprint", "%d bytes; a bridge fingerprint has 20 or 32", n))
	}
	return errors.Join(errs...)
}

// withDefaults returns a copy in which every zero value that stands for a
// default has been replaced by it.
func (c Config) withDefaults() Config {
	c.Max = min(max(c.Max, 1), MaxPaths)
	if c.Fingerprint == "" {
		c.Fingerprint = messages.DefaultFingerprint
	}
	if c.Logger == nil {
		c.Logger = safelog.Discard()
	}
	return c
}

// iceServers gives the usable ones of the addresses in their normal form,
// stun:host:port, and says of each other one why it is passed over.
func iceServers(addresses []string) (urls []string, skipped []error) {
	urls = []string{}
	for _, a := range addresses {
		a = strings.TrimSpace(a)
		if a == "" {
			continue
		}
		u, err := stun.ParseURI(a)
		switch {
		case err != nil:
			skipped = append(skipped, fmt.Errorf("ICE server %q: %w", a, err))
		case u.Scheme != stun.SchemeTypeSTUN || u.Proto != stun.ProtoTypeUDP:
			skipped = append(skipped, fmt.Errorf("ICE server %q: only stun: over UDP is used", a))
		default:
			urls = append(urls, "stun:"+net.JoinHostPort(u.Host, fmt.Sprint(u.Port)))
		}
	}
	return urls, skipped
}

// subset picks the servers that one Transport uses: all of one or two, else a
// random half, rounded up (spec section 6). No client thus asks every server,
// and no server sees every client.
func subset(urls []string) []string {
	picked := append([]string(nil), urls...)
	rand.Shuffle(len(picked), func(i, j int) { picked[i], picked[j] = picked[j], picked[i] })
	if len(picked) > 2 {
		picked = picked[:(len(picked)+1)/2]
	}
	return picked
}
