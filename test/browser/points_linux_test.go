package browser

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// An end is one of a call's: who offered, which is ICE's controlling side and DTLS's server, or who answered.
type end string

const (
	offerer  end = "offerer"
	answerer end = "answerer"
)

// A point is one thing that shows, of one end. Of ours and the browser's it yields the same.
type point struct {
	name string
	ends []end
	set  runs // of which calls
	// One of the three. words must be the browser's: each of ours is one that the browser has, and what nearly every call of the
	// browser has is one of ours. numbers have a median, and ours may be off by band. differs is another one in each of our calls.
	words   func(t *trace, up bool) []string
	numbers func(t *trace, up bool) []float64
	band    float64
	unit    string
	differs func(t *trace, up bool) string
	sparse  bool // not every call has it
	repeats int  // of differs: in how many calls of some hundred chance may bring the same again
}

// A runs is a set of calls made for a purpose.
type runs string

const (
	short        runs = "short"
	long         runs = "long"
	deafClient   runs = "deaf client" // nothing of the server's DTLS arrives
	deafServer   runs = "deaf server" // nothing of the client's DTLS arrives after its hello
	silentServer runs = "silent STUN server"
	lossy        runs = "lossy line"
)

var both = []end{offerer, answerer}

// points are those of section "what must be the same" in doc/threats.md that a call with a data channel has.
func points() []point {
	all := append(stunPoints(), dtlsPoints()...)
	return append(append(all, sctpPoints()...), timePoints()...)
}

func stunPoints() []point {
	return []point{
		{name: "STUN check: attributes, bytes", ends: both, words: func(t *trace, up bool) []string {
			return each(t.filter(up, isRequest), func(d datagram) string { return fmt.Sprintf("%d %s", d.size, d.stun.shape()) })
		}},
		{name: "STUN answer: attributes, bytes", ends: both, words: func(t *trace, up bool) []string {
			return each(t.filter(up, isResponse), func(d datagram) string { return fmt.Sprintf("%d %s", d.size, d.stun.shape()) })
		}},
		{name: "STUN PRIORITY", ends: both, words: func(t *trace, up bool) []string {
			return each(t.filter(up, isRequest), func(d datagram) string { return fmt.Sprintf("%x", d.stun.get(attrPriority)) })
		}},
		{name: "STUN ids: alphabet", ends: both, words: func(t *trace, up bool) []string {
			return []string{alphabet(t.filter(up, isRequest))}
		}},
		{name: "STUN errors, indications", ends: both, words: func(t *trace, up bool) []string {
			return each(t.filter(up, func(d datagram) bool { return d.stun != nil && !isRequest(d) && !isResponse(d) }),
				func(d datagram) string { return d.stun.class })
		}},
		{name: "ufrag and pwd", ends: both, words: func(t *trace, up bool) []string { return []string{credentialsOf(t.description(up))} }},
		{name: "STUN ids, each its own", ends: both, differs: func(t *trace, up bool) string {
			ids := each(t.filter(up, isRequest), func(d datagram) string { return string(d.stun.id[:]) })
			if len(ids) < len(t.filter(up, isRequest)) {
				return "repeated" // Which a second call will have too, or not: none must.
			}
			return strings.Join(ids, "")
		}},
		{name: "tie-breaker, each its own", ends: both, differs: func(t *trace, up bool) string {
			for _, d := range t.filter(up, isRequest) {
				return string(d.stun.get(attrControlled)) + string(d.stun.get(attrControlling))
			}
			return ""
		}},
		{name: "ufrag, each its own", ends: both, differs: func(t *trace, up bool) string {
			return ufragLine.FindString(t.description(up))
		}},
	}
}

