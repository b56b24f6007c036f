// SPDX-FileCopyrightText: 2026 The Pion community <https://pion.ly>
// SPDX-License-Identifier: MIT

package dtls

import (
	"context"
	"encoding/binary"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/dtls/v3/pkg/crypto/ciphersuite"
	"github.com/pion/dtls/v3/pkg/protocol"
	"github.com/pion/dtls/v3/pkg/protocol/recordlayer"
)

// This file is not in the original. It carries application data after the
// handshake without a goroutine, a context, a timer or, but for replay
// protection, an allocation for each record. The general way remains for the
// handshake, alerts, connection IDs and cipher suites other than GCM.

const (
	// decryptedQueue is how many records may wait for Read. The original's 1
	// makes reader and Read take turns.
	decryptedQueue = 64

	// maxFastPayload bounds what one record holds (RFC 6347 section 4.1).
	maxFastPayload = 1 << 14
)

// plaintexts recycles what waits for Read.
var plaintexts = sync.Pool{ //nolint:gochecknoglobals
	New: func() any {
		b := make([]byte, 0, defaultMTU+256)

		return &b
	},
}

// gcm is the cipher of the connection, nil if it is none of the GCM suites.
func (c *Conn) gcm() *ciphersuite.GCM {
	suite, ok := c.state.cipherSuite.(interface{ GCM() *ciphersuite.GCM })
	if !ok {
		return nil
	}

	return suite.GCM()
}

// writeFast sends payload as one record. It returns false, and has done
// nothing, if that must go the general way. The handshake is complete.
func (c *Conn) writeFast(payload []byte) (bool, error) {
	gcm := c.gcm()
	if gcm == nil || len(c.state.remoteConnectionID) > 0 || len(payload) > maxFastPayload {
		return false, nil
	}
	c.writeLock.Lock()
	defer c.writeLock.Unlock()

	header, rAddr, err := c.nextRecord()
	if err != nil {
		return true, err
	}
	c.fastRecord = gcm.SealRecord(c.fastRecord[:0], header, payload)
	if _, err := c.nextConn.Conn().WriteTo(c.fastRecord, rAddr); err != nil {
		if c.isConnectionClosed() {
			return true, ErrConnClosed
		}

		return true, netError(err)
	}

	return true, nil
}

// nextRecord takes a sequence number from those that all records share: with
// GCM none may be used twice.
func (c *Conn) nextRecord() (recordlayer.Header, net.Addr, error) {
	c.lock.Lock()
	defer c.lock.Unlock()

	epoch := c.state.getLocalEpoch()
	for len(c.state.localSequenceNumber) <= int(epoch) {
		c.state.localSequenceNumber = append(c.state.localSequenceNumber, uint64(0))
	}
	seq := atomic.AddUint64(&c.state.localSequenceNumber[epoch], 1) - 1
	if seq > recordlayer.MaxSequenceNumber {
		return recordlayer.Header{}, nil, errSequenceNumberOverflow
	}

	return recordlayer.Header{
		ContentType:    protocol.ContentTypeApplicationData,
		Version:        protocol.Version1_2,
		Epoch:          epoch,
		SequenceNumber: seq,
	}, c.rAddr, nil
}

// readFast takes a datagram that is one record of application data. It returns
// false, and has done nothing, for whatever must go the general way, which also
// says why a record is bad.
func (c *Conn) readFast(ctx context.Context, datagram []byte) bool {
	if !c.isHandshakeCompletedSuccessfully() || len(c.state.getLocalConnectionID()) > 0 {
		return false
	}
	gcm := c.gcm()
	header := recordlayer.Header{}
	if gcm == nil || header.Unmarshal(datagram) != nil ||
		header.ContentType != protocol.ContentTypeApplicationData ||
		int(binary.BigEndian.Uint16(datagram[recordlayer.FixedHeaderSize-2:])) != len(datagram)-recordlayer.FixedHeaderSize {
		return false
	}
	epoch := int(header.Epoch)
	if epoch == 0 || header.Epoch != c.state.getRemoteEpoch() ||
		header.SequenceNumber < c.state.remoteReplayCutoff || len(c.state.replayDetector) <= epoch {
		return false
	}
	markValid, ok := c.state.replayDetector[epoch].Check(header.SequenceNumber)
	if !ok {
		return false
	}
	buf, ok := plaintexts.Get().(*[]byte)
	if !ok {
		return false
	}
	var err error
	if *buf, err = gcm.OpenRecord((*buf)[:0], header, datagram); err != nil {
		plaintexts.Put(buf)

		return false
	}
	markValid()
	c.noteRemoteSequenceNumber(header.SequenceNumber)

	select {
	case c.decrypted <- buf:
	case <-c.closed.Done():
	case <-ctx.Done():
	}

	return true
}

func (c *Conn) noteRemoteSequenceNumber(seq uint64) {
	next := seq + 1
	for previous := c.state.remoteSequenceNumber.Load(); next > previous; {
		if c.state.remoteSequenceNumber.CompareAndSwap(previous, next) {
			return
		}
		previous = c.state.remoteSequenceNumber.Load()
	}
}

// interruptWrite ends a fast write that is blocked, once the connection is
// closed, so that the alert can be sent. No deadline remains.
func (c *Conn) interruptWrite() {
	if !c.writeLock.TryLock() {
		_ = c.nextConn.Conn().SetWriteDeadline(time.Unix(0, 1))
		c.writeLock.Lock()
	}
	_ = c.nextConn.Conn().SetWriteDeadline(time.Time{})
	c.writeLock.Unlock()
}

// interruptReads has the end of ctx interrupt reads from the connection below,
// as netctx does for each by itself, until the returned function is called.
func (c *Conn) interruptReads(ctx context.Context) (restore func()) {
	interrupted := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(interrupted)
		_ = c.nextConn.Conn().SetReadDeadline(time.Unix(0, 1))
	})

	return func() {
		if !stop() {
			<-interrupted
			_ = c.nextConn.Conn().SetReadDeadline(time.Time{})
		}
	}
}
