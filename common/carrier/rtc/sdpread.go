package rtc

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"flurry/common/sdp"

	"github.com/pion/ice/v4"
	pionsdp "github.com/pion/sdp/v3"
)

// unsetMessageSize is the largest message to send to a peer that says nothing
// of it (RFC 8841 section 6.1).
const unsetMessageSize = 65536

// What a=setup says (RFC 4145 section 4).
const (
	setupActive  = "active"
	setupPassive = "passive"
	setupActpass = "actpass"
)

// A remote is what the other end's description says.
type remote struct {
	credentials
	lite         bool
	candidates   []ice.Candidate
	fingerprints []fingerprint
	setup        string // "" if it does not say
	mid          string
	maxMessage   uint32
	early        bool // it selects early
}

// parse reads the other side's description, of which the type must be want, and
// returns its text, too.
func parse(wrapper, want string) (remote, string, error) {
	d, err := sdp.Parse(wrapper)
	if err != nil {
		return remote{}, "", fmt.Errorf("%w: %w", ErrBadDescription, err)
	}
	if d.Type != want {
		return remote{}, "", fmt.Errorf("%w: its type is %q, not %q", ErrBadDescription, d.Type, want)
	}
	r, err := readRemote(d.SDP)
	if err != nil {
		return remote{}, "", fmt.Errorf("%w: %w", ErrBadDescription, err)
	}
	return r, d.SDP, nil
}

func readRemote(text string) (remote, error) {
	var session pionsdp.SessionDescription
	if err := session.UnmarshalString(text); err != nil {
		return remote{}, err
	}
	i := slices.IndexFunc(session.MediaDescriptions, func(m *pionsdp.MediaDescription) bool {
		return m.MediaName.Media == "application" && m.MediaName.Port.Value != 0
	})
	if i < 0 {
		return remote{}, errors.New("no section for data channels")
	}
	media := session.MediaDescriptions[i]
	// What the section does not say, the session says.
	value := func(key string) string {
		if v, ok := media.Attribute(key); ok {
			return strings.TrimSpace(v)
		}
		v, _ := session.Attribute(key)
		return strings.TrimSpace(v)
	}
	r := remote{
		credentials: credentials{ufrag: value("ice-ufrag"), pwd: value("ice-pwd")},
		setup:       value("setup"), mid: value("mid"), maxMessage: unsetMessageSize, early: sdp.SelectsEarly(text),
	}
	if r.ufrag == "" || r.pwd == "" {
		return remote{}, errors.New("no ICE credentials")
	}
	_, r.lite = session.Attribute("ice-lite")
	if n, err := strconv.ParseUint(value("max-message-size"), 10, 32); err == nil && n > 0 {
		r.maxMessage = uint32(n)
	}
	for _, a := range append(slices.Clone(media.Attributes), session.Attributes...) {
		if a.Key != "fingerprint" {
			continue
		}
		if f, ok := parseFingerprint(a.Value); ok {
			r.fingerprints = append(r.fingerprints, f)
		}
	}
	if len(r.fingerprints) == 0 {
		return remote{}, errors.New("no usable fingerprint")
	}
	var err error
	r.candidates, err = readCandidates(media)
	return r, err
}

// maxCandidates bounds what a description can make the ICE agent do. A browser
// with several networks and servers has some twenty.
const maxCandidates = 100

// readCandidates reads the candidates of a section. Some that cannot be used do
// no harm; if none can, the last error is returned.
func readCandidates(media *pionsdp.MediaDescription) ([]ice.Candidate, error) {
	var all []ice.Candidate
	var last error
	for _, a := range media.Attributes {
		if !a.IsICECandidate() || len(all) == maxCandidates {
			continue
		}
		c, err := ice.UnmarshalCandidate(a.Value)
		switch {
		case err == nil:
			all = append(all, c)
		case errors.Is(err, ice.ErrUnknownCandidateTyp), errors.Is(err, ice.ErrDetermineNetworkType):
			// Of a kind that is not used here.
		default:
			last = err
		}
	}
	if len(all) == 0 {
		return nil, last
	}
	return all, nil
}
