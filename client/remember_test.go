package main

import (
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/pion/stun/v3"

	"flurry/common/messages"
)

// restrictedSTUN answers RFC 5780's questions as they are answered through a
// symmetric NAT: each of its two addresses sees another port.
func restrictedSTUN(t *testing.T) (url string) {
	t.Helper()
	var conns [2]*net.UDPConn
	for i, host := range []string{"127.0.0.1", "127.0.0.2"} {
		conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP(host)})
		if err != nil {
			t.Skip(err) // only 127.0.0.1 here
		}
		t.Cleanup(func() { conn.Close() })
		conns[i] = conn
	}
	other := conns[1].LocalAddr().(*net.UDPAddr)
	for i, conn := range conns {
		go func() {
			buf := make([]byte, 1500)
			for {
				n, from, err := conn.ReadFromUDP(buf)
				if err != nil {
					return
				}
				m := &stun.Message{Raw: buf[:n]}
				if m.Decode() != nil {
					continue
				}
				reply := stun.MustBuild(stun.NewTransactionIDSetter(m.TransactionID), stun.BindingSuccess,
					&stun.XORMappedAddress{IP: from.IP, Port: 1000 + i}, &stun.OtherAddress{IP: other.IP, Port: other.Port})
				conn.WriteToUDP(reply.Raw, from)
			}
		}()
	}
	return "stun:" + conns[0].LocalAddr().String()
}

// What one start of the program finds out about the NAT the first offer of the
// next one states.
func TestProgramRemembersTheNAT(t *testing.T) {
	if c, err := net.Dial("udp4", "192.0.2.1:9"); err != nil {
		t.Skip("no network by which to remember: ", err)
	} else {
		c.Close()
	}
	broker := newBrokerStub(t, messages.ErrTextNoProxies)
	state := filepath.Join(t.TempDir(), "state")
	env := append(ptEnv[:], "TOR_PT_STATE_LOCATION="+state)

	first := startProgram(t, env, "-keep-local-addresses", "-url", broker.URL, "-ice", restrictedSTUN(t))
	first.socksAddr()
	file := filepath.Join(state, natFile)
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if _, err := os.Stat(file); err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal("nothing is remembered")
		}
	}
	first.terminate()

	next := startProgram(t, env, "-keep-local-addresses", "-url", broker.URL) // no STUN server: nothing can be learned
	conn, err := dialSOCKS(t, next.socksAddr(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	next.await(`"broker failure `)
	next.terminate()
	broker.mu.Lock()
	defer broker.mu.Unlock()
	if got := broker.polls[0].NAT; got != messages.NATRestricted {
		t.Errorf("the first offer of the next start states %q", got)
	}
}
