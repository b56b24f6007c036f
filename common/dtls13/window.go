package dtls13

// windowSize is how far behind the highest sequence number a record may come.
// RFC 9147 section 4.5.1 asks for 64 at least; bursts of SCTP that overtake each
// other want more.
const windowSize = 256

// A window remembers which sequence numbers of an epoch have been seen (RFC 9147
// section 4.5.1).
type window struct {
	next uint64 // one above the highest seen
	bits [windowSize / 64]uint64
}

// fresh says whether seq may be taken.
func (w *window) fresh(seq uint64) bool {
	if seq >= w.next {
		return seq <= maxSeq
	}
	if w.next-seq > windowSize {
		return false
	}
	return w.bits[seq/64%uint64(len(w.bits))]&(1<<(seq%64)) == 0
}

// mark notes seq, which was fresh and whose record was genuine.
func (w *window) mark(seq uint64) {
	if seq >= w.next {
		if seq-w.next >= windowSize {
			w.bits = [windowSize / 64]uint64{}
		} else {
			for n := w.next; n < seq; n++ {
				w.bits[n/64%uint64(len(w.bits))] &^= 1 << (n % 64)
			}
		}
		w.next = seq + 1
	}
	w.bits[seq/64%uint64(len(w.bits))] |= 1 << (seq % 64)
}
