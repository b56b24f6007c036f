package rtc

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"strings"

	"flurry/common/sdp"

	"github.com/pion/ice/v4"
)

// The texts are those of the captured browsers for a connection with one data
// channel, candidates gathered; what stands in braces varies. A call with audio and video would have
// texts of its own here.
const (
	chromiumSDP = `v=0
o=- {session} 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE {mid}
a=extmap-allow-mixed
a=msid-semantic: WMS
m=application {port} UDP/DTLS/SCTP webrtc-datachannel
c=IN {address}
{candidates}a=ice-ufrag:{ufrag}
a=ice-pwd:{pwd}
a=ice-options:trickle
a=fingerprint:{fingerprint}
a=setup:{setup}
a=mid:{mid}
a=sctp-port:5000
a=max-message-size:262144
`
	firefoxSDP = `v=0
o=mozilla...THIS_IS_SDPARTA-99.0 {session} 0 IN IP4 0.0.0.0
s=-
t=0 0
a=sendrecv
a=fingerprint:{fingerprint}
a=group:BUNDLE {mid}
a=ice-options:trickle
a=msid-semantic:WMS *
m=application {port} UDP/DTLS/SCTP webrtc-datachannel
c=IN {address}
{candidates}a=sendrecv
a=end-of-candidates
a=ice-pwd:{pwd}
a=ice-ufrag:{ufrag}
a=mid:{mid}
a=setup:{setup}
a=sctp-port:5000
a=max-message-size:1073741823
`
	pionSDP = `v=0
o=- {session} {time} IN IP4 0.0.0.0
s=-
t=0 0
a=msid-semantic:WMS *
a=fingerprint:{fingerprint}
a=extmap-allow-mixed
a=group:BUNDLE {mid}
m=application 9 UDP/DTLS/SCTP webrtc-datachannel
c=IN IP4 0.0.0.0
a=setup:{setup}
a=mid:{mid}
a=sendrecv
a=sctp-port:5000
a=max-message-size:1073741823
a=ice-ufrag:{ufrag}
a=ice-pwd:{pwd}
{candidates}a=end-of-candidates
`
)

// An sdpShape is how a profile writes descriptions.
type sdpShape struct {
	text      string
	candidate func(place) string // the value of a=candidate
}

// A place is a candidate among those of its description.
type place struct {
	ice.Candidate
	address netip.Addr
	index   int // of its kind in this description
	at      int // in this description
}

// A description is what one of ours says.
type description struct {
	credentials
	session     uint64 // the number in o=
	unix        int64  // now
	mid         string
	setup       string
	fingerprint string
	candidates  []ice.Candidate
}

// write returns the text of d in shape s.
func (s sdpShape) write(d description) string {
	var lines strings.Builder
	port, address := "9", netip.IPv4Unspecified() // if there is no candidate
	kinds := map[ice.CandidateType]int{}
	best := ice.CandidateTypeUnspecified
	at := 0
	for _, c := range d.candidates {
		addr, err := netip.ParseAddr(c.Address())
		if err != nil {
			continue
		}
		lines.WriteString("a=candidate:" + s.candidate(place{c, addr, kinds[c.Type()], at}) + "\n")
		kinds[c.Type()]++
		at++
		// The default is the first reflexive one, else the first, and of IPv4 if
		// there is one.
		if best == ice.CandidateTypeUnspecified || addr.Is4() && !address.Is4() ||
			addr.Is4() == address.Is4() && best == ice.CandidateTypeHost && c.Type() != best {
			port, address, best = strconv.Itoa(c.Port()), addr, c.Type()
		}
	}
	family := "IP4 "
	if address.Is6() {
		family = "IP6 "
	}
	text := strings.NewReplacer(
		"{session}", strconv.FormatUint(d.session, 10), "{time}", strconv.FormatInt(d.unix, 10),
		"{mid}", d.mid, "{setup}", d.setup, "{port}", port, "{address}", family+address.String(),
		"{ufrag}", d.ufrag, "{pwd}", d.pwd, "{fingerprint}", d.fingerprint, "{candidates}", lines.String(),
	).Replace(s.text)
	return strings.ReplaceAll(text, "\n", "\r\n")
}

// randomSession is a number as browsers have it in o=, of 19 digits.
func randomSession() uint64 { return 1e18 + rand.Uint64N(1<<63-1e18) }

// A candidate's priority (RFC 8445 section 5.1.2): its type's preference, its
// network's, which is 127 for the first and less for others, one that the
// browser gives to the address, and the component's.
const (
	firstNetwork = 127

	chromiumIPv4 = 30 // IPAddressPrecedence in libwebrtc
	chromiumIPv6 = 40

	// firefoxServer is the preference for the first STUN server's, see
	// nr_ice_candidate_compute_priority in nICEr.
	firefoxServer = 31
)

func priority(c place, network, address int) uint32 {
	return uint32(c.Type().Preference())<<24 | uint32(max(network, 0)&0xff)<<16 | uint32(max(address, 0)&0xff)<<8 | 255
}

// noBase is what stands for the address behind a reflexive candidate: it is not
// told.
const noBase = " raddr 0.0.0.0 rport 0"

func relation(c place) string {
	if c.Type() == ice.CandidateTypeHost {
		return ""
	}
	if c.address.Is6() {
		return " raddr :: rport 0"
	}
	return noBase
}

func chromiumCandidate(c place) string {
	network, preference := c.index, chromiumIPv4
	if c.address.Is6() {
		preference = chromiumIPv6
	}
	if c.Type() != ice.CandidateTypeHost {
		network = 0
	}
	return fmt.Sprintf("%s 1 udp %d %s %d typ %s%s generation 0 network-id %d",
		c.Foundation(), priority(c, firstNetwork-network, preference), c.address, c.Port(), c.Type(), relation(c), network+1)
}

func firefoxCandidate(c place) string {
	network, preference := c.index, 0
	if c.Type() != ice.CandidateTypeHost {
		network, preference = 0, firefoxServer-c.index
	}
	return fmt.Sprintf("%d 1 UDP %d %s %d typ %s%s",
		c.at, priority(c, firstNetwork-network, preference), c.address, c.Port(), c.Type(), relation(c))
}

func pionCandidate(c place) string {
	relation := ""
	if r := c.RelatedAddress(); r != nil && r.Address != "" && r.Port != 0 {
		relation = fmt.Sprintf(" raddr %s rport %d", r.Address, r.Port)
	}
	return fmt.Sprintf("%s 1 udp %d %s %d typ %s%s", c.Foundation(), c.Priority(), c.address, c.Port(), c.Type(), relation)
}

// usable returns the candidates to tell of. Local addresses are left out,
// unless keepLocal (spec section 5.3).
func usable(all []ice.Candidate, keepLocal bool) []ice.Candidate {
	var some []ice.Candidate
	for _, c := range all {
		addr, err := netip.ParseAddr(c.Address())
		if err == nil && !keepLocal && c.Type() == ice.CandidateTypeHost && sdp.IsLocal(addr) {
			continue
		}
		some = append(some, c)
	}
	return some
}
