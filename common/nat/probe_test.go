package nat

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/stun/v3"
	"go.uber.org/goleak"

	"flurry/common/messages"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A server is a STUN server with two sockets, at 127.0.0.1 and 127.0.0.2.
type server struct {
	conns    [2]*net.UDPConn
	requests [2]atomic.Int32
	group    sync.WaitGroup

	// answer makes the replies of socket at to a request from client; each is
	// sent from the socket it names.
	answer func(s *server, at int, request *stun.Message, client *net.UDPAddr) []packet
}

type packet struct {
	from int
	raw  []byte
}

func newServer(t *testing.T, answer func(s *server, at int, request *stun.Message, client *net.UDPAddr) []packet) *server {
	t.Helper()
	s := &server{answer: answer}
	for i, host := range []string{"127.0.0.1", "127.0.0.2"} {
		conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP(host)})
		if err != nil {
			t.Fatal(err)
		}
		s.conns[i] = conn
	}
	for i := range s.conns {
		s.group.Go(func() { s.serve(i) })
	}
	t.Cleanup(func() {
		for _, c := range s.conns {
			_ = c.Close()
		}
		s.group.Wait()
	})
	return s
}

func (s *server) serve(at int) {
	buf := make([]byte, 1500)
	for {
		n, client, err := s.conns[at].ReadFromUDP(buf)
		if err != nil {
			return
		}
		s.requests[at].Add(1)
		m := &stun.Message{Raw: append([]byte(nil), buf[:n]...)}
		if m.Decode() != nil || m.Type != stun.BindingRequest {
			continue
		}
		for _, p := range s.answer(s, at, m, client) {
			_, _ = s.conns[p.from].WriteToUDP(p.raw, client)
		}
	}
}

func (s *server) addr(at int) *net.UDPAddr { return s.conns[at].LocalAddr().(*net.UDPAddr) }
func (s *server) url() string              { return "stun:" + s.addr(0).String() }

// other is the attribute that names the second socket.
func (s *server) other() stun.Setter {
	return &stun.OtherAddress{IP: s.addr(1).IP, Port: s.addr(1).Port}
}

func mapped(a *net.UDPAddr) stun.Setter { return &stun.XORMappedAddress{IP: a.IP, Port: a.Port} }

// build makes a reply to request.
func build(request *stun.Message, kind stun.MessageType, attributes ...stun.Setter) []byte {
	setters := append([]stun.Setter{stun.NewTransactionIDSetter(request.TransactionID), kind}, attributes...)
	return stun.MustBuild(setters...).Raw
}

// honest is a correct server without a NAT between.
func honest(s *server, at int, request *stun.Message, client *net.UDPAddr) []packet {
	return []packet{{at, build(request, stun.BindingSuccess, mapped(client), s.other())}}
}

// symmetric is what a correct server sees through a NAT with address-dependent
// mapping: another port for each destination.
func symmetric(s *server, at int, request *stun.Message, client *net.UDPAddr) []packet {
	seen := *client
	seen.Port = 1024 + (client.Port+at*7)%60000
	return []packet{{at, build(request, stun.BindingSuccess, mapped(&seen), s.other())}}
}

// quick keeps the waits of tests short where a server does not answer.
func quick() Options { return Options{Timeout: 150 * time.Millisecond} }

func check(t *testing.T, servers []string, o Options, want messages.NATType, reason string) {
	t.Helper()
	got, err := Probe(t.Context(), servers, o)
	if got != want || (err == nil) != (reason == "") || err != nil && !strings.Contains(err.Error(), reason) {
		t.Errorf("%v: %v, %v", servers, got, err)
	}
}

func TestProbe(t *testing.T) {
	open, closed := newServer(t, honest), newServer(t, symmetric)
	check(t, []string{open.url()}, Options{}, messages.NATUnrestricted, "")
	check(t, []string{open.addr(0).String()}, Options{}, messages.NATUnrestricted, "")
	check(t, []string{closed.url()}, Options{}, messages.NATRestricted, "")
	check(t, []string{open.url(), closed.url()}, Options{}, messages.NATUnrestricted, "")
	check(t, nil, Options{}, messages.NATUnknown, "no STUN server is configured")
	if n := open.requests[0].Load() + open.requests[1].Load(); n != 6 {
		t.Errorf("%d requests for three probes", n)
	}
}

