package snowbroker

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"

	"flurry/common/messages"
)

// Bounds on the memory that requests can take while they are read and wait.
const (
	// smallBody is what a request may bring without being counted. Polls take
	// some 200 bytes, offers and answers 1 to 4 KB.
	smallBody = 8 << 10

	// maxLargeBytes bounds the bodies above smallBody that are held at once,
	// from their first byte to their reply. When it is used up large requests
	// get status 503, and small ones do not notice.
	maxLargeBytes = 64 << 20
)

// What reading a body can fail with.
var (
	errBodyTooLong = errors.New("request body is too long")
	errBusy        = errors.New("too many large requests at once")
)

// bodyReader reads request bodies of at most messages.MaxBodyBytes.
type bodyReader struct {
	large atomic.Int64 // bytes of bodies above smallBody that are held now
	pool  sync.Pool    // of *bytes.Buffer
}

// requestBody is one body that was read. The bytes are valid until free; the
// request counts as held until done.
type requestBody struct {
	*bytes.Buffer
	from *bodyReader
	held int64
}

// read reads the body of r. The caller calls free when it has decoded the bytes
// and done when it has replied, also after an error.
func (b *bodyReader) read(w http.ResponseWriter, r *http.Request) (requestBody, error) {
	body := requestBody{from: b}
	if r.ContentLength > messages.MaxBodyBytes {
		// Reading beyond a limit, here of nothing, makes the server keep the
		// connection until the refusal has arrived. It would else close it with
		// bytes unread, and the reset could overtake the refusal.
		var one [1]byte
		_, _ = http.MaxBytesReader(w, r.Body, 0).Read(one[:])
		return body, errBodyTooLong
	}
	if v := b.pool.Get(); v != nil {
		body.Buffer = v.(*bytes.Buffer)
	} else {
		body.Buffer = new(bytes.Buffer)
	}
	in := http.MaxBytesReader(w, r.Body, messages.MaxBodyBytes)
	if _, err := io.CopyN(body.Buffer, in, smallBody); err == nil {
		// The worst case is charged: what arrives next is not known.
		if !body.hold(messages.MaxBodyBytes) {
			return body, errBusy
		}
		if _, err := body.ReadFrom(in); err != nil {
			return body, err
		}
	} else if !errors.Is(err, io.EOF) {
		return body, err
	}
	return body, nil
}

// hold charges n bytes against the bound, or reports that they do not fit.
func (b *requestBody) hold(n int64) bool {
	if b.from.large.Add(n) > maxLargeBytes {
		b.from.large.Add(-n)
		return false
	}
	b.held += n
	return true
}

// free gives the bytes back.
func (b *requestBody) free() {
	if b.Buffer == nil {
		return
	}
	if b.Cap() <= 2*smallBody {
		b.Reset()
		b.from.pool.Put(b.Buffer)
	}
	b.Buffer = nil
}

// done ends the request.
func (b *requestBody) done() {
	b.free()
	b.from.large.Add(-b.held)
	b.held = 0
}
