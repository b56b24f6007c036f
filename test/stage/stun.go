package stage

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/pion/stun/v3"
	"golang.org/x/sync/errgroup"
)

// A stunServer answers STUN binding requests on two addresses times two ports, as RFC 5780 wants it for finding the kind of
// a NAT. On a host with one address, such as a system whose loopback is only 127.0.0.1, it cannot help with that; ICE works
// all the same.
type stunServer struct {
	conns [2][2]*net.UDPConn // by address and port; the second row is empty with one address
	group errgroup.Group
}

func startSTUN(ctx context.Context, on Host) (*stunServer, error) {
	s := &stunServer{}
	var ports [2]int
	addrs := on.Addrs()
	for i, ip := range addrs[:min(2, len(addrs))] {
		for j := range ports {
			var c net.PacketConn
			err := on.Do(func() (err error) {
				var lc net.ListenConfig
				c, err = lc.ListenPacket(ctx, "udp4", fmt.Sprintf("%s:%d", ip, ports[j]))
				return err
			})
			if err != nil && i == 1 {
				s.closeRow(1)
				break
			}
			if err != nil {
				s.close()
				return nil, fmt.Errorf("start the STUN server: %w", err)
			}
			s.conns[i][j] = c.(*net.UDPConn)
			ports[j] = c.LocalAddr().(*net.UDPAddr).Port
		}
	}
	for i := range s.conns {
		for j, c := range s.conns[i] {
			if c != nil {
				s.group.Go(func() error { return s.serve(i, j) })
			}
		}
	}
	return s, nil
}

// url is the server's address as ICE wants it.
func (s *stunServer) url() string { return "stun:" + s.conns[0][0].LocalAddr().String() }

func (s *stunServer) serve(i, j int) error {
	buf := make([]byte, 1500)
	for {
		n, from, err := s.conns[i][j].ReadFromUDP(buf)
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			continue // An ICMP error about an earlier reply.
		}
		request := &stun.Message{Raw: append([]byte(nil), buf[:n]...)}
		if request.Decode() != nil || request.Type != stun.BindingRequest {
			continue
		}
		s.reply(request, i, j, from)
	}
}

// Flags of the CHANGE-REQUEST attribute, RFC 5780 section 7.2.
const (
	changeAddress = 4
	changePort    = 2
)

func (s *stunServer) reply(request *stun.Message, i, j int, to *net.UDPAddr) {
	oi, oj := i, j
	if v, err := request.Get(stun.AttrChangeRequest); err == nil && len(v) == 4 {
		if v[3]&changeAddress != 0 {
			oi = 1 - i
		}
		if v[3]&changePort != 0 {
			oj = 1 - j
		}
	}
	from := s.conns[oi][oj]
	if from == nil {
		return
	}
	setters := []stun.Setter{stun.NewTransactionIDSetter(request.TransactionID), stun.BindingSuccess,
		&stun.XORMappedAddress{IP: to.IP, Port: to.Port}, &stun.MappedAddress{IP: to.IP, Port: to.Port}}
	if other := s.conns[1-i][1-j]; other != nil {
		a, o := other.LocalAddr().(*net.UDPAddr), from.LocalAddr().(*net.UDPAddr)
		setters = append(setters, &stun.OtherAddress{IP: a.IP, Port: a.Port}, &stun.ResponseOrigin{IP: o.IP, Port: o.Port})
	}
	m, err := stun.Build(setters...)
	if err != nil {
		return
	}
	from.WriteToUDP(m.Raw, to) //nolint:errcheck // A lost reply is what a lost datagram is.
}

func (s *stunServer) closeRow(i int) {
	for j, c := range s.conns[i] {
		if c != nil {
			c.Close()
		}
		s.conns[i][j] = nil
	}
}

// close ends the server and waits for its goroutines.
func (s *stunServer) close() {
	for i := range s.conns {
		for _, c := range s.conns[i] {
			if c != nil {
				c.Close()
			}
		}
	}
	s.group.Wait() //nolint:errcheck // serve returns nil.
}