// A port that alone is the same, or an address that alone is, counts as another.
func TestProbeComparesAddressAndPort(t *testing.T) {
	s := newServer(t, func(s *server, at int, request *stun.Message, client *net.UDPAddr) []packet {
		seen := net.UDPAddr{IP: net.IPv4(192, 0, 2, byte(1+at)), Port: client.Port}
		return []packet{{at, build(request, stun.BindingSuccess, mapped(&seen), s.other())}}
	})
	check(t, []string{s.url()}, Options{}, messages.NATRestricted, "")
}

// Servers that cannot serve are passed over, each with its reason in the error.
func TestProbeUnusableServers(t *testing.T) {
	otherIs := func(ip string, port int) func(*server, int, *stun.Message, *net.UDPAddr) []packet {
		return func(_ *server, at int, request *stun.Message, client *net.UDPAddr) []packet {
			return []packet{{at, build(request, stun.BindingSuccess, mapped(client), &stun.OtherAddress{IP: net.ParseIP(ip), Port: port})}}
		}
	}
	for what, c := range map[string]struct {
		answer func(*server, int, *stun.Message, *net.UDPAddr) []packet
		reason string
	}{
		"silent": {func(*server, int, *stun.Message, *net.UDPAddr) []packet { return nil }, "no reply from"},
		"no other address": {func(_ *server, at int, request *stun.Message, client *net.UDPAddr) []packet {
			return []packet{{at, build(request, stun.BindingSuccess, mapped(client))}}
		}, "does not support RFC 5780"},
		"other address is silent": {func(s *server, at int, request *stun.Message, client *net.UDPAddr) []packet {
			if at == 1 {
				return nil
			}
			return honest(s, at, request, client)
		}, "other address: no reply from"},
		"other address is its own": {func(s *server, at int, request *stun.Message, client *net.UDPAddr) []packet {
			a := s.addr(0)
			return []packet{{at, build(request, stun.BindingSuccess, mapped(client), &stun.OtherAddress{IP: a.IP, Port: a.Port})}}
		}, "does not differ"},
		"same address, other port": {otherIs("127.0.0.1", 1), "does not differ"},
		"multicast":                {otherIs("224.0.0.1", 3478), "unusable other address"},
		"broadcast":                {otherIs("255.255.255.255", 3478), "unusable other address"},
		"nowhere":                  {otherIs("0.0.0.0", 3478), "unusable other address"},
		"port zero":                {otherIs("127.0.0.2", 0), "unusable other address"},
		"link-local":               {otherIs("169.254.169.254", 80), "unusable other address"},
		"no mapped address": {func(s *server, at int, request *stun.Message, _ *net.UDPAddr) []packet {
			return []packet{{at, build(request, stun.BindingSuccess, s.other())}}
		}, "no usable mapped address"},
		"IPv6 mapped address": {func(s *server, at int, request *stun.Message, client *net.UDPAddr) []packet {
			return []packet{{at, build(request, stun.BindingSuccess, &stun.XORMappedAddress{IP: net.ParseIP("2001:db8::1"), Port: 1}, s.other())}}
		}, "no usable mapped address"},
		"error reply": {func(_ *server, at int, request *stun.Message, _ *net.UDPAddr) []packet {
			return []packet{{at, build(request, stun.BindingError, stun.ErrorCodeAttribute{Code: 420, Reason: []byte("Unknown")})}}
		}, "the server refused the request: 420: Unknown"},
		"error reply without a code": {func(_ *server, at int, request *stun.Message, _ *net.UDPAddr) []packet {
			return []packet{{at, build(request, stun.BindingError)}}
		}, "the server refused the request"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			bad, good := newServer(t, c.answer), newServer(t, honest)
			check(t, []string{bad.url()}, quick(), messages.NATUnknown, c.reason)
			check(t, []string{bad.url(), good.url()}, quick(), messages.NATUnrestricted, "")
			check(t, []string{"stun:" + bad.addr(0).String(), "nonsense"}, quick(), messages.NATUnknown, "nonsense: ")
		})
	}
}

