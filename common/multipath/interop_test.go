package multipath

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"reflect"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"flurry/common/carrier"
	"flurry/common/carrier/carriertest"
	"flurry/common/simnet/line"
	"flurry/common/vectors"

	"github.com/xtaci/kcp-go/v5"
)

// deployed is a peer with kcp-go's engine, configured as deployed peers do (spec
// section 7.3), in virtual time: kcp-go's own sessions spin in a bubble, whose
// timers are never late. It sends each packet on one of its carriers, round
// robin, and takes what comes on any.
type deployed struct {
	conns []carrier.Conn
	done  chan struct{}
	once  sync.Once
	tasks sync.WaitGroup
	ready chan struct{} // there is something to send; buffered

	mu     sync.Mutex
	window int
	kcp    *kcp.KCP // nil at a server's end that has not heard anything
	out    [][]byte
	turn   int
	closed bool
	change *sync.Cond
}

func newDeployed(window int, conns ...carrier.Conn) *deployed {
	d := &deployed{conns: conns, window: window, done: make(chan struct{}), ready: make(chan struct{}, 1)}
	d.change = sync.NewCond(&d.mu)
	for _, c := range conns {
		d.tasks.Go(func() { d.receive(c) })
	}
	d.tasks.Go(d.send)
	d.tasks.Go(d.update)
	return d
}

func (d *deployed) start(conv uint32) {
	d.kcp = kcp.NewKCP(conv, func(b []byte, n int) {
		d.out = append(d.out, bytes.Clone(b[:n]))
		select {
		case d.ready <- struct{}{}:
		default:
		}
	})
	d.kcp.NoDelay(0, 0, 0, 1)
	d.kcp.WndSize(d.window, d.window)
	d.kcp.SetMtu(1400)
	// only kcp-go's sessions can set this
	stream := reflect.ValueOf(d.kcp).Elem().FieldByName("stream")
	*(*int32)(stream.Addr().UnsafePointer()) = 1
}

func (d *deployed) receive(c carrier.Conn) {
	b := make([]byte, 1500)
	for {
		n, err := c.Recv(b)
		if err != nil {
			return
		}
		d.mu.Lock()
		if d.kcp == nil && n >= 4 {
			d.start(binary.LittleEndian.Uint32(b))
		}
		if got := d.kcp.Input(b[:n], kcp.IKCP_PACKET_REGULAR, false); got != 0 {
			panic(fmt.Sprintf("kcp-go refuses a packet: %d", got))
		}
		d.change.Broadcast()
		d.mu.Unlock()
	}
}

func (d *deployed) send() {
	for {
		select {
		case <-d.ready:
		case <-d.done:
			return
		}
		d.mu.Lock()
		out := d.out
		d.out = nil
		d.mu.Unlock()
		for _, b := range out {
			d.conns[d.turn%len(d.conns)].Send(context.Background(), b)
			d.turn++
		}
	}
}

func (d *deployed) update() {
	tick := time.NewTicker(10 * ms)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-d.done:
			return
		}
		d.mu.Lock()
		if d.kcp != nil {
			d.kcp.Update()
		}
		d.mu.Unlock()
	}
}

// Read implements io.Reader.
func (d *deployed) Read(b []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for !d.closed {
		if d.kcp != nil && d.kcp.PeekSize() > 0 {
			return d.kcp.Recv(b), nil // -2 if b is short: kept from that by io.Copy's buffer
		}
		d.change.Wait()
	}
	return 0, net.ErrClosed
}

// Write implements io.Writer.
func (d *deployed) Write(b []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for !d.closed && (d.kcp == nil || d.kcp.WaitSnd() >= d.window) {
		d.change.Wait()
	}
	if d.closed {
		return 0, net.ErrClosed
	}
	d.kcp.Send(b)
	return len(b), nil
}

func (d *deployed) Close() {
	d.once.Do(func() {
		d.mu.Lock()
		d.closed = true
		d.change.Broadcast()
		d.mu.Unlock()
		close(d.done)
		for _, c := range d.conns {
			c.Close()
		}
		d.tasks.Wait()
	})
}

const stockWindow = 65535

// interop is our end and a deployed one, joined by shaped pairs.
type interop struct {
	accept bool // our end does
	ours   *Conn
	theirs *deployed
}

func join(o Options, window int, pairs []carriertest.Shaped) *interop {
	x := &interop{accept: o.Accept, ours: New(o)}
	var far []carrier.Conn
	for _, s := range pairs {
		a, b := carriertest.ShapedPair(s)
		x.ours.Add(a)
		far = append(far, b)
	}
	x.theirs = newDeployed(window, far...)
	if o.Accept {
		x.theirs.mu.Lock()
		x.theirs.start(0xfedcba98)
		x.theirs.mu.Unlock()
	}
	return x
}

