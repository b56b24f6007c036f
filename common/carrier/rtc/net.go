package rtc

import (
	"net"

	"github.com/pion/transport/v5"
	"github.com/pion/transport/v5/stdnet"
)

// socketBuffer is asked for on every UDP socket. With the kernel's default of
// 208 KiB a client at 17 MB/s lost some 1,500 datagrams a run to a full buffer,
// each of which SCTP takes for congestion (measured).
const socketBuffer = 4 << 20

// roomyNet is the operating system's network with large socket buffers, as far
// as the system grants them, and with batches on UDP sockets.
type roomyNet struct{ *stdnet.Net }

func newRoomyNet() (roomyNet, error) {
	n, err := stdnet.NewNet()
	return roomyNet{n}, err
}

// ListenUDP implements transport.Net.
func (n roomyNet) ListenUDP(network string, laddr *net.UDPAddr) (transport.UDPConn, error) {
	c, err := n.Net.ListenUDP(network, laddr)
	if err == nil {
		// Refused or cut down by the system, the buffer is still at its default.
		_ = c.SetReadBuffer(socketBuffer)
		_ = c.SetWriteBuffer(socketBuffer)
		c = newBatchConn(c)
	}
	return c, err
}