func dtlsPoints() []point {
	return []point{
		{name: "ClientHello, what is random as zero", ends: []end{answerer}, words: func(t *trace, up bool) []string {
			return normalised(t.hello(up, 1), false)
		}},
		{name: "ClientHello: datagrams and records", ends: []end{answerer}, words: func(t *trace, up bool) []string {
			return flight(t.filter(up, isHello), 2)
		}},
		{name: "ServerHello, what is random as zero", ends: []end{offerer}, words: func(t *trace, up bool) []string {
			return normalised(t.hello(up, 2), true)
		}},
		{name: "ServerHello: datagram and records", ends: []end{offerer}, words: func(t *trace, up bool) []string {
			return flight(t.filter(up, isHello), 1)
		}},
		{name: "server's second datagram: records", ends: []end{offerer}, words: func(t *trace, up bool) []string {
			return headers(t.filter(up, isFlight), 1)
		}},
		{name: "server's second datagram: bytes", ends: []end{offerer}, numbers: func(t *trace, up bool) []float64 {
			return sizes(t.filter(up, isFlight), 1)
		}, band: 3},
		{name: "client's last flight: records", ends: []end{answerer}, words: func(t *trace, up bool) []string {
			return headers(t.filter(up, isFlight), 1)
		}},
		{name: "client's last flight: bytes", ends: []end{answerer}, numbers: func(t *trace, up bool) []float64 {
			return sizes(t.filter(up, isFlight), 1)
		}, band: 3},
		{name: "server's ACK: bytes", ends: []end{offerer}, sparse: true, words: func(t *trace, up bool) []string {
			// What came twice is acknowledged twice.
			if len(t.filter(!up, isHello)) != 2 || len(t.filter(!up, isEpoch(2))) != 1 || len(t.filter(up, isEpoch(3))) == 0 {
				return nil
			}
			return each(t.filter(up, isEpoch(3))[:1], func(d datagram) string { return fmt.Sprint(d.size) })
		}},
		{name: "first bytes of records of data", ends: both, words: func(t *trace, up bool) []string {
			var all []string
			for _, d := range t.filter(up, isEpoch(3)) {
				all = append(all, fmt.Sprintf("%02x", d.records[0].first), fmt.Sprintf("%d in a datagram", len(d.records)))
			}
			return unique(all)
		}},
		{name: "HelloVerifyRequest, retry, alert, old record", ends: both, words: oddities},
		{name: "order of extensions, each its own", ends: []end{answerer}, repeats: 1, differs: func(t *trace, up bool) string {
			if t.Profile == "firefox" {
				return "" // Its order is fixed.
			}
			return extensionOrder(t.hello(up, 1))
		}},
		{name: "random and key shares, each their own", ends: both, differs: func(t *trace, up bool) string {
			return string(t.hello(up, 1)) + string(t.hello(up, 2))
		}},
	}
}

func sctpPoints() []point {
	return []point{
		{name: "SCTP handshake: bytes of datagrams", ends: both, words: func(t *trace, up bool) []string {
			return each(t.association(up), func(d datagram) string { return fmt.Sprint(d.size) })
		}},
		{name: "channel's OPEN or ACK: bytes", ends: both, words: func(t *trace, up bool) []string {
			after := t.filter(up, isSCTP)[len(t.association(up)):]
			for len(after) > 0 && after[0].size == sackOnly {
				after = after[1:]
			}
			if len(after) == 0 {
				return nil
			}
			return []string{fmt.Sprint(after[0].size)}
		}},
		{name: "messages of 5 with an acknowledgement", ends: both, numbers: func(t *trace, up bool) []float64 {
			return []float64{float64(t.answersWithSACK(up))}
		}, band: 1},
		{name: "largest datagram", ends: both, words: func(t *trace, up bool) []string {
			most := 0
			for _, d := range t.filter(up, isEpoch(3)) {
				most = max(most, d.size)
			}
			return []string{fmt.Sprint(most)}
		}},
		{name: "end of a call: bytes of datagrams", ends: []end{offerer}, words: func(t *trace, up bool) []string {
			var last []string
			for _, d := range t.filter(up, isEpoch(3)) {
				if t.closedAt > 0 && d.at > t.closedAt {
					last = append(last, fmt.Sprint(d.size))
				}
			}
			return []string{strings.Join(last[max(0, len(last)-2):], " ")} // What was said before may be sent again.
		}},
		{name: "description, what varies left out", ends: both, words: func(t *trace, up bool) []string {
			return skeleton(t.description(up))
		}},
	}
}

