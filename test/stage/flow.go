package stage

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// A flow's messages have a kind, a number in 8 bytes, and, for data, that many bytes. From the app: "get so many bytes",
// "echo this number". From the site: data, echoes. An echo overtakes data that has not left the site, so what it waits for
// is the tunnel.
const (
	flowGet  = 'G'
	flowEcho = 'E'
	flowData = 'D'
)

const (
	flowHeader = 9
	flowChunk  = 16 << 10
	// flowQueue bounds echoes that wait for their turn at the site.
	flowQueue = 1000
	// siteBuffer keeps the site's own queue, that of its socket, out of the times of echoes.
	siteBuffer = 64 << 10
)

// serveFlow is the site's end.
func serveFlow(c net.Conn, r io.Reader, seed uint64) {
	if tcp, ok := c.(*net.TCPConn); ok {
		tcp.SetWriteBuffer(siteBuffer) //nolint:errcheck // It is better with, and works without.
	}
	gets, echoes := make(chan uint64, 1), make(chan uint64, flowQueue)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer c.Close() // Which ends the reading below.
		writeFlow(c, File(seed, maxFile), gets, echoes)
	}()
	header := make([]byte, flowHeader)
	for {
		if _, err := io.ReadFull(r, header); err != nil {
			break
		}
		to := gets
		if header[0] == flowEcho {
			to = echoes
		}
		select {
		case to <- binary.BigEndian.Uint64(header[1:]):
			continue
		case <-done:
		}
		break
	}
	c.Close()
	close(gets)
	<-done
}

// writeFlow writes echoes and the bytes of file that are asked for, until gets is closed or the connection fails.
func writeFlow(c net.Conn, file io.Reader, gets, echoes <-chan uint64) {
	buf := make([]byte, flowHeader+flowChunk)
	message := func(kind byte, n uint64, size int) error {
		buf[0] = kind
		binary.BigEndian.PutUint64(buf[1:], n)
		_, err := c.Write(buf[:flowHeader+size])
		return err
	}
	for left := uint64(0); ; {
		var err error
		select {
		case id := <-echoes:
			err = message(flowEcho, id, 0)
		default:
			if left == 0 {
				select {
				case id := <-echoes:
					err = message(flowEcho, id, 0)
				case n, ok := <-gets:
					if !ok {
						return
					}
					left = n
				}
				break
			}
			n, _ := io.ReadFull(file, buf[flowHeader:][:min(left, flowChunk)])
			err = message(flowData, uint64(n), n)
			left -= uint64(n)
		}
		if err != nil {
			return
		}
	}
}

// A Flow is a connection to the web site that downloads and measures echoes at the same time, as the circuits of a tor share
// its one connection. Its methods may be called by any goroutine.
type Flow struct {
	c     net.Conn
	r     *bufio.Reader
	seed  uint64
	ended chan struct{} // closed when nothing more is read; err is set then

	mu    sync.Mutex
	write sync.Mutex // held while a message is written

	// guarded by mu
	nextID   uint64
	sent     map[uint64]chan struct{} // echoes under way; closed when they are back
	asked    int64
	received int64
	more     chan struct{} // closed and replaced when all that was asked for is there
	last     time.Time     // when data came last, or was asked for
	stall    time.Duration
	err      error
}

// NewFlow makes a flow of c, a connection from Dial, and owns it. It returns when the site has answered.
func NewFlow(ctx context.Context, c net.Conn, seed uint64) (*Flow, error) {
	f := &Flow{c: c, seed: seed, ended: make(chan struct{}), sent: map[uint64]chan struct{}{}, more: make(chan struct{})}
	f.r = bufio.NewReaderSize(c, 64<<10)
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Now()) })
	err := request(http.MethodGet, fmt.Sprintf("/flow?seed=%d", seed), nil, 0).Write(c)
	if err == nil {
		var resp *http.Response
		if resp, err = http.ReadResponse(f.r, nil); err == nil && resp.StatusCode != http.StatusOK {
			err = errors.New(resp.Status)
		}
	}
	if !stop() || err != nil {
		c.Close()
		return nil, fmt.Errorf("begin a flow: %w", because(ctx, err))
	}
	go f.read()
	return f, nil
}

