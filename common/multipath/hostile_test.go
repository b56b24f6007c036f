package multipath

import (
	"context"
	"io"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"flurry/common/carrier"
)

// byHand is a carrier whose other end is the test: it makes each packet that
// comes, and sees each that leaves.
type byHand struct {
	conv  uint32
	lossy bool
	deaf  bool // takes nothing: Send waits
	in    chan []byte
	done  chan struct{}
	once  sync.Once

	mu   sync.Mutex
	sent [][]byte
}

// against gives c such a path.
func against(c *Conn, lossy, deaf bool) (*byHand, *Path) {
	b := &byHand{conv: c.conv, lossy: lossy, deaf: deaf, in: make(chan []byte), done: make(chan struct{})}
	return b, c.Add(b)
}

func (b *byHand) Send(ctx context.Context, msg []byte) error {
	if b.deaf {
		<-ctx.Done()
		return ctx.Err()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sent = append(b.sent, append([]byte(nil), msg...))
	return nil
}

func (b *byHand) Recv(buf []byte) (int, error) {
	select {
	case p := <-b.in:
		return copy(buf, p), nil
	case <-b.done:
		return 0, carrier.ErrClosed
	}
}

func (b *byHand) Queued() int           { return 0 }
func (b *byHand) Done() <-chan struct{} { return b.done }
func (b *byHand) Err() error            { return nil }
func (b *byHand) Traits() carrier.Traits {
	return carrier.Traits{Kind: "hand", Lossy: b.lossy, MaxMessage: maxPacket}
}

func (b *byHand) Close() error {
	b.once.Do(func() { close(b.done) })
	return nil
}

// packet gives the Conn one packet.
func (b *byHand) packet(p []byte) {
	select {
	case b.in <- p:
	case <-b.done:
	}
	synctest.Wait()
}

// say makes one packet of segments without data.
func (b *byHand) say(hs ...header) {
	var p []byte
	for _, h := range hs {
		h.conv = b.conv
		p = appendSegment(p, h, nil)
	}
	b.packet(p)
}

// push makes one packet of one segment with data.
func (b *byHand) push(sn uint32, data string) {
	b.packet(appendSegment(nil, header{conv: b.conv, cmd: cmdPush, wnd: 100, sn: sn}, []byte(data)))
}

// hear returns the segments that have left since the last time.
func (b *byHand) hear() (hs []header) {
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.sent {
		for {
			h, _, rest, ok := cutSegment(p)
			if !ok {
				break
			}
			hs, p = append(hs, h), rest
		}
	}
	b.sent = nil
	return hs
}

func count(hs []header, cmd byte) (n int) {
	for _, h := range hs {
		if h.cmd == cmd {
			n++
		}
	}
	return n
}

// footprint is how many bytes of memory a conversation holds.
func (c *Conn) footprint() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	const packetSize = int(unsafe.Sizeof(packet{}))
	n := len(c.snd.ring)*int(unsafe.Sizeof(outSegment{})) + 4*cap(c.snd.again)
	for sn := c.snd.una; sn != c.snd.end; sn++ {
		if c.snd.at(sn).pkt != nil {
			n += packetSize
		}
	}
	n += (len(c.rcv.ring) + len(c.rcv.ready.ring)) * int(unsafe.Sizeof(inSegment{}))
	n += (c.rcv.early + c.rcv.ready.count) * packetSize
	n += (cap(c.rcv.acks) + cap(c.rcv.told)) * int(unsafe.Sizeof(ack{}))
	for _, p := range c.paths {
		n += (p.urgent.count + p.out.count) * packetSize
		n += len(p.fl.order.ring) * int(unsafe.Sizeof(crossing{}))
	}
	return n
}

// sane reports what no peer may bring about.
func (c *Conn) sane(t *testing.T) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	checkSender(t, &c.snd)
	if c.rcv.bytes > c.rcv.limit {
		t.Errorf("holds %d bytes that were received, above %d", c.rcv.bytes, c.rcv.limit)
	}
	for _, p := range c.paths {
		bytes := 0
		for sn := c.snd.una; sn != c.snd.nxt; sn++ {
			if seg := c.snd.at(sn); seg.state == flying && seg.path == p {
				bytes += wireSize(seg)
			}
		}
		if p.fl.bytes != bytes {
			t.Errorf("counts %d bytes under way, there are %d", p.fl.bytes, bytes)
		}
		if w, pace := p.windowLocked(), p.ctl.pace(); w < leastWindow || !(pace > 0) || math.IsInf(pace, 0) {
			t.Errorf("window %d, pace %v", w, pace)
		}
	}
}

func TestAcksForWhatWasNeverSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Options{})
		defer c.Close()
		b, p := against(c, true, false)
		time.Sleep(time.Second)
		c.Write(make([]byte, 3000))
		sent := count(b.hear(), cmdPush)
		if sent != 3 {
			t.Fatalf("%d segments", sent)
		}
		for _, sn := range []uint32{3, 4, 1000, 1 << 31, math.MaxUint32} {
			b.say(header{cmd: cmdAck, sn: sn, wnd: 100, una: 0})
			b.say(header{cmd: cmdTell, wnd: 7, una: max(sn, 4)})
			b.say(header{cmd: cmdTell, wnd: 7, una: 1<<31 + 3 - 3*(sn&1)}) // exactly half way around
		}
		c.sane(t)
		if i := p.Info(); i.InFlight == 0 || i.RTT != 0 {
			t.Errorf("%+v", i)
		}
		if c.snd.una != 0 || c.snd.peerWindow == 7 {
			t.Errorf("una %d, window %d", c.snd.una, c.snd.peerWindow)
		}
		b.say(header{cmd: cmdAck, sn: 2, wnd: 100, una: 3})
		if err := c.Drained(t.Context()); err != nil {
			t.Error(err)
		}
		b.say(header{cmd: cmdTell, wnd: 100, una: 1}) // of the past
		c.sane(t)
	})
}

// Acknowledgements whose time stamps are nonsense acknowledge, and tell no round
// trip.
func TestAcksWithWrongTimeStamps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Options{})
		defer c.Close()
		b, p := against(c, true, false)
		rng := rand.New(rand.NewPCG(1, 1))
		go c.Write(make([]byte, 1<<20))
		for range 2000 {
			var acks []header
			for _, h := range b.hear() {
				if h.cmd == cmdPush {
					acks = append(acks, header{cmd: cmdAck, sn: h.sn, ts: h.ts + 1 + rng.Uint32N(1<<20), wnd: 1000})
				}
			}
			if len(acks) == 0 {
				time.Sleep(5 * ms)
				continue
			}
			for len(acks) > 50 {
				b.say(acks[:50]...)
				acks = acks[50:]
			}
			b.say(acks...)
			c.sane(t)
		}
		if rtt := p.Info().RTT; rtt != 0 {
			t.Errorf("a round trip of %v", rtt)
		}
	})
}

// A peer that claims to have everything as soon as it leaves gets it fast, and
// nothing breaks.
func TestOptimisticPeer(t *testing.T) {
	for _, lossy := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			c := New(Options{SendBuffer: 1 << 20})
			defer c.Close()
			b, _ := against(c, lossy, false)
			go io.Copy(c, io.LimitReader(zeros{}, 20<<20))
			deadline := time.Now().Add(30 * time.Second)
			for time.Now().Before(deadline) {
				c.mu.Lock()
				una := c.snd.nxt
				c.mu.Unlock()
				b.say(header{cmd: cmdTell, una: una, wnd: 65535}, header{cmd: cmdAck, sn: una - 1, una: una, wnd: 65535})
				c.sane(t)
				if n := c.footprint(); n > 4<<20 {
					t.Fatalf("holds %d bytes", n)
				}
				b.hear()
				time.Sleep(10 * ms)
			}
		})
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

func TestSegmentsFarAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Options{Accept: true})
		defer c.Close()
		b, _ := against(c, true, false)
		b.conv = 77
		b.push(0, "x")
		for _, sn := range []uint32{reach + 1, 1 << 20, 1<<31 - 1, 1 << 31, math.MaxUint32} {
			b.push(sn, "x")
		}
		if n := c.footprint(); n > 64<<10 {
			t.Errorf("holds %d bytes", n)
		}
		c.sane(t)
		b.hear()
		b.push(1, "y")
		if got := make([]byte, 2); true {
			if _, err := io.ReadFull(c, got); err != nil || string(got) != "xy" {
				t.Errorf("%q, %v", got, err)
			}
		}
	})
}

