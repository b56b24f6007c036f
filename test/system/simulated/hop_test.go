package simulated

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"

	"flurry/client/snowclient"
	"flurry/common/carrier"
	"flurry/common/carrier/carriertest"
	"flurry/common/carrier/ws"
	"flurry/common/sdp"
	"flurry/common/simnet"
	"flurry/proxy/snowproxy"
)

// A hop is a kind of carrier between client and volunteer.
type hop int

const (
	lossy   hop = iota // as an unordered channel: whole messages of up to 2048 bytes or nothing, in any order
	ordered            // as a reliable channel: a stream
)

// shaped returns the carriers of a hop from the client to the volunteer.
func (k hop) shaped(client, volunteer *simnet.Host) (atClient, atVolunteer *carriertest.ShapedConn) {
	o := carriertest.Shaped{Kind: carriertest.Stream}
	if k == lossy {
		// What rtc.Unordered promises, and half a megabyte as its buffer.
		o = carriertest.Shaped{Kind: carriertest.Lossy, MaxMessage: 2048, Fit: 1156, Buffer: 640 << 10}
	}
	o.ThenAB, o.ThenBA = client.Route(volunteer)
	return carriertest.ShapedPair(o)
}

// A meeting is where client and volunteers find the two ends of a carrier. The
// descriptions that the broker carries hold a number, and a candidate because the broker asks for one.
type meeting struct {
	mu   sync.Mutex
	last int
	from map[int]*simnet.Host // clients that have made an offer
	ends map[int]carrier.Conn // the client's ends of what was answered
}

func newMeeting() *meeting {
	return &meeting{from: make(map[int]*simnet.Host), ends: make(map[int]carrier.Conn)}
}

// describe makes a description that holds a number, number reads it.
func describe(kind string, n int) string {
	return sdp.Description{Type: kind, SDP: fmt.Sprintf("v=0\r\no=- %d 0 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=candidate:none\r\n", n)}.String()
}

func number(text string) (int, error) {
	d, err := sdp.Parse(text)
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(d.SDP, "o=- ")
	digits, _, _ := strings.Cut(rest, " ")
	return strconv.Atoi(digits)
}

type dialer struct {
	m    *meeting
	host *simnet.Host
}

func (m *meeting) dialer(host *simnet.Host) snowclient.CarrierDialer { return dialer{m, host} }

// DialCarrier implements snowclient.CarrierDialer.
func (d dialer) DialCarrier(ctx context.Context, signal snowclient.SignalFunc) (carrier.Conn, error) {
	d.m.mu.Lock()
	d.m.last++
	n := d.m.last
	d.m.from[n] = d.host
	d.m.mu.Unlock()
	_, err := signal(ctx, describe("offer", n))
	d.m.mu.Lock()
	defer d.m.mu.Unlock()
	c := d.m.ends[n]
	delete(d.m.from, n)
	delete(d.m.ends, n)
	if err != nil {
		if c != nil {
			c.Close()
		}
		return nil, err
	}
	return c, nil
}

// An answerer implements snowproxy.Answerer.
type answerer struct {
	meeting *meeting
	host    *simnet.Host
	hop     hop
	wrap    func(carrier.Conn) carrier.Conn // what the volunteer makes of a carrier; nil: leaves it

	served []*carriertest.ShapedConn // the volunteer's ends so far; guarded by the meeting's mu
}

var errNobody = errors.New("the client has gone")

// Answer implements snowproxy.Answerer.
func (a *answerer) Answer(_ context.Context, offer string) (snowproxy.PendingCarrier, error) {
	n, err := number(offer)
	if err != nil {
		return nil, err
	}
	a.meeting.mu.Lock()
	defer a.meeting.mu.Unlock()
	client := a.meeting.from[n]
	if client == nil {
		return nil, errNobody
	}
	near, far := a.hop.shaped(client, a.host)
	a.meeting.ends[n] = near
	var end carrier.Conn = far
	if a.wrap != nil {
		end = a.wrap(far)
	}
	a.served = append(a.served, far)
	return pending{describe("answer", n), end}, nil
}

// pending is a carrier that is open at once.
type pending struct {
	answer string
	conn   carrier.Conn
}

func (p pending) Answer() string                             { return p.answer }
func (p pending) Wait(context.Context) (carrier.Conn, error) { return p.conn, nil }
func (p pending) Close()                                     { p.conn.Close() }

// A webSocket implements snowproxy.Upstream as the proxy's own does, on a
// simulated host.
type webSocket struct{ host *simnet.Host }

// Connect implements snowproxy.Upstream.
func (w webSocket) Connect(ctx context.Context, relay *url.URL, client netip.Addr) (carrier.Conn, error) {
	u := *relay
	if client.IsValid() {
		u.RawQuery = url.Values{"client_ip": {client.String()}}.Encode()
	}
	c, err := ws.Dial(ctx, &u, ws.DialOptions{DialContext: w.host.DialContext})
	if err != nil {
		return nil, err
	}
	return c, nil
}

// kill ends the volunteer's ends of its carriers without a word to the client.
func (a *answerer) kill() {
	a.meeting.mu.Lock()
	defer a.meeting.mu.Unlock()
	for _, c := range a.served {
		c.Kill()
	}
}
