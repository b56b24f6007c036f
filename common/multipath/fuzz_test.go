package multipath

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"
)

// What is cut off a packet is a part of it, and makes the same bytes again.
func FuzzSegments(f *testing.F) {
	f.Add(appendSegment(appendSegment(nil, header{conv: 1, cmd: cmdPush, wnd: 2, ts: 3, sn: 4, una: 5}, []byte("data")), header{cmd: cmdAck}, nil))
	f.Add([]byte{})
	f.Add(bytes.Repeat([]byte{81}, 100))
	f.Fuzz(func(t *testing.T, p []byte) {
		rest := p
		for {
			h, data, more, ok := cutSegment(rest)
			if !ok {
				break
			}
			used := len(rest) - len(more)
			if used != headerLen+len(data) {
				t.Fatalf("%d bytes for %d of data", used, len(data))
			}
			if again := appendSegment(nil, h, data); !bytes.Equal(again, rest[:used]) {
				t.Fatalf("%x became %x", rest[:used], again)
			}
			rest = more
		}
	})
}

// fuzzBuffer is each way's buffer of the Conns that are fuzzed.
const fuzzBuffer = 64 << 10

// fuzzMost bounds their memory: the buffers, by what a packet holds of them (in
// the worst case one byte of data of 25 on the wire, in a start's window and two
// paths), the queues of two paths, and places for early segments.
const fuzzMost = fuzzBuffer + 2*(firstWindow/(headerLen+1)*1600) + 2*(urgentMost*1500+2*pathQueue) + reach*32 + 256<<10

// Whatever a peer sends on two paths, to either end of a conversation: no panic,
// no hang, no more memory than stated, and books that balance. The script is a
// list of turns: which path, how much time passes, what is written and read, and
// a packet, which may speak of this conversation and of numbers near to what it
// has come to.
func FuzzConn(f *testing.F) {
	seg := func(h header, data string) []byte { return appendSegment(nil, h, []byte(data)) }
	turn := func(flags, wait byte, p []byte) []byte {
		return append([]byte{flags, wait, byte(len(p)), byte(len(p) >> 8)}, p...)
	}
	push, ack, ask := header{cmd: cmdPush, wnd: 128}, header{cmd: cmdAck, wnd: 128}, header{cmd: cmdAsk, wnd: 128}
	for _, accept := range []bool{false, true} {
		f.Add(accept, bytes.Join([][]byte{turn(4, 1, seg(push, "hello")), turn(4, 3, seg(ack, "")), turn(8, 0, nil)}, nil))
		f.Add(accept, bytes.Join([][]byte{turn(5, 200, bytes.Repeat(seg(ask, ""), 50)), turn(6, 255, bytes.Repeat(seg(push, "a"), 9)), turn(15, 9, seg(ack, ""))}, nil))
		f.Add(accept, bytes.Join([][]byte{turn(20, 50, seg(push, "a")), turn(52, 50, seg(header{cmd: cmdAck, sn: 3, una: 1}, "")), turn(22, 90, seg(header{cmd: cmdTell, una: 1}, "")), turn(7, 250, nil)}, nil))
		f.Add(accept, bytes.Join([][]byte{turn(21, 1, seg(header{cmd: cmdPush, sn: 1 << 13, wnd: 65535}, "b")), turn(4, 4, seg(header{cmd: cmdPush, sn: 1<<32 - 1}, "c"))}, nil))
	}
	f.Fuzz(func(t *testing.T, accept bool, script []byte) {
		synctest.Test(t, func(t *testing.T) { playConn(t, accept, script) })
	})
}

// The flags of a turn.
const (
	turnPath  = 1 << iota // on the second path
	turnRead              // read what there is
	turnOurs              // the packet is of this conversation
	turnWrite             // write, if that does not wait
	turnNear              // numbers count from where the conversation is
	turnLong              // seconds pass, not milliseconds
)

func playConn(t *testing.T, accept bool, script []byte) {
	c := New(Options{Accept: accept, Ask: !accept, SendBuffer: fuzzBuffer, ReceiveBuffer: fuzzBuffer})
	defer c.Close()
	one, _ := against(c, true, false)
	two, _ := against(c, false, true)
	if accept {
		one.push(0, "begin")
	}
	for turns := 0; len(script) >= 4 && turns < 200; turns++ {
		flags, wait, n := script[0], time.Duration(script[1])*ms, int(script[2])|int(script[3])<<8
		script = script[4:]
		n = min(n, len(script), maxPacket)
		p := bytes.Clone(script[:n])
		script = script[n:]
		c.aim(p, flags)
		if flags&turnPath != 0 {
			two.packet(p)
		} else {
			one.packet(p)
		}
		c.mu.Lock()
		full, ready := c.fullLocked(), c.rcv.ready.count > 0
		c.mu.Unlock()
		if flags&turnWrite != 0 && !full {
			c.Write(make([]byte, 1+int(wait/ms)*8))
		}
		if flags&turnRead != 0 && ready {
			go c.Read(make([]byte, 4096)) // waits if what is ready holds no data
			synctest.Wait()
		}
		if flags&turnLong != 0 {
			wait *= 100
		}
		time.Sleep(wait)
		synctest.Wait()
		one.hear()
		c.sane(t)
		if n := c.footprint(); n > fuzzMost {
			t.Fatalf("holds %d bytes, above %d", n, fuzzMost)
		}
	}
}

// aim makes a packet's segments speak of this conversation, and of numbers near
// to where it is, as the flags say.
func (c *Conn) aim(p []byte, flags byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(p) >= headerLen {
		h, data, rest, ok := cutSegment(p)
		if !ok {
			return
		}
		if flags&turnOurs != 0 {
			h.conv = c.conv
		}
		if flags&turnNear != 0 {
			h.una += c.snd.una
			if h.cmd == cmdPush {
				h.sn += c.rcv.next
			} else {
				h.sn += c.snd.una
				if c.snd.holds(h.sn) {
					h.ts = c.snd.at(h.sn).ts
				}
			}
		}
		appendSegment(p[:0], h, data)
		p = rest
	}
}