func timePoints() []point {
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	gap := func(n int, f func(datagram) bool) func(t *trace, up bool) []float64 {
		return func(t *trace, up bool) []float64 {
			some := t.filter(up, f)
			if len(some) <= n+1 {
				return nil
			}
			return []float64{ms(some[n+1].at - some[n].at)}
		}
	}
	all := []point{
		{name: "from first to second check", ends: both, numbers: gap(0, isRequest), band: 15, unit: "ms"},
		{name: "from second to third check", ends: both, numbers: gap(1, isRequest), band: 15, unit: "ms"},
		{name: "checks of a call that lives", ends: both, set: long, numbers: func(t *trace, up bool) []float64 {
			var all []float64
			checks := t.filter(up, isRequest)
			for i := 1; i < len(checks); i++ {
				if g := ms(checks[i].at - checks[i-1].at); g > 1500 {
					all = append(all, g)
				}
			}
			return all
		}, band: 150, unit: "ms"},
	}
	isFirst := func(typ byte) func(datagram) bool {
		return func(d datagram) bool {
			return isHello(d) && d.records[0].fragment != nil && d.records[0].fragment.typ == typ && d.records[0].fragment.at == 0
		}
	}
	// How long the round trip is, by which Chromium waits, differs by call: so the first wait may be off, and the others go by it.
	again := func(n int, f func(datagram) bool) func(t *trace, up bool) []float64 {
		return func(t *trace, up bool) []float64 {
			first, later := gap(0, f)(t, up), gap(n, f)(t, up)
			if first == nil || later == nil {
				return nil
			}
			return []float64{later[0] / first[0]}
		}
	}
	all = append(all,
		point{name: "ClientHello again", ends: []end{answerer}, set: deafClient, numbers: gap(0, isFirst(1)), band: 20, unit: "ms"},
		point{name: "ServerHello again", ends: []end{offerer}, set: deafServer, numbers: gap(0, isFirst(2)), band: 20, unit: "ms"})
	for n := range 3 {
		all = append(all,
			point{name: fmt.Sprintf("ClientHello again, %d", n+2), ends: []end{answerer}, set: deafClient, numbers: again(n+1, isFirst(1)),
				band: 0.5 * float64(n+1), unit: "times the first"},
			point{name: fmt.Sprintf("ServerHello again, %d", n+2), ends: []end{offerer}, set: deafServer, numbers: again(n+1, isFirst(2)),
				band: 0.5 * float64(n+1), unit: "times the first"})
	}
	for n := range 4 {
		all = append(all,
			point{name: fmt.Sprintf("STUN server asked again, %d", n+1), ends: []end{offerer}, set: silentServer, numbers: gap(n, isRequest),
				band: 40, unit: "ms"})
	}
	return append(all, point{name: "request to a STUN server: attributes, bytes", ends: []end{offerer}, set: silentServer,
		words: func(t *trace, up bool) []string {
			return each(t.filter(up, isRequest), func(d datagram) string { return fmt.Sprintf("%d %s", d.size, d.stun.shape()) })
		}})
}

// sackOnly is a datagram that has an acknowledgement and no more: 12 bytes of SCTP's header, 16 of the chunk, 22 of DTLS.
const sackOnly = 50

// isFlight says whether a datagram has messages that are encrypted, and no ACK of what has come of a flight so far.
func isFlight(d datagram) bool { return isEpoch(2)(d) && d.size > 300 }

