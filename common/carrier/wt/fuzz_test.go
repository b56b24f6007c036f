package wt

import (
	"bufio"
	"bytes"
	"io"
	"testing"
	"testing/iotest"
)

// Whatever comes, messages are what frames say and no longer than they may be,
// however the stream is cut into reads and the messages into buffers; the end of
// a stream that is at fault is told from a clean one.
func FuzzFrames(f *testing.F) {
	f.Add(appendFrame(appendFrame(nil, []byte("first")), []byte("second")), uint16(maxMessage-1))
	f.Add(appendFrame(nil, make([]byte, 3000)), uint16(700))
	f.Add(appendFrame(nil, []byte("cut"))[:5], uint16(10))
	f.Add([]byte{0, 0, 0, 0}, uint16(10))
	f.Add([]byte{0, 1, 0, 1, 'x'}, uint16(10))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff}, uint16(10))
	f.Fuzz(func(t *testing.T, stream []byte, size uint16) {
		whole, err := messagesOf(bytes.NewReader(stream), maxMessage)
		slow, slowErr := messagesOf(iotest.OneByteReader(bytes.NewReader(stream)), int(size)+1)
		if !bytes.Equal(bytes.Join(whole, nil), bytes.Join(slow, nil)) || err != slowErr {
			t.Errorf("%d messages and %v, by the byte %d and %v", len(whole), err, len(slow), slowErr)
		}
		var again []byte
		for i, m := range whole {
			if len(m) < 1 || len(m) > maxMessage {
				t.Fatalf("a message of %d bytes", len(m))
			}
			if err == io.ErrUnexpectedEOF && i == len(whole)-1 && !bytes.HasPrefix(stream, appendFrame(again[:len(again):len(again)], m)) {
				break // part of a message
			}
			again = appendFrame(again, m)
		}
		if !bytes.HasPrefix(stream, again) {
			t.Errorf("%x came back as %x", stream, again)
		}
		rest := len(stream) - len(again)
		switch {
		case err == io.EOF && rest != 0, err == io.ErrUnexpectedEOF && rest == 0, err == errFrame && rest < headerLen:
			t.Errorf("%v with %d bytes left", err, rest)
		case err != io.EOF && err != io.ErrUnexpectedEOF && err != errFrame:
			t.Errorf("ended with %v", err)
		}
	})
}

// messagesOf reads stream to its end.
func messagesOf(stream io.Reader, buffer int) (messages [][]byte, err error) {
	f := &frames{r: bufio.NewReaderSize(stream, 16)}
	buf := make([]byte, buffer)
	for {
		n, err := f.read(buf)
		if n > 0 {
			messages = append(messages, bytes.Clone(buf[:n]))
		}
		if err != nil {
			return messages, err
		}
	}
}
