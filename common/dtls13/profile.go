package dtls13

import (
	"slices"
	"time"
)

// A Profile is a browser as it looks on the wire. Its zero value stands for
// Chromium.
type Profile struct {
	name string

	suites   []uint16 // of the ClientHello, those of 1.2 too
	groups   []uint16
	shares   []uint16 // groups of the ClientHello's key shares
	versions []uint16
	srtp     []uint16 // also a server's preference
	sigAlgs  []uint16 // of the ClientHello, and of 1.2's CertificateRequest
	reqAlgs  []uint16 // of 1.3's CertificateRequest
	order    []uint16 // of the ClientHello's extensions
	permute  bool     // that order for each connection
	alpn     []string // offered, and a server's preference
	fullEE   bool     // a server has more than use_srtp in EncryptedExtensions

	order12     []uint16 // of the ServerHello's extensions in 1.2
	certTypes12 []uint8  // of 1.2's CertificateRequest

	flights  cut
	keepACKs bool            // a client's own flight does not end the list of what it acknowledges
	resends  bool            // what comes again has it send its flight again, else it acknowledges it
	timers   []time.Duration // until a flight is sent again, then doubled
	// trips replaces the timers where the round trip is known: the first is twice
	// that, not less than the first of timers and not more than longestFirst.
	trips       bool
	lastDoubled bool          // a client's last flight has twice the first timer
	slack       time.Duration // what is left of a timer that has as good as ended

	commonName func(random []byte) string
	serialSize int
}

// A cut says how messages become records and datagrams.
type cut struct {
	// limit bounds a datagram. It is the first value, until the flight has been
	// sent again as often as the browser waits before it thinks that too large,
	// then the second.
	limit [2]int
	// patience is after how many timers the second value applies.
	patience int
	// join has messages of one epoch share a record, but for epoch 0.
	join bool
	// loose leaves the header and the tag of the last record out of the count.
	loose bool
}

// Chromium is Chromium 156, as captured (chromium-156.json in testdata).
func Chromium() Profile {
	algs := []uint16{0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601, 0x0201}
	return Profile{
		name:     "chromium",
		suites:   []uint16{0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xcca9, 0xcca8, 0xc009, 0xc013, 0xc00a, 0xc014, 0x009c, 0x002f, 0x0035},
		groups:   []uint16{groupHybrid, groupX25519, groupP256, groupP384},
		shares:   []uint16{groupHybrid, groupX25519},
		versions: []uint16{Version13, Version12},
		srtp:     []uint16{0x0001, 0x0008, 0x0007},
		sigAlgs:  algs,
		reqAlgs:  algs,
		order: []uint16{extVersions, extPSKModes, extSupportedGroups, extRenegotiation, extPointFormats, extSignatureAlgs, extKeyShare,
			extEMS, extUseSRTP},
		permute:     true,
		order12:     []uint16{extEMS, extRenegotiation, extPointFormats, extUseSRTP},
		certTypes12: []uint8{1, 64}, // rsa_sign, ecdsa_sign
		flights:     cut{limit: [2]int{1200, 1200}, join: true},
		timers:      milliseconds(50, 100, 200, 400, 800, 1600, 3200),
		trips:       true,
		slack:       15 * time.Millisecond, // BoringSSL's, for timers of sockets that end early
		commonName:  func([]byte) string { return "WebRTC" },
		serialSize:  8,
	}
}

// Firefox is Firefox ESR 153, as captured (firefox-esr-153.json in testdata).
func Firefox() Profile {
	return Profile{
		name:     "firefox",
		suites:   []uint16{0x1301, 0x1303, 0xc02b, 0xc02f, 0xcca9, 0xcca8, 0xc00a, 0xc009, 0xc013, 0xc014},
		groups:   []uint16{groupHybrid, groupX25519, groupP256, groupP384, 0x0100, 0x0101},
		shares:   []uint16{groupHybrid, groupX25519},
		versions: []uint16{Version13, Version12, 0x0303},
		srtp:     []uint16{0x0007, 0x0008, 0x0001, 0x0002},
		sigAlgs: []uint16{0x0403, 0x0503, 0x0603, 0x0203, 0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601, 0x0201, 0x0402, 0x0502,
			0x0602, 0x0202},
		reqAlgs: []uint16{0x0403, 0x0503, 0x0603, 0x0203, 0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601, 0x0201},
		order: []uint16{extEMS, extRenegotiation, extSupportedGroups, extPointFormats, extALPN, extDelegated, extKeyShare, extVersions,
			extSignatureAlgs, extRecordSizeLimit, extUseSRTP},
		alpn:        []string{"webrtc", "c-webrtc"},
		fullEE:      true,
		order12:     []uint16{extRenegotiation, extPointFormats, extEMS, extUseSRTP},
		certTypes12: []uint8{1, 64, 2}, // rsa_sign, ecdsa_sign, dss_sign
		flights:     cut{limit: [2]int{1395, 1175}, patience: 3, loose: true},
		keepACKs:    true,
		resends:     true,
		lastDoubled: true,
		timers:      milliseconds(50, 100, 200, 400, 800, 1600),
		commonName:  hexName,
		serialSize:  4,
	}
}

func milliseconds(ms ...int) []time.Duration {
	all := make([]time.Duration, len(ms))
	for i, n := range ms {
		all[i] = time.Duration(n) * time.Millisecond
	}
	return all
}

// Name is "chromium" or "firefox".
func (p Profile) Name() string { return p.name }

// has13 says whether 1.3 is offered and taken: by all profiles that are shipped.
func (p Profile) has13() bool { return slices.Contains(p.versions, Version13) }

// longestTimer bounds the doubling (RFC 9147 section 5.8.2 suggests 60 s).
const longestTimer = time.Minute

// longestFirst is libwebrtc's bound, kMaxHandshakeTimeoutMs.
const longestFirst = 3 * time.Second

// timer is how long to wait before a flight is sent again that has been n times,
// over a line with that round trip, 0 if that is not known.
func (p Profile) timer(n int, roundTrip time.Duration) time.Duration {
	if p.trips && roundTrip > 0 {
		d := min(max(2*roundTrip, p.timers[0]), longestFirst)
		for range min(n, 16) {
			d = min(2*d, longestTimer)
		}
		return d
	}
	if n < len(p.timers) {
		return p.timers[n]
	}
	d := p.timers[len(p.timers)-1]
	for range min(n-len(p.timers)+1, 16) {
		d = min(2*d, longestTimer)
	}
	return d
}
