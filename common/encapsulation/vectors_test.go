package encapsulation_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"slices"
	"testing"
	"testing/iotest"

	"flurry/common/encapsulation"
	"flurry/common/vectors"
)

func TestEncapsulationVectors(t *testing.T) {
	vectors.Run(t, "encapsulation", map[string]func(*testing.T, vectors.Case){
		"encode_data":          encodeData,
		"encode_data_too_long": encodeDataTooLong,
		"encode_padding":       encodePadding,
		"max_data_for_size":    maxDataForSize,
		"decode_stream":        decodeStream,
	})
}

// encoded is the output of the encode operations.
type encoded struct {
	OK         bool   `json:"ok"`
	PrefixHex  string `json:"prefix_hex"`
	EncodedHex string `json:"encoded_hex"` // left out where it is long
	SHA256     string `json:"sha256"`
	Written    int    `json:"written"`
}

func (want encoded) compare(t *testing.T, got []byte) {
	t.Helper()
	if len(got) != want.Written {
		t.Errorf("wrote %d bytes, want %d", len(got), want.Written)
	}
	if sum := sha256.Sum256(got); hex.EncodeToString(sum[:]) != want.SHA256 {
		t.Errorf("SHA-256 %x, want %s", sum, want.SHA256)
	}
	if want.EncodedHex != "" && hex.EncodeToString(got) != want.EncodedHex {
		t.Errorf("got %x, want %s", got, want.EncodedHex)
	}
}

func encodeData(t *testing.T, c vectors.Case) {
	var in struct{ Seed, Len int }
	var want encoded
	c.Decode(t, &in, &want)
	payload := vectors.Payload(in.Seed, in.Len)
	got, err := encapsulation.AppendData([]byte("before"), payload)
	if err != nil || !want.OK {
		t.Fatalf("error %v, want ok %v", err, want.OK)
	}
	got, ok := bytes.CutPrefix(got, []byte("before"))
	if !ok {
		t.Fatal("what stood in the buffer is gone")
	}
	want.compare(t, got)
	if prefix := got[:len(got)-in.Len]; hex.EncodeToString(prefix) != want.PrefixHex {
		t.Errorf("prefix %x, want %s", prefix, want.PrefixHex)
	}
}

func encodeDataTooLong(t *testing.T, c vectors.Case) {
	var in struct{ Len int }
	var want struct {
		OK      bool
		Error   string
		Written int
	}
	c.Decode(t, &in, &want)
	got, err := encapsulation.AppendData(nil, make([]byte, in.Len))
	if want.OK || want.Error != "too_long" || !errors.Is(err, encapsulation.ErrTooLong) || len(got) != want.Written {
		t.Errorf("%d bytes, %v, want %+v", len(got), err, want)
	}
}

func encodePadding(t *testing.T, c vectors.Case) {
	var in struct{ Total int }
	var want encoded
	c.Decode(t, &in, &want)
	want.compare(t, encapsulation.AppendPadding(nil, in.Total))
}

func maxDataForSize(t *testing.T, c vectors.Case) {
	var in struct{ Size int }
	var want struct{ Max int }
	c.Decode(t, &in, &want)
	if got := encapsulation.MaxDataForSize(in.Size); got != want.Max {
		t.Errorf("MaxDataForSize(%d) = %d, want %d", in.Size, got, want.Max)
	}
}

type chunk struct {
	Hex       string
	Truncated bool
}

func decodeStream(t *testing.T, c vectors.Case) {
	var in struct {
		Hex    string
		Buffer int
	}
	var want struct {
		Chunks     []chunk
		FinalError string `json:"final_error"`
	}
	c.Decode(t, &in, &want)
	stream, err := hex.DecodeString(in.Hex)
	if err != nil {
		t.Fatal(err)
	}
	// How the stream is cut into reads must not matter.
	for name, reader := range map[string]io.Reader{
		"whole":      bytes.NewReader(stream),
		"one byte":   iotest.OneByteReader(bytes.NewReader(stream)),
		"data error": iotest.DataErrReader(bytes.NewReader(stream)),
	} {
		got, final := readAll(t, reader, in.Buffer)
		if !slices.Equal(got, want.Chunks) || final != want.FinalError {
			t.Errorf("%s: got %+v %s, want %+v %s", name, got, final, want.Chunks, want.FinalError)
		}
	}
}

// readAll reads packets until the stream ends and names the reason.
func readAll(t *testing.T, stream io.Reader, bufferLen int) (chunks []chunk, final string) {
	t.Helper()
	r := encapsulation.NewReader(stream)
	buf := make([]byte, bufferLen)
	for {
		n, truncated, err := r.ReadPacket(buf)
		switch {
		case err == nil:
			chunks = append(chunks, chunk{hex.EncodeToString(buf[:n]), truncated})
		case n != 0 || truncated:
			t.Fatalf("an error came with a packet of %d bytes", n)
		case err == io.EOF:
			return chunks, "eof"
		case err == io.ErrUnexpectedEOF:
			return chunks, "unexpected_eof"
		case errors.Is(err, encapsulation.ErrTooLong):
			return chunks, "too_long"
		default:
			t.Fatal(err)
		}
	}
}
