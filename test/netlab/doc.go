// Package netlab makes an internet of hosts for tests: network namespaces of one Linux kernel, with real sockets, real TCP and
// real NATs, that programs run in unchanged.
//
//	host ── NAT ──┐              ┌── host      joined by a router of the kernel: as fast as the machine
//	host ─────────┴── internet ──┴── host      or each by a line up and a line down, see common/simnet/line
//
// Lines stand in for the kernel's own network emulator, which not every kernel has: what a host sends into its TUN device
// is read here and put on the lines. All of it needs root, see [Missing]. Public addresses are
// from 198.18.0.0/15, which RFC 2544 keeps for tests and no program takes for local.
package netlab
