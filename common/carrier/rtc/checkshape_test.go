package rtc

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pion/ice/v4"
	"github.com/pion/stun/v4"
)

// agentsCheck is a check as the ICE agent builds it.
func agentsCheck(t testing.TB, controlling bool, username, pwd string) []byte {
	t.Helper()
	role := stun.Setter(ice.AttrControlled(0x0102030405060708))
	if controlling {
		role = ice.AttrControlling(0x0102030405060708)
	}
	m, err := stun.Build(stun.BindingRequest, stun.TransactionID, stun.NewUsername(username), role, ice.PriorityAttr(0x6effffff),
		stun.NewShortTermIntegrity(pwd), stun.Fingerprint)
	if err != nil {
		t.Fatal(err)
	}
	return m.Raw
}

// list writes a message's attributes as the captured ones are written.
func list(m *stun.Message) string {
	names := map[stun.AttrType]string{networkInfo: "c057"}
	var all []string
	for _, a := range m.Attributes {
		name := names[a.Type]
		if name == "" {
			name = a.Type.String()
		}
		if a.Type == networkInfo || a.Type == stun.AttrPriority {
			name += fmt.Sprintf(" %x", a.Value)
		}
		all = append(all, name)
	}
	return strings.Join(all, ", ")
}

// A check has a browser's attributes in its order, with its values, and its
// length where the other end's credentials have it, too.
func TestCheckShape(t *testing.T) {
	for _, c := range []struct {
		profile     Profile
		controlling bool
		username    string
		ipv6        bool
		want        string
		length      int
	}{
		{Chromium, true, "abcd:ABCD", false,
			"USERNAME, c057 00010000, ICE-CONTROLLING, USE-CANDIDATE, PRIORITY 6e7f1eff, MESSAGE-INTEGRITY, FINGERPRINT", 100},
		{Chromium, false, "abcd:ABCD", false,
			"USERNAME, c057 00010000, ICE-CONTROLLED, PRIORITY 6e7f1eff, MESSAGE-INTEGRITY, FINGERPRINT", 96},
		{Chromium, false, "abcd:ABCD", true,
			"USERNAME, c057 00010000, ICE-CONTROLLED, PRIORITY 6e7f28ff, MESSAGE-INTEGRITY, FINGERPRINT", 96},
		{Firefox, true, "01234567:89abcdef", false,
			"USERNAME, USE-CANDIDATE, PRIORITY 6e7f00ff, ICE-CONTROLLING, MESSAGE-INTEGRITY, FINGERPRINT", 100},
		{Firefox, false, "01234567:89abcdef", false,
			"USERNAME, PRIORITY 6e7f00ff, ICE-CONTROLLED, MESSAGE-INTEGRITY, FINGERPRINT", 96},
	} {
		look, err := c.profile.look()
		if err != nil {
			t.Fatal(err)
		}
		raw := agentsCheck(t, c.controlling, c.username, "secret")
		from := &stun.Message{Raw: raw}
		if err := from.Decode(); err != nil {
			t.Fatal(err)
		}
		read, ok := readCheck(from)
		if !ok {
			t.Fatal("not taken for a check")
		}
		out, err := look.checks.build(read, look.checks.newID(), "secret", c.ipv6)
		if err != nil {
			t.Fatal(err)
		}
		m := &stun.Message{Raw: out}
		if err := m.Decode(); err != nil {
			t.Fatal(err)
		}
		if got := list(m); got != c.want || len(out) != c.length {
			t.Errorf("%s: %d bytes, %s\nwant %d, %s", c.profile, len(out), got, c.length, c.want)
		}
		if err := stun.NewShortTermIntegrity("secret").Check(m); err != nil {
			t.Error(err)
		}
		if err := stun.Fingerprint.Check(m); err != nil {
			t.Error(err)
		}
		var role ice.AttrControl
		if err := role.GetFrom(m); err != nil || role.Tiebreaker != 0x0102030405060708 {
			t.Errorf("role %+v, %v", role, err)
		}
	}
}

func TestTransactionIDs(t *testing.T) {
	text := regexp.MustCompile(`^[A-Za-z0-9+/]{12}$`)
	binary := false
	for range 100 {
		id, other := chromiumChecks().newID(), firefoxChecks().newID()
		if !text.Match(id[:]) {
			t.Errorf("Chromium's %q", id)
		}
		binary = binary || !text.Match(other[:])
	}
	if !binary {
		t.Error("Firefox's are text")
	}
}

func TestServerRequest(t *testing.T) {
	id := chromiumChecks().newID()
	raw := buildServerRequest(id)
	if want := append([]byte{0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42}, id[:]...); !slices.Equal(raw, want) {
		t.Errorf("%x", raw)
	}
}

// An answer to a request of ours becomes one to the agent's, and only if the
// other end has signed it.
func TestRestore(t *testing.T) {
	ours, agents := chromiumChecks().newID(), firefoxChecks().newID()
	for name, c := range map[string]struct {
		ip     string
		pwd    string
		server bool
		ok     bool
	}{
		"IPv4":          {ip: "192.0.2.1", pwd: "secret", ok: true},
		"IPv6":          {ip: "2001:db8::1", pwd: "secret", ok: true},
		"forged":        {ip: "192.0.2.1", pwd: "guess"},
		"not signed":    {ip: "192.0.2.1"},
		"STUN server":   {ip: "192.0.2.1", server: true, ok: true},
		"server, IPv6":  {ip: "2001:db8::1", server: true, ok: true},
		"signed server": {ip: "192.0.2.1", pwd: "guess", server: true, ok: true},
	} {
		setters := []stun.Setter{stun.NewTransactionIDSetter(ours), stun.BindingSuccess,
			&stun.XORMappedAddress{IP: netip.MustParseAddr(c.ip).AsSlice(), Port: 4711}}
		if c.pwd != "" {
			setters = append(setters, stun.NewShortTermIntegrity(c.pwd), stun.Fingerprint)
		}
		m := stun.MustBuild(setters...)
		raw, err := restore(m, agents, "secret", c.server)
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil {
			continue
		}
		out := &stun.Message{Raw: raw}
		if err := out.Decode(); err != nil {
			t.Fatal(err)
		}
		var addr stun.XORMappedAddress
		if err := addr.GetFrom(out); err != nil || addr.IP.String() != c.ip || addr.Port != 4711 {
			t.Errorf("%s: %v, %v", name, addr, err)
		}
		if out.TransactionID != agents {
			t.Errorf("%s: id %x", name, out.TransactionID)
		}
		if !c.server && stun.NewShortTermIntegrity("secret").Check(out) != nil {
			t.Errorf("%s: not signed", name)
		}
	}
}
