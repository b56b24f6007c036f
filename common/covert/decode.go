package covert

import (
	"bufio"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
)

// maxZstdWindow bounds the memory of a zstd decoder; 8 MiB is the most that
// HTTP allows (RFC 8878, section 3.1.1.1.2, and RFC 9659).
const maxZstdWindow = 8 << 20

// decode replaces a compressed body of resp by its decompressed form.
func decode(resp *http.Response) {
	coding := strings.ToLower(strings.TrimSpace(resp.Header.Get("Content-Encoding")))
	if coding == "" || coding == "identity" || resp.Body == http.NoBody {
		return
	}
	resp.Body = &decodedBody{coding: coding, inner: resp.Body}
	resp.Header.Del("Content-Encoding")
	resp.Header.Del("Content-Length")
	resp.ContentLength = -1
	resp.Uncompressed = true
}

// A decodedBody decompresses inner. The decoder is made by the first Read, so
// that it is the reader, not RoundTrip, who waits for the body.
type decodedBody struct {
	coding  string
	inner   io.ReadCloser
	decoder io.Reader
	err     error
}

func (b *decodedBody) Read(p []byte) (int, error) {
	if b.decoder == nil && b.err == nil {
		b.decoder, b.err = newDecoder(b.coding, b.inner)
	}
	if b.err != nil {
		return 0, b.err
	}
	return b.decoder.Read(p)
}

func (b *decodedBody) Close() error { return b.inner.Close() }

// newDecoder returns a streaming decoder for a content coding.
func newDecoder(coding string, r io.Reader) (io.Reader, error) {
	switch coding {
	case "gzip", "x-gzip":
		return gzip.NewReader(r)
	case "br":
		return brotli.NewReader(r), nil
	case "zstd":
		// One goroutine's worth of work, done in Read: nothing to close.
		return zstd.NewReader(r, zstd.WithDecoderConcurrency(1),
			zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxZstdWindow))
	case "deflate":
		return newDeflate(r)
	}
	return nil, fmt.Errorf("the reply has an unknown content coding %q", coding)
}

// newDeflate reads the zlib format, which "deflate" means (RFC 9110, section
// 8.4.1.2), or the bare deflate that some servers send.
func newDeflate(r io.Reader) (io.Reader, error) {
	buffered := bufio.NewReader(r)
	head, err := buffered.Peek(2)
	if err != nil {
		return nil, err
	}
	const methodDeflate, zlibMultiple = 8, 31 // RFC 1950, section 2.2
	if head[0]&0x0f == methodDeflate && (uint(head[0])<<8|uint(head[1]))%zlibMultiple == 0 {
		return zlib.NewReader(buffered)
	}
	return flate.NewReader(buffered), nil
}
