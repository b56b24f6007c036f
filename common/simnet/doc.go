// Package simnet is a network inside one process: hosts with lines of their
// own, homes of several hosts behind one NAT and one line, UDP and TCP. All of
// its time passes by timers, so in a bubble of testing/synctest minutes of
// traffic take as long as the processor needs, whatever else the machine does.
//
//	client ──up/down──╮                       ╭──up/down── server
//	                  │                       │
//	                World: no delay, no limit, no loss
//	                  │                       │
//	      Home: NAT, up/down                broker
//	       │          │
//	   volunteer   volunteer
//
// A packet takes the lines of its sender upwards (host, then home), crosses the
// World, and takes those of its receiver downwards (home, then host). A line is
// a line.Line, one for each direction, whose shape may change at any time: the
// rate of a home, the loss of one host, silence. There is nothing else between
// two hosts, so their delays add up.
//
// A Host is a transport.Net, the network of pion's WebRTC stack (rtc.Config.Net),
// and has DialContext and Listen for HTTP and WebSockets. Its TCP has slow start,
// a congestion window, retransmission with back-off, flow control and resets, as
// far as they shape traffic; it does not imitate a kernel's in detail, and its
// handshake carries no data. Addresses are IPv4. There are no names: hosts go by
// their addresses.
package simnet
