package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"flurry/test/stage"
)

// A torNet is a private Tor network on loopback: three relays, one of them the directory authority, and later a bridge and
// a client.
type torNet struct {
	*lab
	tor       string
	authority string // the DirAuthority line
	relays    []*torNode
}

// A torNode is one tor of the network.
type torNode struct {
	*program
	net         *torNet
	nickname    string
	fingerprint string // of a relay or bridge
	torrc       string // file name
}

func newTorNet(l *lab) *torNet {
	l.t.Helper()
	n := &torNet{lab: l, tor: need(l.t, "tor", "tor")}
	gencert := need(l.t, "tor-gencert", "tor")
	ports := freePorts(l.t, 4)

	// The authority comes first: the others must know its keys.
	keys := filepath.Join(l.dir, "authority", "keys")
	if err := os.MkdirAll(keys, 0o700); err != nil {
		l.t.Fatal(err)
	}
	dirPort := fmt.Sprintf("127.0.0.1:%d", ports[3])
	l.run(keys, "any passphrase\n", gencert, "--create-identity-key", "--passphrase-fd", "0", "-m", "12", "-a", dirPort)
	certificate, err := os.ReadFile(filepath.Join(keys, "authority_certificate"))
	if err != nil {
		l.t.Fatal(err)
	}
	_, v3ident, ok := strings.Cut(string(certificate), "\nfingerprint ")
	if !ok {
		l.t.Fatalf("no fingerprint in the authority's certificate:\n%s", certificate)
	}
	v3ident = strings.Fields(v3ident)[0]
	line := func(fingerprint string) string {
		return fmt.Sprintf("DirAuthority authority orport=%d no-v2 v3ident=%s %s %s", ports[0], v3ident, dirPort, fingerprint)
	}
	n.authority = line(strings.Repeat("0", 40)) // Its own fingerprint is not known yet.
	exit := []string{"ExitRelay 1", "ExitPolicy accept *:*", "ExitPolicyRejectPrivate 0", "ExitPolicyRejectLocalInterfaces 0"}
	// Votes every ten seconds, the shortest that tor takes, and a first one still earlier.
	authority := n.relay("authority", ports[0], append(exit, "AuthoritativeDirectory 1", "V3AuthoritativeDirectory 1", "DirPort "+dirPort,
		"ContactInfo nobody@example.com", "V3AuthVotingInterval 10", "V3AuthVoteDelay 2", "V3AuthDistDelay 2",
		"TestingV3AuthInitialVotingInterval 5", "TestingV3AuthInitialVoteDelay 2", "TestingV3AuthInitialDistDelay 2",
		"TestingDirAuthVoteExit *", "TestingDirAuthVoteGuard *", "TestingDirAuthVoteHSDir *", "TestingMinExitFlagThreshold 0")...)
	unknown := n.authority
	n.authority = line(authority.fingerprint)
	torrc, err := os.ReadFile(authority.torrc)
	if err != nil {
		l.t.Fatal(err)
	}
	l.write(filepath.Join("authority", "torrc"), strings.Replace(string(torrc), unknown, n.authority, 1))
	n.relays = append(n.relays, authority, n.relay("one", ports[1], exit...), n.relay("two", ports[2], exit...))
	for _, r := range n.relays {
		n.startNode(r)
	}
	return n
}

// node writes the torrc of a tor.
func (n *torNet) node(nickname string, lines ...string) *torNode {
	n.t.Helper()
	dir := filepath.Join(n.dir, nickname)
	lines = append([]string{
		"TestingTorNetwork 1", n.authority, "Nickname " + nickname, "DataDirectory " + dir,
		"SafeLogging 0", "Log notice file " + filepath.Join(dir, "notice.log"),
		// Where it says which client has come over which transport.
		"Log [general,net]debug file " + filepath.Join(dir, "debug.log"),
		"ControlPort 127.0.0.1:auto", "ControlPortWriteToFile " + filepath.Join(dir, "control"), "CookieAuthentication 1",
		"ShutdownWaitLength 0",
		// Everything has a private address here.
		"ExtendAllowPrivateAddresses 1", "ClientRejectInternalAddresses 0", "ClientDNSRejectInternalAddresses 0",
		// An empty tor, should this test die.
		"__OwningControllerProcess " + strconv.Itoa(os.Getpid()),
	}, lines...)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		n.t.Fatal(err)
	}
	return &torNode{net: n, nickname: nickname, torrc: n.write(filepath.Join(nickname, "torrc"), strings.Join(lines, "\n")+"\n")}
}

// relay makes a tor that relays, and finds out its fingerprint.
func (n *torNet) relay(nickname string, orPort int, lines ...string) *torNode {
	n.t.Helper()
	r := n.node(nickname, append([]string{
		fmt.Sprintf("ORPort 127.0.0.1:%d IPv4Only", orPort), "Address 127.0.0.1", "AssumeReachable 1", "SocksPort 0"}, lines...)...)
	// The last line is the nickname and the fingerprint in groups of four.
	out := strings.TrimSpace(n.run(n.dir, "", n.command(r, "--quiet", "--list-fingerprint")...))
	fields := strings.Fields(out[strings.LastIndexByte(out, '\n')+1:])
	if len(fields) < 2 || fields[0] != nickname {
		n.t.Fatalf("tor --list-fingerprint says %q", out)
	}
	r.fingerprint = strings.Join(fields[1:], "")
	if len(r.fingerprint) != len(stage.DefaultFingerprint) {
		n.t.Fatalf("tor --list-fingerprint says %q", out)
	}
	return r
}

func (n *torNet) command(node *torNode, more ...string) []string {
	// Not the distribution's defaults, which are for the system's own tor.
	return append([]string{n.tor, "--defaults-torrc", os.DevNull, "-f", node.torrc}, more...)
}

func (n *torNet) startNode(node *torNode) {
	n.t.Helper()
	os.Remove(node.file("control")) //nolint:errcheck // Of an earlier run, if there was one.
	node.program = n.start("tor-"+node.nickname, nil, n.command(node, "--quiet")...)
	n.t.Cleanup(func() {
		if n.t.Failed() {
			n.t.Logf("end of the log of tor %s:\n%s", node.nickname, tail(node.file("notice.log"), 25))
		}
	})
	eventually(n.t, startLimit, "tor "+node.nickname+" opens its control port", node.state, func() bool {
		b, err := os.ReadFile(node.file("control"))
		return err == nil && len(b) > 0 || !node.alive()
	})
	if !node.alive() {
		n.t.Fatalf("tor %s has ended", node.nickname)
	}
}

// waitConsensus waits until the directory authority has published all relays.
func (n *torNet) waitConsensus() {
	n.t.Helper()
	eventually(n.t, 2*startLimit, "the consensus has all relays", n.relays[0].state, func() bool {
		return strings.Count("\n"+n.relays[0].info(n.t, "ns/all"), "\nr ") >= len(n.relays)
	})
}

// bootstrapped waits until the tor has built a circuit.
func (node *torNode) bootstrapped(t *testing.T) {
	t.Helper()
	eventually(t, startLimit, "tor "+node.nickname+" bootstraps", node.state, func() bool {
		return strings.Contains(node.info(t, "status/bootstrap-phase"), " PROGRESS=100 ")
	})
}

// file is the path of a file in the tor's data directory.
func (node *torNode) file(name string) string {
	return filepath.Join(node.net.dir, node.nickname, name)
}

func (node *torNode) state() string { return tail(node.file("notice.log"), 15) }
