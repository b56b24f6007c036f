package snowclient

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"flurry/common/carrier/rtc"
	"flurry/common/messages"
	"flurry/common/safelog"
)

var (
	home = netip.MustParseAddr("192.168.1.20")
	cafe = netip.MustParseAddr("10.0.7.3")
)

// The kind of NAT that each request states, as the outcomes come in.
func TestNATClaims(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sent []messages.NATType
		probe := func(kind messages.NATType, err error) natProbe {
			return func(context.Context, []string) (messages.NATType, error) { return kind, err }
		}
		tr := newTestTransport(t, Config{
			Rendezvous: replier(func(request string) (string, error) {
				r, err := messages.DecodeClientPollRequest([]byte(request))
				sent = append(sent, r.NAT)
				return `{"answer":"answer"}`, err
			}),
			Dialer:     signalOnly(errors.New("bad answer")),
			ICEServers: []string{"stun:127.0.0.1:1"},
		})
		tr.nat.network = func() netip.Addr { return home }
		tr.probe = probe("", errors.New("no server"))
		tr.connect(t.Context()) // unknown, so it claims; the failure is not the NAT's
		tr.dialer = signalOnly(rtc.ErrOpenTimeout)
		tr.connect(t.Context()) // claims again; now the claim is to blame
		tr.connect(t.Context()) // honest
		synctest.Wait()
		tr.probe = probe(messages.NATRestricted, nil)
		tr.connect(t.Context()) // it is too early for another probe
		time.Sleep(natRetry)
		tr.connect(t.Context()) // the probe runs beside it
		synctest.Wait()
		tr.connect(t.Context())
		tr.probe = probe("", errors.New("no server"))
		tr.nat.network = func() netip.Addr { return cafe }
		tr.connect(t.Context()) // another network, of which nothing is known
		synctest.Wait()
		const u, n, r = messages.NATUnrestricted, messages.NATUnknown, messages.NATRestricted
		if len(sent) > 4 && sent[4] == r {
			sent[4] = n // the probe was the faster one
		}
		if want := []messages.NATType{u, u, n, n, n, r, u}; !slices.Equal(sent, want) {
			t.Errorf("sent %q, want %q", sent, want)
		}
	})
}

// What is found out about a network that has been left does not count in the
// next.
func TestProbeAcrossNetworks(t *testing.T) {
	n := newNATState([]string{"stun:127.0.0.1:1"}, nil, safelog.Discard())
	n.network = func() netip.Addr { return home }
	if !n.look() || n.look() {
		t.Fatal("want one probe")
	}
	n.learn(t.Context(), func(context.Context, []string) (messages.NATType, error) {
		n.network = func() netip.Addr { return cafe }
		n.look()
		return messages.NATRestricted, nil
	})
	if got := n.toSend(); got != messages.NATUnrestricted {
		t.Errorf("states %q", got)
	}
	if !n.look() {
		t.Error("the next network is not probed")
	}
}

// stateIn makes a natState that shares memory and is in the network of here.
func stateIn(memory *NATMemory, here netip.Addr) *natState {
	n := newNATState(nil, memory, safelog.Discard())
	n.network = func() netip.Addr { return here }
	n.look()
	return n
}

func TestNATIsRemembered(t *testing.T) {
	file := filepath.Join(t.TempDir(), "nat.json")
	found := func(kind messages.NATType) natProbe {
		return func(context.Context, []string) (messages.NATType, error) { return kind, nil }
	}
	stateIn(NewNATMemory(file, nil), home).learn(t.Context(), found(messages.NATRestricted))
	next := NewNATMemory(file, nil) // the next start
	if got := stateIn(next, home).toSend(); got != messages.NATRestricted {
		t.Errorf("at home: %q", got)
	}
	if got := stateIn(next, cafe).toSend(); got != messages.NATUnrestricted {
		t.Errorf("elsewhere: %q", got)
	}
	if got := stateIn(next, netip.Addr{}).toSend(); got != messages.NATUnrestricted {
		t.Errorf("nowhere: %q", got)
	}
	text, err := os.ReadFile(file)
	if err != nil || strings.Contains(string(text), home.String()) {
		t.Errorf("file %q, %v", text, err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	// A probe corrects it, for now and for the next start.
	n := stateIn(next, home)
	n.learn(t.Context(), found(messages.NATUnrestricted))
	if got := stateIn(NewNATMemory(file, nil), home).bestLocked(); n.toSend() != messages.NATUnrestricted || got != messages.NATUnrestricted {
		t.Errorf("after a correction: %q and %q", n.toSend(), got)
	}
}

// A memory of an open network in which a carrier does not open is wrong: from
// then on we are honest, as after any claim.
func TestWrongMemoryIsForgotten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "nat.json")
	NewNATMemory(file, nil).learn(home, messages.NATUnrestricted)
	n := stateIn(NewNATMemory(file, nil), home)
	sent := n.toSend()
	n.channelFailed(sent)
	if got := n.toSend(); sent != messages.NATUnrestricted || got != messages.NATUnknown {
		t.Errorf("%q, then %q", sent, got)
	}
	if got := NewNATMemory(file, nil).recall(home); got != messages.NATUnknown {
		t.Errorf("still remembered: %q", got)
	}
}

func TestMemoryFades(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewNATMemory("", nil)
		m.learn(home, messages.NATRestricted)
		time.Sleep(natMemoryAge - 24*time.Hour)
		if got := m.recall(home); got != messages.NATRestricted {
			t.Errorf("young: %q", got)
		}
		time.Sleep(24 * time.Hour)
		if got := m.recall(home); got != messages.NATUnknown {
			t.Errorf("old: %q", got)
		}
	})
}

// A file that makes no sense is ignored, with one line in the log, and replaced
// by the next probe's result.
func TestBadMemoryFile(t *testing.T) {
	for name, text := range map[string]string{
		"empty": "", "not JSON": "\x00\x01", "unknown word": `{"nat":"open","salt":"","network":"AAA=","day":"2026-11-22"}`,
		"long": strings.Repeat(" ", maxNATFile) + `{"nat":"restricted"}`,
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "nat.json")
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			var lines bytes.Buffer
			m := NewNATMemory(file, slog.New(slog.NewTextHandler(&lines, nil)))
			for range 3 {
				if got := m.recall(home); got != messages.NATUnknown {
					t.Errorf("recalled %q", got)
				}
			}
			if n := strings.Count(lines.String(), "\n"); n != 1 {
				t.Errorf("%d lines: %s", n, lines.String())
			}
			m.learn(home, messages.NATRestricted)
			if got := NewNATMemory(file, nil).recall(home); got != messages.NATRestricted {
				t.Errorf("replaced by %q", got)
			}
		})
	}
	m := NewNATMemory(filepath.Join(t.TempDir(), "missing", "nat.json"), nil)
	m.learn(home, messages.NATRestricted)
	if got := m.recall(home); got != messages.NATRestricted {
		t.Errorf("without a file that can be written: %q", got)
	}
}
