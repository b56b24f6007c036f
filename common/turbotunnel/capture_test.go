package turbotunnel

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"io"
	"slices"
	"testing"
	"time"

	"flurry/common/carrier/carriertest"
	"flurry/common/vectors"
)

// The captures of the vectors are taken apart twice: by framing and header
// fields, against their dissection, and by feeding what the reference client
// sent to a live listener.

type frame struct {
	Opcode  int    `json:"opcode"`
	Payload string `json:"payload_hex"`
}

type kcpSegment struct {
	Cmd  byte   `json:"cmd"`
	Conv uint32 `json:"conv"`
	Data string `json:"data_hex"`
	Frg  byte   `json:"frg"`
	Len  uint32 `json:"len"`
	SN   uint32 `json:"sn"`
	TS   uint32 `json:"ts"`
	UNA  uint32 `json:"una"`
	Wnd  uint16 `json:"wnd"`
}

type kcpPacket struct {
	Packet   string       `json:"packet_hex"`
	Segments []kcpSegment `json:"segments"`
}

type smuxFrame struct {
	Version  byte   `json:"version"`
	Cmd      byte   `json:"cmd"`
	Length   uint16 `json:"length"`
	StreamID uint32 `json:"stream_id"`
	Data     string `json:"data_hex"`
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// unframe takes the packets out of a carrier's bytes, given in pieces of cut.
func unframe(t *testing.T, raw []byte, cut int) [][]byte {
	t.Helper()
	a, b := carriertest.Pair(carriertest.Options{Capacity: len(raw) + 1})
	defer b.Close()
	for rest := raw; len(rest) > 0; {
		n := min(cut, len(rest))
		if err := a.Send(context.Background(), rest[:n]); err != nil {
			t.Fatal(err)
		}
		rest = rest[n:]
	}
	a.Close()
	p := newPackets(b, nil)
	var out [][]byte
	buf := make([]byte, MaxPacket)
	for {
		n, err := p.Recv(buf)
		if err == io.EOF {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, bytes.Clone(buf[:n]))
	}
}

func segments(t *testing.T, packet []byte) (out []kcpSegment) {
	t.Helper()
	for len(packet) > 0 {
		if len(packet) < 24 {
			t.Fatalf("%d bytes after the last segment", len(packet))
		}
		le := binary.LittleEndian
		s := kcpSegment{Conv: le.Uint32(packet), Cmd: packet[4], Frg: packet[5], Wnd: le.Uint16(packet[6:]),
			TS: le.Uint32(packet[8:]), SN: le.Uint32(packet[12:]), UNA: le.Uint32(packet[16:]), Len: le.Uint32(packet[20:])}
		s.Data = hex.EncodeToString(packet[24 : 24+s.Len])
		packet = packet[24+s.Len:]
		out = append(out, s)
	}
	return out
}

// smuxFrames puts the data of all segments in order and cuts it into frames.
func smuxFrames(t *testing.T, packets [][]byte) (out []smuxFrame) {
	t.Helper()
	data := map[uint32][]byte{}
	for _, p := range packets {
		for _, s := range segments(t, p) {
			if s.Cmd == 81 {
				data[s.SN] = unhex(t, s.Data)
			}
		}
	}
	var stream []byte
	for sn := uint32(0); data[sn] != nil; sn++ {
		stream = append(stream, data[sn]...)
	}
	for len(stream) >= 8 {
		n := binary.LittleEndian.Uint16(stream[2:])
		if len(stream) < 8+int(n) {
			break
		}
		out = append(out, smuxFrame{Version: stream[0], Cmd: stream[1], Length: n,
			StreamID: binary.LittleEndian.Uint32(stream[4:]), Data: hex.EncodeToString(stream[8 : 8+n])})
		stream = stream[8+n:]
	}
	return out
}

func checkPackets(t *testing.T, got [][]byte, want []kcpPacket) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d packets, want %d", len(got), len(want))
	}
	for i, p := range got {
		if hex.EncodeToString(p) != want[i].Packet {
			t.Errorf("packet %d: %x, want %s", i, p, want[i].Packet)
		}
		if s := segments(t, p); !slices.Equal(s, want[i].Segments) {
			t.Errorf("packet %d: segments %+v, want %+v", i, s, want[i].Segments)
		}
	}
}

