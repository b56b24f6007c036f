package carriertest

// shapedPacket is one message on its way; it implements line.Packet.
type shapedPacket struct {
	way  *shapedWay
	seq  uint64
	hop  int // the line it is on
	data []byte
	at   int           // what Recv has taken of data
	end  bool          // the sender's Close
	next *shapedPacket // in the inbox
}

// Len implements line.Packet.
func (p *shapedPacket) Len() int { return len(p.data) }

// Reliable implements line.Packet.
func (p *shapedPacket) Reliable() bool { return p.end || p.way.kind != Lossy }

// Arrive implements line.Packet: to the next line, or to the inbox.
func (p *shapedPacket) Arrive() {
	if p.hop++; p.hop < len(p.way.lines) {
		p.way.lines[p.hop].Put(p)
		return
	}
	p.way.arrived(p)
}

// Lost implements line.Packet.
func (p *shapedPacket) Lost() {
	p.way.mu.Lock()
	p.way.freeLocked(p)
	p.way.mu.Unlock()
}

func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// accept makes a packet of msg if it keeps within buffer, where 0 means any.
func (w *shapedWay) accept(msg []byte, buffer int) (*shapedPacket, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if buffer > 0 && w.under > 0 && w.under+len(msg) > buffer {
		return nil, false
	}
	w.under += len(msg)
	p := w.packetLocked()
	p.data = append(p.data[:0], msg...)
	return p, true
}

func (w *shapedWay) farewell() *shapedPacket {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.packetLocked()
	p.data, p.end = p.data[:0], true
	return p
}

func (w *shapedWay) packetLocked() *shapedPacket {
	var p *shapedPacket
	if n := len(w.spare); n > 0 {
		p, w.spare = w.spare[n-1], w.spare[:n-1]
		p.hop, p.at, p.end = 0, 0, false
	} else {
		p = &shapedPacket{way: w}
	}
	p.seq = w.sendSeq
	w.sendSeq++
	return p
}

// freeLocked ends a packet's life.
func (w *shapedWay) freeLocked(p *shapedPacket) {
	w.under -= len(p.data)
	w.spare = append(w.spare, p)
	signal(w.room)
}

func (w *shapedWay) arrived(p *shapedPacket) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.deaf && w.kind != Lossy: // nobody acknowledges it: its bytes stay under way
	case w.deaf:
		w.freeLocked(p)
	case w.kind != Lossy && p.seq != w.recvSeq:
		w.early[p.seq] = p
	case w.kind != Lossy:
		for p != nil {
			w.deliverLocked(p)
			w.recvSeq++
			p = w.early[w.recvSeq]
			delete(w.early, w.recvSeq)
		}
	case w.inBytes+len(p.data) > receiveBuffer:
		w.freeLocked(p)
	default:
		w.deliverLocked(p)
	}
}

func (w *shapedWay) deliverLocked(p *shapedPacket) {
	defer signal(w.ready)
	if p.end {
		w.ended = true
		return
	}
	if w.inbox == nil {
		w.inbox = p
	} else {
		w.inLast.next = p
	}
	w.inLast = p
	w.inBytes += len(p.data)
}

// take copies the next message to buf, or what of it fits.
func (w *shapedWay) take(buf []byte) (int, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.inbox
	if p == nil {
		return 0, false
	}
	n := copy(buf, p.data[p.at:])
	p.at += n
	if w.kind == Stream && p.at < len(p.data) {
		return n, true
	}
	w.inbox, p.next = p.next, nil
	w.inBytes -= len(p.data)
	w.freeLocked(p)
	return n, true
}

func (w *shapedWay) isEnded() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ended && w.inbox == nil
}

// deafen throws away what is there and what will arrive.
func (w *shapedWay) deafen() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.deaf = true
	w.inbox, w.inBytes = nil, 0
}
