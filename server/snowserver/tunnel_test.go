package snowserver

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"io"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"

	"flurry/common/carrier"
	"flurry/common/carrier/ws"
	"flurry/common/encapsulation"
	"flurry/common/turbotunnel"
	"flurry/common/vectors"
)

// Commands of KCP and smux on the wire (spec sections 7.3 and 7.4).
const (
	kcpPush = 81

	smuxPush   = 2
	smuxUpdate = 4
)

// kcpSegment and smuxFrame are as the vectors have them.
type kcpSegment struct {
	Cmd  byte   `json:"cmd"`
	Conv uint32 `json:"conv"`
	Data string `json:"data_hex"`
	Frg  byte   `json:"frg"`
	Len  int    `json:"len"`
	Sn   uint32 `json:"sn"`
	Ts   uint32 `json:"ts"`
	Una  uint32 `json:"una"`
	Wnd  uint16 `json:"wnd"`
}

type kcpPacket struct {
	Packet   string       `json:"packet_hex"`
	Segments []kcpSegment `json:"segments"`
}

type smuxFrame struct {
	Cmd     byte   `json:"cmd"`
	Data    string `json:"data_hex"`
	Length  int    `json:"length"`
	Stream  uint32 `json:"stream_id"`
	Version byte   `json:"version"`
}

type captureIn struct {
	ClientID   string `json:"client_id_hex"`
	Downstream string `json:"downstream_hex"`
	Upstream   string `json:"upstream_hex"`
}

type captureOut struct {
	DownPackets []kcpPacket `json:"downstream_packets"`
	DownPayload string      `json:"downstream_payload_hex"`
	DownFrames  []smuxFrame `json:"downstream_smux_frames"`
	Largest     int         `json:"largest_packet"`
	UpPackets   []kcpPacket `json:"upstream_packets"`
	UpLen       int         `json:"upstream_payload_len"`
	UpSHA256    string      `json:"upstream_payload_sha256"`
	UpFrames    []smuxFrame `json:"upstream_smux_frames"`
}

func TestTunnelVectors(t *testing.T) {
	vectors.Run(t, "tunnel", map[string]func(*testing.T, vectors.Case){
		"capture":           testCapture,
		"websocket_capture": testWebSocketCapture,
	}, "handshake") // package turbotunnel's
}

// testCapture plays the reference client of a capture against a Table, which
// must deliver the same payload and answer with the same smux frames.
func testCapture(t *testing.T, c vectors.Case) {
	var in captureIn
	var out captureOut
	c.Decode(t, &in, &out)
	up := unhex(t, in.Upstream)
	first := upstreamUntilAnswer(t, in, out, up)

	table := newTestTable(t, Config{})
	a := attach(t, table, netip.Addr{})
	down := make(chan []smuxFrame, 1)
	go func() { down <- readFrames(a.client, len(out.DownFrames)) }()
	send(t, a.client, up[:first])
	stream := accept(t, table)
	payload, err := within(t, "Read", func() ([]byte, error) {
		b := make([]byte, out.UpLen)
		_, err := io.ReadFull(stream, b)
		return b, err
	})
	if sum := sha256.Sum256(payload); err != nil || hex.EncodeToString(sum[:]) != out.UpSHA256 {
		t.Fatalf("payload of %d bytes has SHA-256 %x, want %s; %v", len(payload), sum, out.UpSHA256, err)
	}
	if _, err := stream.Write(unhex(t, out.DownPayload)); err != nil {
		t.Fatal(err)
	}
	stream.Close()
	got, _ := within(t, "answer", func() ([]smuxFrame, error) { return <-down, nil })
	if !slices.Equal(got, out.DownFrames) {
		t.Errorf("the server's frames are\n%v, want\n%v", got, out.DownFrames)
	}
	send(t, a.client, up[first:])
	if err := a.client.Close(); err != nil {
		t.Fatal(err)
	}
	if err := a.expectEnd(t); err != nil {
		t.Errorf("the carrier ended with %v", err)
	}
}