func testCapture(t *testing.T, c vectors.Case) {
	var in struct {
		ClientID   string `json:"client_id_hex"`
		Upstream   string `json:"upstream_hex"`
		Downstream string `json:"downstream_hex"`
	}
	var out struct {
		UpPackets   []kcpPacket `json:"upstream_packets"`
		UpFrames    []smuxFrame `json:"upstream_smux_frames"`
		UpLen       int         `json:"upstream_payload_len"`
		UpSum       string      `json:"upstream_payload_sha256"`
		DownPackets []kcpPacket `json:"downstream_packets"`
		DownFrames  []smuxFrame `json:"downstream_smux_frames"`
		DownPayload string      `json:"downstream_payload_hex"`
		Largest     int         `json:"largest_packet"`
	}
	c.Decode(t, &in, &out)
	up, down := unhex(t, in.Upstream), unhex(t, in.Downstream)
	for _, cut := range []int{1, 7, 1000, 1 << 20} {
		checkPackets(t, unframe(t, up[preludeLen:], cut), out.UpPackets)
		checkPackets(t, unframe(t, down, cut), out.DownPackets)
	}
	ups, downs := unframe(t, up[preludeLen:], 1<<20), unframe(t, down, 1<<20)
	if got := smuxFrames(t, ups); !slices.Equal(got, out.UpFrames) {
		t.Errorf("frames up %+v", got)
	}
	if got := smuxFrames(t, downs); !slices.Equal(got, out.DownFrames) {
		t.Errorf("frames down %+v", got)
	}
	largest, payload := 0, ""
	for _, p := range slices.Concat(ups, downs) {
		largest = max(largest, len(p))
	}
	for _, f := range smuxFrames(t, downs) {
		if f.Cmd == 2 {
			payload += f.Data
		}
	}
	if largest != out.Largest || payload != out.DownPayload {
		t.Errorf("largest packet %d, payload down %s", largest, payload)
	}
	got := replay(t, [][]byte{up}, in.ClientID, out.UpLen)
	if sum := sha256.Sum256(got); hex.EncodeToString(sum[:]) != out.UpSum {
		t.Errorf("a live listener got %x", got)
	}
}

func testWebSocketCapture(t *testing.T, c vectors.Case) {
	var in struct {
		Up   []frame `json:"upstream_frames"`
		Down []frame `json:"downstream_frames"`
	}
	var out struct {
		Magic       string      `json:"magic_hex"`
		ClientID    string      `json:"client_id_hex"`
		UpPackets   []string    `json:"upstream_packets_hex"`
		DownPackets []string    `json:"downstream_packets_hex"`
		UpFrames    []smuxFrame `json:"upstream_smux_frames"`
		DownFrames  []smuxFrame `json:"downstream_smux_frames"`
	}
	c.Decode(t, &in, &out)
	if hex.EncodeToString(magic[:]) != out.Magic {
		t.Errorf("magic %s", out.Magic)
	}
	var msgs [][]byte
	for _, f := range in.Up {
		if f.Opcode == 2 {
			msgs = append(msgs, unhex(t, f.Payload))
		}
	}
	var down []byte
	for _, f := range in.Down {
		if f.Opcode == 2 {
			down = append(down, unhex(t, f.Payload)...)
		}
	}
	ups := unframe(t, bytes.Join(msgs, nil)[preludeLen:], 1000)
	downs := unframe(t, down, 1000)
	for _, d := range []struct {
		got  [][]byte
		want []string
	}{{ups, out.UpPackets}, {downs, out.DownPackets}} {
		var got []string
		for _, p := range d.got {
			got = append(got, hex.EncodeToString(p))
		}
		if !slices.Equal(got, d.want) {
			t.Errorf("packets %q, want %q", got, d.want)
		}
	}
	if got := smuxFrames(t, ups); !slices.Equal(got, out.UpFrames) {
		t.Errorf("frames up %+v", got)
	}
	if got := smuxFrames(t, downs); !slices.Equal(got, out.DownFrames) {
		t.Errorf("frames down %+v", got)
	}
	payload := ""
	for _, f := range out.UpFrames {
		if f.Cmd == 2 {
			payload += f.Data
		}
	}
	if got := replay(t, msgs, out.ClientID, len(payload)/2); hex.EncodeToString(got) != payload {
		t.Errorf("a live listener got %x", got)
	}
}

// replay feeds a client's messages to Accept and a live listener and returns
// the first n bytes of the stream that comes of them.
func replay(t *testing.T, msgs [][]byte, clientID string, n int) []byte {
	t.Helper()
	a, b := carriertest.Pair(carriertest.Options{Capacity: 1 << 10})
	defer a.Close()
	go func() {
		for _, m := range msgs {
			if a.Send(context.Background(), m) != nil {
				return
			}
		}
	}()
	id, pkts, err := Accept(context.Background(), b)
	if err != nil {
		t.Fatal(err)
	}
	if id.String() != clientID {
		t.Errorf("ClientID %s, want %s", id, clientID)
	}
	s := converse(t, pkts)
	defer s.Close()
	st, err := s.AcceptStream()
	if err != nil {
		t.Fatal(err)
	}
	st.SetReadDeadline(time.Now().Add(30 * time.Second))
	got := make([]byte, n)
	if k, err := io.ReadFull(st, got); err != nil {
		t.Errorf("%d bytes came on the stream: %v", k, err)
	}
	return got
}