func (x *interop) close() {
	x.ours.Close()
	x.theirs.Close()
}

// both moves size bytes each way at once, checks them, and returns the time that
// it took. The reader of each end waits for so long before it begins.
func (x *interop) both(t *testing.T, size int, wait time.Duration) time.Duration {
	t.Helper()
	begin := time.Now()
	client, server := io.ReadWriter(x.ours), io.ReadWriter(x.theirs)
	if x.accept {
		client, server = server, client
	}
	client.Write([]byte("hello")) // it speaks first
	if _, err := io.CopyN(io.Discard, server, 5); err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	one := func(seed int, from io.Writer, to io.Reader) {
		data := vectors.Payload(seed, size)
		group.Go(func() {
			for rest := data; len(rest) > 0; {
				n := min(len(rest), 10_007)
				if _, err := from.Write(rest[:n]); err != nil {
					t.Error(err)
					return
				}
				rest = rest[n:]
			}
		})
		group.Go(func() {
			time.Sleep(wait)
			h := sha256.New()
			if n, err := io.CopyN(h, to, int64(size)); err != nil {
				t.Errorf("after %d bytes: %v", n, err)
				return
			}
			if sum := sha256.Sum256(data); !bytes.Equal(h.Sum(nil), sum[:]) {
				t.Error("came changed")
			}
		})
	}
	one(1, x.ours, x.theirs)
	one(2, x.theirs, x.ours)
	group.Wait()
	return time.Since(begin)
}

func TestInterop(t *testing.T) {
	way := func(kind carriertest.Kind, delay time.Duration, loss, reorder float64) carriertest.Shaped {
		s := line.Shape{Rate: 20e6, Delay: delay, Loss: loss, Reorder: reorder, Seed: 1}
		r := s
		r.Seed = 2
		return carriertest.Shaped{Kind: kind, AB: s, BA: r}
	}
	const lossy, ordered = carriertest.Lossy, carriertest.Ordered
	for _, c := range []struct {
		name   string
		size   int
		most   time.Duration // deployed peers repair by time-out
		resent float64       // by us, of what we sent, at most: they tell of each segment once
		pairs  []carriertest.Shaped
	}{
		{"plain", 4 << 20, 2 * time.Second, 0, []carriertest.Shaped{way(ordered, 20*ms, 0, 0)}},
		{"three paths", 4 << 20, 2 * time.Second, 0.01,
			[]carriertest.Shaped{way(ordered, 20*ms, 0, 0), way(ordered, 40*ms, 0, 0), way(lossy, 80*ms, 0, 0)}},
		{"loss", 2 << 20, 4 * time.Second, 0.3, []carriertest.Shaped{way(lossy, 40*ms, 0.05, 0)}},
		{"reordering", 2 << 20, 2 * time.Second, 0.02, []carriertest.Shaped{way(lossy, 40*ms, 0, 0.2)}},
		{"all of it", 2 << 20, 15 * time.Second, 0.3, []carriertest.Shaped{way(lossy, 20*ms, 0.05, 0.1), way(ordered, 90*ms, 0.02, 0)}},
	} {
		for _, accept := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/accept=%v", c.name, accept), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					x := join(Options{Accept: accept, Ask: !accept}, stockWindow, c.pairs)
					defer x.close()
					took := x.both(t, c.size, 0)
					st := x.ours.Stats()
					t.Logf("%v, %+v", took, st)
					if took > c.most {
						t.Errorf("took %v, want at most %v", took, c.most)
					}
					if float64(st.Resent) > c.resent*float64(st.Sent) {
						t.Errorf("%d of %d sent again", st.Resent, st.Sent)
					}
				})
			})
		}
	}
}

// Readers who sleep close both windows, and waking they open them again.
func TestInteropWindowCloses(t *testing.T) {
	const window = 256 // segments, at both ends
	for _, accept := range []bool{false, true} {
		for _, kind := range []carriertest.Kind{carriertest.Lossy, carriertest.Ordered} {
			t.Run(fmt.Sprintf("accept=%v/kind=%v", accept, kind), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := line.Shape{Rate: 5e6, Delay: 20 * ms}
					if kind == carriertest.Lossy {
						s.Loss = 0.02
					}
					x := join(Options{Accept: accept, Ask: !accept, ReceiveBuffer: window * maxPacket}, window,
						[]carriertest.Shaped{{Kind: kind, AB: s, BA: s}})
					defer x.close()
					const sleep = 30 * time.Second
					took := x.both(t, 2<<20, sleep)
					t.Logf("%v, %+v", took, x.ours.Stats())
					if took > sleep+5*time.Second {
						t.Errorf("took %v", took)
					}
				})
			})
		}
	}
}