func TestProbeBadServerNames(t *testing.T) {
	o := quick()
	o.Lookup = func(_ context.Context, host string) ([]netip.Addr, error) {
		if host == "six.example" {
			return []netip.Addr{netip.MustParseAddr("2001:db8::1")}, nil
		}
		return nil, errors.New("no such host")
	}
	for server, reason := range map[string]string{
		"":                        "not a STUN server",
		"stun:":                   "not a STUN server",
		"stun:a:b:c":              "not a STUN server",
		"turn:192.0.2.1:3478":     "not a STUN server",
		"stuns:192.0.2.1":         "not a STUN server",
		"stun:192.0.2.1:99999":    "not a STUN server",
		"stun:192.0.2.1:0":        "not a STUN server",
		"stun:[2001:db8::1]:3478": "needs an IPv4 server",
		"stun:six.example":        "no IPv4 address",
		"stun:none.example:3478":  "no such host",
	} {
		check(t, []string{server}, o, messages.NATUnknown, reason)
	}
}

// Names are resolved, to IPv4.
func TestProbeResolvesNames(t *testing.T) {
	s := newServer(t, honest)
	o := Options{Lookup: func(_ context.Context, host string) ([]netip.Addr, error) {
		if host != "stun.example" {
			return nil, fmt.Errorf("asked for %s", host)
		}
		return []netip.Addr{netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("::ffff:127.0.0.1")}, nil
	}}
	check(t, []string{fmt.Sprintf("STUN:stun.example:%d", s.addr(0).Port)}, o, messages.NATUnrestricted, "")
}

// Lost packets are sent again, with the same transaction.
func TestProbeRetransmits(t *testing.T) {
	var dropped atomic.Int32
	ids := make(chan [stun.TransactionIDSize]byte, 8)
	s := newServer(t, func(s *server, at int, request *stun.Message, client *net.UDPAddr) []packet {
		if at == 0 {
			ids <- request.TransactionID
			if dropped.Add(1) == 1 {
				return nil
			}
		}
		return honest(s, at, request, client)
	})
	check(t, []string{s.url()}, Options{}, messages.NATUnrestricted, "")
	if first, second := <-ids, <-ids; first != second {
		t.Error("the copy has another transaction")
	}
}

// Packets that are not the reply from the right place are ignored, so nobody can
// decide the outcome who does not see the request.
func TestProbeIgnoresStrangers(t *testing.T) {
	lie := &net.UDPAddr{IP: net.IPv4(203, 0, 113, 9), Port: 9}
	s := newServer(t, func(s *server, at int, request *stun.Message, client *net.UDPAddr) []packet {
		var id [stun.TransactionIDSize]byte
		forged := stun.MustBuild(stun.NewTransactionIDSetter(id), stun.BindingSuccess, mapped(lie), s.other()).Raw
		right := build(request, stun.BindingSuccess, mapped(lie), s.other())
		honest := honest(s, at, request, client)[0].raw
		return []packet{
			{at, forged},    // another transaction
			{1 - at, right}, // another source
			{at, build(request, stun.BindingRequest, mapped(lie))},
			{at, []byte("garbage")}, {at, nil}, {at, right[:21]}, {at, make([]byte, 2000)},
			{at, honest},
			{at, right}, // too late
		}
	})
	check(t, []string{s.url()}, Options{}, messages.NATUnrestricted, "")
}

// The end of the context ends the probe, whatever it waits for.
func TestProbeCancelled(t *testing.T) {
	arrived := make(chan struct{}, 16)
	s := newServer(t, func(*server, int, *stun.Message, *net.UDPAddr) []packet {
		arrived <- struct{}{}
		return nil
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { <-arrived; cancel() }()
	kind, err := Probe(ctx, []string{s.url(), s.url()}, Options{Timeout: time.Hour})
	if kind != messages.NATUnknown || !errors.Is(err, context.Canceled) {
		t.Errorf("%v, %v", kind, err)
	}
	if n := s.requests[0].Load(); n > 3 {
		t.Errorf("%d requests", n)
	}
	if _, err := Probe(ctx, []string{s.url()}, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("already cancelled: %v", err)
	}
}

// A machine without a network says so.
func TestProbeNoSocket(t *testing.T) {
	o := Options{Listen: func(context.Context) (net.PacketConn, error) { return nil, errors.New("no network") }}
	check(t, []string{"127.0.0.1:1"}, o, messages.NATUnknown, "no network")
}
