package rtc

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/pion/stun/v4"
)

// A checkShape is how a browser's STUN requests look and when they leave.
type checkShape struct {
	controlling, controlled []stun.AttrType // what a check carries, in order, before its signature
	textIDs                 bool            // transaction ids are characters of base64

	priority uint32 // PRIORITY over IPv4
	overIPv6 uint32 // is added over IPv6

	servers []time.Duration // between a request to a STUN server and each repetition
	pace    pace
}

// networkInfo is GOOG-NETWORK-INFO of libwebrtc: the network's id, 1, and its
// cost, 0.
const networkInfo stun.AttrType = 0xc057

var networkInfoValue = [4]byte{0, 1, 0, 0}

// What Chromium 156 and Firefox ESR 153 sent, see doc/threats.md.
func chromiumChecks() *checkShape {
	const ipv4, ipv6 = 0x6e7f1eff, 0x6e7f28ff // 110, network 127, chromiumIPv4 or chromiumIPv6
	return &checkShape{
		controlling: []stun.AttrType{stun.AttrUsername, networkInfo, stun.AttrICEControlling, stun.AttrUseCandidate, stun.AttrPriority},
		controlled:  []stun.AttrType{stun.AttrUsername, networkInfo, stun.AttrICEControlled, stun.AttrPriority},
		textIDs:     true,
		priority:    ipv4, overIPv6: ipv6 - ipv4,
		servers: []time.Duration{250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second},
		pace:    chromiumPace,
	}
}

func firefoxChecks() *checkShape {
	return &checkShape{
		controlling: []stun.AttrType{stun.AttrUsername, stun.AttrUseCandidate, stun.AttrPriority, stun.AttrICEControlling},
		controlled:  []stun.AttrType{stun.AttrUsername, stun.AttrPriority, stun.AttrICEControlled},
		priority:    0x6e7f00ff,
		servers:     []time.Duration{100 * time.Millisecond, 200 * time.Millisecond, 400 * time.Millisecond, 800 * time.Millisecond, 1600 * time.Millisecond},
		pace:        firefoxPace,
	}
}

type transactionID = [stun.TransactionIDSize]byte

// newID returns a transaction id of the shape.
func (s *checkShape) newID() (id transactionID) {
	if s.textIDs {
		copy(id[:], randomText(base64Alphabet, len(id)))
		return id
	}
	return stun.NewTransactionID()
}

// A check is what of one of the ICE agent's checks leaves with ours.
type check struct {
	username   []byte
	tieBreaker []byte
	controls   bool
}

// readCheck reads a check; ok is false if m is none.
func readCheck(m *stun.Message) (c check, ok bool) {
	if m.Type != stun.BindingRequest {
		return c, false
	}
	var err error
	if c.username, err = m.Get(stun.AttrUsername); err != nil {
		return c, false
	}
	if c.tieBreaker, err = m.Get(stun.AttrICEControlling); err == nil {
		c.controls = true
		return c, true
	}
	c.tieBreaker, err = m.Get(stun.AttrICEControlled)
	return c, err == nil
}

// build makes the check's message in shape s, signed with the other end's
// password.
func (s *checkShape) build(c check, id transactionID, pwd string, overIPv6 bool) ([]byte, error) {
	priority := s.priority
	if overIPv6 {
		priority += s.overIPv6
	}
	m := stun.New()
	m.Type, m.TransactionID = stun.BindingRequest, id
	m.WriteHeader()
	order := s.controlled
	if c.controls {
		order = s.controlling
	}
	for _, t := range order {
		switch t {
		case stun.AttrUsername:
			m.Add(t, c.username)
		case stun.AttrICEControlling, stun.AttrICEControlled:
			m.Add(t, c.tieBreaker)
		case stun.AttrPriority:
			m.Add(t, binary.BigEndian.AppendUint32(nil, priority))
		case stun.AttrUseCandidate:
			m.Add(t, nil)
		case networkInfo:
			m.Add(t, networkInfoValue[:])
		}
	}
	if err := sign(m, pwd); err != nil {
		return nil, err
	}
	return m.Raw, nil
}

func sign(m *stun.Message, pwd string) error {
	if err := stun.NewShortTermIntegrity(pwd).AddTo(m); err != nil {
		return err
	}
	return stun.Fingerprint.AddTo(m)
}

// buildServerRequest makes a request to a STUN server: a header and no more.
func buildServerRequest(id transactionID) []byte {
	m := stun.New()
	m.Type, m.TransactionID = stun.BindingRequest, id
	m.WriteHeader()
	return m.Raw
}

var errForged = errors.New("not signed with the other end's password")

// restore makes of a response, to a request that left with an id of ours, the
// one to the ICE agent's request. What was signed with pwd is signed anew; from
// a peer, and not a server, nothing else is taken.
func restore(m *stun.Message, id transactionID, pwd string, fromServer bool) ([]byte, error) {
	signed := m.Contains(stun.AttrMessageIntegrity)
	if !fromServer {
		if !signed || stun.NewShortTermIntegrity(pwd).Check(m) != nil {
			return nil, errForged
		}
	}
	out := stun.New()
	out.Type, out.TransactionID = m.Type, id
	out.WriteHeader()
	for _, a := range m.Attributes {
		switch a.Type {
		case stun.AttrMessageIntegrity, stun.AttrFingerprint:
		case stun.AttrXORMappedAddress: // over IPv6 the id is part of it
			var addr stun.XORMappedAddress
			if err := addr.GetFrom(m); err != nil {
				return nil, err
			}
			if err := addr.AddTo(out); err != nil {
				return nil, err
			}
		default:
			out.Add(a.Type, a.Value)
		}
	}
	if !fromServer {
		if err := sign(out, pwd); err != nil {
			return nil, err
		}
	}
	return out.Raw, nil
}
