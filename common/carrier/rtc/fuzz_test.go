package rtc

import (
	"bytes"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/stun/v4"
)

// quietSocket takes packets and has none. While a machine does other work, timers may send more of them at any time.
type quietSocket struct {
	mu   sync.Mutex
	left []leftPacket
}

type leftPacket struct {
	raw []byte
	to  netip.AddrPort
}

func (s *quietSocket) ReadFromAddrPort([]byte) (int, netip.AddrPort, error) { select {} }
func (s *quietSocket) WriteToAddrPort(p []byte, to netip.AddrPort) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left = append(s.left, leftPacket{bytes.Clone(p), to})
	return len(p), nil
}

// first is the id of the first packet to an address, or nil.
func (s *quietSocket) first(to netip.AddrPort) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.left {
		if p.to == to {
			return p.raw[8:20]
		}
	}
	return nil
}

// Whatever comes back on a socket with a check and a request to a server under
// way, the agent gets no answer to its check that the other end has not signed.
func FuzzSTUNAnswer(f *testing.F) {
	look, err := Chromium.look()
	if err != nil {
		f.Fatal(err)
	}
	peer, server := netip.MustParseAddrPort("192.0.2.1:1"), netip.MustParseAddrPort("192.0.2.2:2")
	f.Add([]byte(nil), true)
	f.Add(stun.MustBuild(stun.BindingSuccess, stun.TransactionID, &stun.XORMappedAddress{IP: peer.Addr().AsSlice(), Port: 1}).Raw, true)
	f.Add(stun.MustBuild(stun.BindingSuccess, stun.TransactionID, &stun.XORMappedAddress{IP: peer.Addr().AsSlice(), Port: 1},
		stun.NewShortTermIntegrity("guess"), stun.Fingerprint).Raw, false)
	f.Add(agentsCheck(f, true, "abcd:efgh", "guess"), true)
	f.Fuzz(func(t *testing.T, answer []byte, fromPeer bool) {
		socket := &quietSocket{}
		r := newRequests(shaperWith(look.checks, "secret"), socket)
		defer r.stop()
		agents := stun.MustBuild(stun.BindingRequest, stun.TransactionID)
		if !r.take(agents.Raw, server) || !r.take(agentsCheck(t, false, "abcd:efgh", "secret"), peer) {
			t.Fatal("requests are not taken")
		}
		from := server
		if fromPeer {
			from = peer
		}
		id := socket.first(from)
		if id == nil {
			t.Fatal("requests do not leave")
		}
		p := append(bytes.Clone(answer), make([]byte, 64)...)
		if len(answer) >= 20 && (answer[0] != 0 || answer[1] != 1) {
			copy(p[8:], id)
		}
		n, ok := r.give(p, len(answer), from)
		if !ok {
			return
		}
		if n > len(p) {
			t.Fatalf("%d bytes of %d", n, len(p))
		}
		m := &stun.Message{Raw: p[:n]}
		if !fromPeer || m.Decode() != nil || m.Type == stun.BindingRequest {
			return
		}
		if bytes.Equal(m.TransactionID[:], id) || stun.NewShortTermIntegrity("secret").Check(m) == nil {
			t.Errorf("%x is taken for an answer", answer)
		}
	})
}

// Whatever the ICE agent asks to be sent is sent as a browser's, or passes.
func FuzzSTUNRequest(f *testing.F) {
	for _, controlling := range []bool{true, false} {
		f.Add(agentsCheck(f, controlling, "abcd:efgh", "secret"))
	}
	f.Add(stun.MustBuild(stun.BindingRequest, stun.TransactionID).Raw)
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, profile := range []Profile{Chromium, Firefox} {
			look, err := profile.look()
			if err != nil {
				t.Fatal(err)
			}
			socket := &quietSocket{}
			r := newRequests(shaperWith(look.checks, "secret"), socket)
			r.take(raw, netip.MustParseAddrPort("192.0.2.1:1"))
			r.stop()
			for _, p := range socket.left {
				m := &stun.Message{Raw: p.raw}
				if err := m.Decode(); err != nil {
					t.Errorf("%x leaves as %x: %v", raw, p.raw, err)
				}
			}
		}
	})
}

// Whatever descriptions say, they are read in bounds, and an answer to them is
// one that can be read.
func FuzzRemoteDescription(f *testing.F) {
	for _, text := range capturedSDP {
		text = strings.ReplaceAll(text, "#", "1")
		f.Add(strings.ReplaceAll(text, "|", "\r\n"))
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := readRemote(text)
		if err != nil {
			return
		}
		if r.ufrag == "" || r.pwd == "" || len(r.fingerprints) == 0 || len(r.candidates) > maxCandidates || r.maxMessage == 0 {
			t.Errorf("%+v", r)
		}
		look, err := Chromium.look()
		if err != nil {
			t.Fatal(err)
		}
		ours := look.sdp.write(description{credentials: credentials{"abcd", "efgh"}, mid: r.mid, setup: setupActive,
			session: randomSession(), unix: time.Now().Unix(), fingerprint: "sha-256 " + strings.TrimSuffix(strings.Repeat("AB:", 32), ":")})
		if back, err := readRemote(ours); err != nil || back.ufrag != "abcd" {
			t.Errorf("mid %q makes %q: %v", r.mid, ours, err)
		}
	})
}

func shaperWith(shape *checkShape, pwd string) *shaper {
	s := newShaper(shape, ticks{})
	s.remotePassword(pwd)
	return s
}