// association is an end's datagrams of SCTP's handshake: those that have the size of one in either browser, before anything else.
func (t *trace) association(up bool) []datagram {
	all := t.filter(up, isSCTP)
	for i, d := range all {
		if i == 4 || !slices.Contains([]int{66, 118, 86, 38, 114, 82, 62, 98, 70}, d.size) {
			return all[:i]
		}
	}
	return all
}

// answersWithSACK counts the messages of talk's sizes that come with an acknowledgement, of 16 bytes, in their datagram.
func (t *trace) answersWithSACK(up bool) int {
	data := 16 // the chunk's header, RFC 9260 section 3.3.1
	if t.Profile == "firefox" {
		data = 20 // I-DATA, RFC 8260 section 2.1
	}
	n := 0
	for _, d := range t.filter(up, isEpoch(3)) {
		for _, size := range talk[1:] {
			if d.at < t.bulkAt && d.size == 22+12+data+(size+3)/4*4+16 && size < 1000 {
				n++
			}
		}
	}
	return n
}

// description is the SDP of an end.
func (t *trace) description(up bool) string {
	if up {
		return sdpOf(t.offer)
	}
	return sdpOf(t.answer)
}

func each(all []datagram, f func(datagram) string) []string {
	var words []string
	for _, d := range all {
		words = append(words, f(d))
	}
	return unique(words)
}

func unique(words []string) []string {
	words = slices.Clone(words)
	slices.Sort(words)
	return slices.Compact(words)
}

func alphabet(all []datagram) string {
	text := regexp.MustCompile(`^[A-Za-z0-9+/]*$`)
	for _, d := range all {
		if !text.Match(d.stun.id[:]) {
			return "any byte"
		}
	}
	return "base64"
}

func credentialsOf(sdp string) string {
	s := ""
	for _, name := range []string{"ufrag", "pwd"} {
		m := regexp.MustCompile(`a=ice-` + name + `:(\S+)`).FindStringSubmatch(sdp)
		if m == nil {
			return "none"
		}
		class := "base64"
		if regexp.MustCompile(`^[0-9a-f]*$`).MatchString(m[1]) && len(m[1]) > 4 {
			class = "hex"
		}
		s += fmt.Sprintf("%d %s ", len(m[1]), class)
	}
	return strings.TrimSpace(s)
}

// flight is the first n datagrams as one word: bytes and headers of records.
func flight(all []datagram, n int) []string {
	if len(all) < n {
		return nil
	}
	var parts []string
	for _, d := range all[:n] {
		var records []string
		for _, r := range d.records {
			records = append(records, r.String())
		}
		parts = append(parts, fmt.Sprintf("%d: %s", d.size, strings.Join(records, ", ")))
	}
	return []string{strings.Join(parts, "; ")}
}

// headers is flight without sizes.
func headers(all []datagram, n int) []string {
	if len(all) < n {
		return nil
	}
	var records []string
	for _, d := range all[:n] {
		for _, r := range d.records {
			records = append(records, r.String())
		}
	}
	return []string{strings.Join(records, ", ")}
}

func sizes(all []datagram, n int) []float64 {
	if len(all) < n {
		return nil
	}
	return []float64{float64(all[n-1].size)}
}

// oddities are what a browser's handshake does not have.
func oddities(t *trace, up bool) []string {
	all := []string{"none"}
	for _, d := range t.filter(up, isDTLS) {
		for _, r := range d.records {
			switch {
			case !r.plain:
			case r.epoch > 0:
				all = append(all, "old header at epoch > 0")
			case r.first != 22:
				all = append(all, fmt.Sprintf("type %d in clear", r.first))
			case r.fragment == nil:
				all = append(all, "bad record")
			case r.fragment.typ == 3:
				all = append(all, "HelloVerifyRequest")
			case r.fragment.typ == 2 && r.fragment.length < 200 || r.fragment.typ == 1 && r.fragment.seq > 0:
				all = append(all, "HelloRetryRequest")
			}
		}
	}
	return unique(all)
}

