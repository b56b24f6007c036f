package simulated

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// blockLen is a prime: no packet or buffer has a length that divides it, so
// what arrives in a wrong place differs.
const blockLen = 1_000_003

// block is what every file consists of, over and over.
var block = func() []byte {
	b := make([]byte, blockLen)
	src := rand.NewChaCha8([32]byte{1})
	src.Read(b)
	return b
}()

// file reads the first bytes of the endless file.
type file struct{ at, left int64 }

// Read implements io.Reader.
func (f *file) Read(p []byte) (int, error) {
	if f.left == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(int64(len(p)), f.left)], block[f.at%blockLen:])
	f.at += int64(n)
	f.left -= int64(n)
	return n, nil
}

// check reads n bytes of the file from r and compares each.
func check(r io.Reader, n int64) error {
	buf := make([]byte, 64<<10)
	for at := int64(0); at < n; {
		k, err := r.Read(buf[:min(int64(len(buf)), n-at)])
		for got := buf[:k]; len(got) > 0; {
			want := block[at%blockLen:]
			m := min(len(got), len(want))
			if !bytes.Equal(got[:m], want[:m]) {
				return fmt.Errorf("wrong bytes between %d and %d", at, at+int64(m))
			}
			at += int64(m)
			got = got[m:]
		}
		if err != nil && at < n {
			return fmt.Errorf("after %d of %d bytes: %w", at, n, err)
		}
	}
	return nil
}

// A peer is what the bridge connects streams to. A request is a letter and a
// number of bytes: 'g' asks for a file of that length, 'p' announces one, which
// is acknowledged with one byte, 'e' asks for that many bytes back.
type peer struct{ tasks sync.WaitGroup }

// serve answers the streams that accept brings, until it brings an error.
func (p *peer) serve(accept func() (net.Conn, error)) {
	defer p.tasks.Wait()
	for {
		c, err := accept()
		if err != nil {
			return
		}
		p.tasks.Go(func() {
			defer c.Close()
			for p.answer(c) == nil {
			}
		})
	}
}

func (p *peer) answer(c net.Conn) error {
	var head [9]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return err
	}
	n := int64(binary.BigEndian.Uint64(head[1:]))
	var err error
	switch head[0] {
	case 'g':
		_, err = io.Copy(c, &file{left: n})
	case 'p':
		if err = check(c, n); err == nil {
			_, err = c.Write([]byte{'k'})
		}
	case 'e':
		_, err = io.CopyN(c, c, n)
	}
	return err
}

func ask(c net.Conn, what byte, n int64) error {
	_, err := c.Write(binary.BigEndian.AppendUint64([]byte{what}, uint64(n)))
	return err
}

// get fetches n bytes over c, checks them, and says how long that took.
func get(c net.Conn, n int64) (time.Duration, error) {
	start := time.Now()
	if err := ask(c, 'g', n); err != nil {
		return 0, err
	}
	err := check(c, n)
	return time.Since(start), err
}

// put sends n bytes over c and waits until the peer has checked them.
func put(c net.Conn, n int64) (time.Duration, error) {
	start := time.Now()
	if err := ask(c, 'p', n); err != nil {
		return 0, err
	}
	if _, err := io.Copy(c, &file{left: n}); err != nil {
		return 0, err
	}
	_, err := io.ReadFull(c, make([]byte, 1))
	return time.Since(start), err
}

// echo is one round trip of a few bytes.
func echo(c net.Conn) (time.Duration, error) {
	start := time.Now()
	if err := ask(c, 'e', 8); err != nil {
		return 0, err
	}
	if _, err := c.Write(make([]byte, 8)); err != nil {
		return 0, err
	}
	_, err := io.ReadFull(c, make([]byte, 8))
	return time.Since(start), err
}