func TestOtherConversations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Options{Accept: true})
		defer c.Close()
		b, _ := against(c, true, false)
		b.conv = 5
		b.say(header{cmd: cmdAsk, wnd: 10}, header{cmd: cmdAck}, header{cmd: cmdTell})
		select {
		case <-c.Begun():
			t.Fatal("begun without data")
		default:
		}
		if n := len(b.hear()); n != 0 {
			t.Errorf("%d segments in answer to nothing", n)
		}
		b.push(0, "a")
		<-c.Begun()
		b.conv = 6
		b.push(0, "z")
		b.push(1, "z")
		b.say(header{cmd: cmdAsk})
		for _, h := range b.hear() {
			if h.conv != 5 || h.cmd == cmdTell {
				t.Errorf("%+v", h)
			}
		}
		b.conv = 5
		b.push(1, "b")
		got := make([]byte, 2)
		if _, err := io.ReadFull(c, got); err != nil || string(got) != "ab" {
			t.Errorf("%q, %v", got, err)
		}
	})
}

// A window that stays closed costs questions, and few of them; Write waits until
// Close.
func TestWindowThatStaysClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Options{})
		b, _ := against(c, true, false)
		c.Write([]byte("x"))
		b.say(header{cmd: cmdAck, una: 1, wnd: 0})
		failed := make(chan error, 1)
		go func() {
			_, err := io.Copy(c, zeros{})
			failed <- err
		}()
		b.hear()
		asked := 0
		begin := time.Now()
		for time.Since(begin) < time.Minute {
			hs := b.hear()
			if n := count(hs, cmdPush); n > 0 {
				t.Fatalf("%d segments into a closed window", n)
			}
			if n := count(hs, cmdAsk); n > 0 {
				asked += n
				b.say(header{cmd: cmdTell, una: 1, wnd: 0})
			}
			time.Sleep(10 * ms)
		}
		if asked < 2 || asked > 120 {
			t.Errorf("asked %d times in a minute", asked)
		}
		c.sane(t)
		b.say(header{cmd: cmdTell, una: 1, wnd: 2})
		if n := count(b.hear(), cmdPush); n != 2 {
			t.Errorf("%d segments into a window of 2", n)
		}
		c.Close()
		if err := <-failed; err != io.ErrClosedPipe {
			t.Errorf("Write: %v", err)
		}
	})
}

// Questions and old data want answers. From a peer that does not read them, they
// take no memory.
func TestPeerThatDoesNotReadAnswers(t *testing.T) {
	for name, segment := range map[string]header{
		"questions":  {cmd: cmdAsk, wnd: 100},
		"duplicates": {cmd: cmdPush, wnd: 100},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := New(Options{Accept: true})
				defer c.Close()
				b, _ := against(c, false, true)
				b.conv = 9
				b.push(0, "x")
				many := make([]header, maxPacket/headerLen)
				for i := range many {
					many[i] = segment
				}
				for range 2000 {
					b.say(many...)
					time.Sleep(ackDelay)
				}
				if n := c.footprint(); n > 1<<20 {
					t.Errorf("holds %d bytes after %d", n, 2000*maxPacket)
				}
			})
		})
	}
}

// To a peer that never acknowledges, what is under way goes again, ever more
// rarely, and no more of it.
func TestPeerThatNeverAcknowledges(t *testing.T) {
	for _, lossy := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			c := New(Options{})
			defer c.Close()
			b, _ := against(c, lossy, false)
			go io.Copy(c, zeros{})
			time.Sleep(10 * time.Second)
			b.hear()
			const minutes = 10
			time.Sleep(minutes * time.Minute)
			hs := b.hear()
			bytes := 0
			for _, h := range hs {
				if h.cmd == cmdPush {
					bytes += maxPacket
				}
			}
			t.Logf("lossy %v: %d packets, %d with data, in %d minutes", lossy, len(hs), count(hs, cmdPush), minutes)
			if most := minutes * 60 * leastWindow; bytes > most {
				t.Errorf("%d bytes in %d minutes, at most %d", bytes, minutes, most)
			}
			if count(hs, cmdAsk) < minutes {
				t.Errorf("asked %d times in %d minutes: would not notice its return", count(hs, cmdAsk), minutes)
			}
			if n := c.footprint(); n > 1<<20 {
				t.Errorf("holds %d bytes", n)
			}
			c.sane(t)
		})
	}
}
