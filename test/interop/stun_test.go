package interop

import (
	"net"
	"testing"

	"github.com/pion/stun/v3"
)

// startOutsideSTUN starts a STUN server that tells everybody that they have outsideIP on the outside of their NAT, and
// returns its URL. It lasts until the test ends.
func startOutsideSTUN(t *testing.T) string {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	other, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 2)})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{}, 2)
	for _, conn := range []*net.UDPConn{c, other} {
		go func() {
			defer func() { done <- struct{}{} }()
			answerSTUN(conn, other.LocalAddr().(*net.UDPAddr))
		}()
	}
	t.Cleanup(func() {
		c.Close()
		other.Close()
		<-done
		<-done
	})
	return "stun:" + c.LocalAddr().String()
}

func answerSTUN(c *net.UDPConn, other *net.UDPAddr) {
	buf := make([]byte, 1500)
	for {
		n, from, err := c.ReadFromUDP(buf)
		if err != nil {
			return
		}
		request := &stun.Message{Raw: append([]byte(nil), buf[:n]...)}
		if request.Decode() != nil || request.Type != stun.BindingRequest {
			continue
		}
		reply, err := stun.Build(stun.NewTransactionIDSetter(request.TransactionID), stun.BindingSuccess,
			&stun.XORMappedAddress{IP: net.ParseIP(outsideIP), Port: from.Port},
			&stun.OtherAddress{IP: other.IP, Port: other.Port})
		if err == nil {
			c.WriteToUDP(reply.Raw, from) //nolint:errcheck // A lost reply is what a lost datagram is.
		}
	}
}