// read takes what comes, and compares every byte with the site's file.
func (f *Flow) read() {
	defer close(f.ended)
	err := f.readMessages(File(f.seed, maxFile))
	f.c.Close()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

func (f *Flow) readMessages(file io.Reader) error {
	header := make([]byte, flowHeader)
	got, want := make([]byte, flowChunk), make([]byte, flowChunk)
	for {
		if _, err := io.ReadFull(f.r, header); err != nil {
			return err
		}
		n := binary.BigEndian.Uint64(header[1:])
		switch {
		case header[0] == flowEcho:
			f.mu.Lock()
			if back := f.sent[n]; back != nil {
				close(back)
				delete(f.sent, n)
			}
			f.mu.Unlock()
		case header[0] == flowData && n <= flowChunk:
			for n > 0 {
				k, err := f.r.Read(got[:n])
				if err != nil {
					return err
				}
				io.ReadFull(file, want[:k]) //nolint:errcheck // This reader does not fail.
				if !bytes.Equal(got[:k], want[:k]) {
					return fmt.Errorf("wrong bytes after %d", f.Received())
				}
				f.arrived(int64(k))
				n -= uint64(k)
			}
		default:
			return fmt.Errorf("message of kind %q and size %d", header[0], n)
		}
	}
}

func (f *Flow) arrived(n int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	f.stall = max(f.stall, now.Sub(f.last))
	f.last = now
	if f.received += n; f.received >= f.asked {
		close(f.more)
		f.more = make(chan struct{})
	}
}

// Get asks for n more bytes. All that was asked for before must have come.
func (f *Flow) Get(n int64) error {
	f.mu.Lock()
	f.asked += n
	f.last, f.stall = time.Now(), 0
	f.mu.Unlock()
	return f.send(flowGet, uint64(n))
}

// Wait waits until all that was asked for has come. The error is nil only if every byte is the right one.
func (f *Flow) Wait(ctx context.Context) error {
	f.mu.Lock()
	more, got, asked := f.more, f.received, f.asked
	f.mu.Unlock()
	if got >= asked {
		return nil
	}
	select {
	case <-more:
		return nil
	case <-f.ended:
		return fmt.Errorf("flow after %d of %d bytes: %w", f.Received(), asked, f.err)
	case <-ctx.Done():
		return fmt.Errorf("flow after %d of %d bytes: %w", f.Received(), asked, context.Cause(ctx))
	}
}

// Received is the number of bytes that have come so far.
func (f *Flow) Received() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.received
}

// Stall is the longest time without any data since the last Get, up to the last byte that has come.
func (f *Flow) Stall() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.stall
}

// Echo sends something to the site and returns how long it takes to come back.
func (f *Flow) Echo(ctx context.Context) (time.Duration, error) {
	back := make(chan struct{})
	f.mu.Lock()
	f.nextID++
	id := f.nextID
	f.sent[id] = back
	f.mu.Unlock()
	start := time.Now()
	if err := f.send(flowEcho, id); err != nil {
		return 0, err
	}
	select {
	case <-back:
		return time.Since(start), nil
	case <-f.ended:
		return 0, fmt.Errorf("echo: %w", f.err)
	case <-ctx.Done():
		return 0, fmt.Errorf("echo: %w", context.Cause(ctx))
	}
}

func (f *Flow) send(kind byte, n uint64) error {
	f.write.Lock()
	defer f.write.Unlock()
	message := binary.BigEndian.AppendUint64([]byte{kind}, n)
	if _, err := f.c.Write(message); err != nil {
		return fmt.Errorf("flow: %w", err)
	}
	return nil
}

// Close ends the flow and its connection.
func (f *Flow) Close() {
	f.c.Close()
	<-f.ended
}
