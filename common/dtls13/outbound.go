package dtls13

import "errors"

var errSequence = errors.New("dtls13: no sequence numbers are left")

// plain is the protection of epoch 0: none.
type plain struct{ version uint16 }

func (p plain) overhead() int { return plainHeaderSize }

func (p plain) seal(dst []byte, _ *scratch, typ uint8, seq uint64, payload []byte) []byte {
	dst = appendPlainHeader(dst, plainHeader{typ: typ, version: p.version, seq: seq}, len(payload))
	return append(dst, payload...)
}

// A writeEpoch is the sending side of an epoch.
type writeEpoch struct {
	protection
	epoch uint64
	seq   uint64 // of the next record
}

// number takes the next sequence number. None is used twice.
func (w *writeEpoch) number() (uint64, error) {
	if w.seq > maxSeq {
		return 0, errSequence
	}
	w.seq++
	return w.seq - 1, nil
}

// outbound is the epochs that may have to be written in, the current one last.
// The others are for flights that must be sent again.
type outbound struct {
	epochs []*writeEpoch
}

func (o *outbound) install(p protection, epoch uint64) {
	o.epochs = append(o.epochs, &writeEpoch{protection: p, epoch: epoch})
}

func (o *outbound) current() *writeEpoch { return o.epochs[len(o.epochs)-1] }

func (o *outbound) find(epoch uint64) *writeEpoch {
	for _, w := range o.epochs {
		if w.epoch == epoch {
			return w
		}
	}
	return nil
}

// forget drops all but the current epoch.
func (o *outbound) forget() { o.epochs = o.epochs[len(o.epochs)-1:] }