// upstreamUntilAnswer says how many bytes of the upstream capture came before
// the client had heard from the server, and checks on the way that the capture
// is the prelude and the packets listed.
func upstreamUntilAnswer(t *testing.T, in captureIn, out captureOut, up []byte) int {
	t.Helper()
	built := turbotunnel.AppendPrelude(nil, turbotunnel.ClientID(unhex(t, in.ClientID)))
	first := 0
	for _, p := range out.UpPackets {
		if first == 0 && slices.ContainsFunc(p.Segments, func(s kcpSegment) bool {
			return s.Cmd == kcpPush && len(s.Data) >= 4 && unhex(t, s.Data[:4])[1] == smuxUpdate
		}) {
			first = len(built)
		}
		var err error
		if built, err = encapsulation.AppendData(built, unhex(t, p.Packet)); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(built, up) {
		t.Fatal("the upstream capture is not the listed packets in our framing")
	}
	return first
}

// readFrames reads a carrier as its client would, KCP's order restored, until
// it has n smux frames or the carrier ends.
func readFrames(c carrier.Conn, n int) (frames []smuxFrame) {
	r := encapsulation.NewReader(carrierReader{c})
	data := make(map[uint32][]byte) // by sn
	buf := make([]byte, 2048)
	for len(frames) < n {
		k, _, err := r.ReadPacket(buf)
		if err != nil {
			return frames
		}
		for rest := buf[:k]; len(rest) >= 24; {
			size := int(binary.LittleEndian.Uint32(rest[20:]))
			if rest[4] == kcpPush {
				data[binary.LittleEndian.Uint32(rest[12:])] = bytes.Clone(rest[24 : 24+size])
			}
			rest = rest[24+size:]
		}
		frames = parseFrames(data)
	}
	return frames
}

// parseFrames cuts what has arrived in order into smux frames.
func parseFrames(data map[uint32][]byte) (frames []smuxFrame) {
	var all []byte
	for sn := uint32(0); data[sn] != nil; sn++ {
		all = append(all, data[sn]...)
	}
	for len(all) >= 8 {
		n := int(binary.LittleEndian.Uint16(all[2:]))
		if len(all) < 8+n {
			break
		}
		frames = append(frames, smuxFrame{
			Version: all[0], Cmd: all[1], Length: n,
			Stream: binary.LittleEndian.Uint32(all[4:]), Data: hex.EncodeToString(all[8 : 8+n]),
		})
		all = all[8+n:]
	}
	return frames
}

// carrierReader is a stream carrier as an io.Reader.
type carrierReader struct{ c carrier.Conn }

func (r carrierReader) Read(b []byte) (int, error) { return r.c.Recv(b) }

// testWebSocketCapture plays a reference proxy's WebSocket against a Listener:
// duplicates from before the carrier, and a close right behind the data.
func testWebSocketCapture(t *testing.T, c vectors.Case) {
	type frame struct {
		Opcode  int    `json:"opcode"`
		Payload string `json:"payload_hex"`
	}
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
	if got := in.Up[0].Payload + in.Up[1].Payload; got != out.Magic+out.ClientID {
		t.Fatalf("the capture begins with %s", got)
	}
	l := newTestListener(t, Config{})
	u, _ := url.Parse("ws://" + l.Addr().String() + "/any/path?client_ip=192.0.2.7")
	conn, err := ws.Dial(t.Context(), u, ws.DialOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, f := range in.Up {
		if f.Opcode == 8 {
			conn.Close()
			continue
		}
		send(t, conn, unhex(t, f.Payload))
	}
	stream := accept(t, l.table)
	var want strings.Builder
	for _, f := range out.UpFrames {
		if f.Cmd == smuxPush {
			want.Write(unhex(t, f.Data))
		}
	}
	expect(t, stream, want.String())
	if got := stream.RemoteAddr().String(); got != "192.0.2.7:1" {
		t.Errorf("RemoteAddr is %q", got)
	}
}

// send gives a carrier a stream of bytes.
func send(t *testing.T, c carrier.Conn, b []byte) {
	t.Helper()
	for piece := range slices.Chunk(b, 2048) { // as the reference proxy copies
		if err := c.Send(t.Context(), piece); err != nil {
			t.Fatal(err)
		}
	}
}

func unhex(t *testing.T, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