// normalised is a hello without what is random, as the begin of its digest; Chromium's extensions in the order of their numbers.
func normalised(hello []byte, server bool) []string {
	h := slices.Clone(hello)
	at, ok := extensionsAt(h, server)
	if !ok {
		return nil
	}
	clear(h[2:34])
	var extensions []string
	sorted := slices.Clone(h[:at])
	for rest := h[at:]; len(rest) >= 4; {
		n := 4 + int(binary.BigEndian.Uint16(rest[2:]))
		if n > len(rest) {
			return nil
		}
		if binary.BigEndian.Uint16(rest) == 51 { // key_share
			clearShares(rest[4:n], server)
		}
		extensions = append(extensions, string(rest[:n]))
		rest = rest[n:]
	}
	if !server && len(h) == chromiumHello {
		slices.Sort(extensions)
	}
	sorted = append(sorted, strings.Join(extensions, "")...)
	sum := sha256.Sum256(sorted)
	return []string{fmt.Sprintf("%d bytes, SHA-256 %x..", len(hello), sum[:4])}
}

// chromiumHello is the length of Chromium's ClientHello, whose extensions come in any order.
const chromiumHello = 1413

// extensionsAt returns where the extensions of a hello begin (RFC 9147 section 5.3, RFC 8446 section 4.1.3).
func extensionsAt(h []byte, server bool) (int, bool) {
	at := 34
	skip := func(width int) {
		if at+width > len(h) {
			at = len(h)
			return
		}
		n := int(h[at])
		if width == 2 {
			n = n<<8 | int(h[at+1])
		}
		at += width + n
	}
	if len(h) < at {
		return 0, false
	}
	skip(1) // session id
	if server {
		at += 3 // suite and compression
	} else {
		skip(1) // cookie
		skip(2) // suites
		skip(1) // compression
	}
	at += 2
	return at, at < len(h)
}

// clearShares sets the keys of a key_share extension to zero.
func clearShares(b []byte, server bool) {
	if !server && len(b) >= 2 {
		b = b[2:]
	}
	for len(b) >= 4 {
		n := min(4+int(binary.BigEndian.Uint16(b[2:])), len(b))
		clear(b[4:n])
		b = b[n:]
	}
}

func extensionOrder(hello []byte) string {
	at, ok := extensionsAt(hello, false)
	if !ok {
		return ""
	}
	order := ""
	for rest := hello[at:]; len(rest) >= 4; {
		order += fmt.Sprintf("%d ", binary.BigEndian.Uint16(rest))
		rest = rest[min(len(rest), 4+int(binary.BigEndian.Uint16(rest[2:]))):]
	}
	return order
}

var varying = []struct{ what, with string }{
	{`(?m)^o=(\S+) \d+ (\d+) `, "o=$1 N $2 "},
	{`(?m)^a=(ice-ufrag|ice-pwd):.*$`, "a=$1"},
	{`(?m)^a=fingerprint:sha-256 .*$`, "a=fingerprint:sha-256"},
	{`(?m)^m=application \d+ `, "m=application PORT "},
	{`(?m)^(c=IN IP4) [\d.]+`, "$1 ADDR"},
	{`ufrag \S+ `, "ufrag X "},
	{`(?m)^a=candidate:\S+ (\d) (\S+) (\d+) [\d.]+ \d+ (.*)$`, "a=candidate:N $1 $2 $3 ADDR PORT $4"},
}

// skeleton is the lines of a description, what varies left out, each with the line before it, so that their order counts.
func skeleton(sdp string) []string {
	sdp = strings.ReplaceAll(strings.TrimSpace(sdp), "\r", "")
	for _, v := range varying {
		sdp = regexp.MustCompile(v.what).ReplaceAllString(sdp, v.with)
	}
	return unique(strings.Split(sdp, "\n"))
}
