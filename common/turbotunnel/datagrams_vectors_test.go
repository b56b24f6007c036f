package turbotunnel

import (
	"context"
	"encoding/hex"
	"io"
	"slices"
	"testing"

	"flurry/common/vectors"
)

func TestDatagramVectors(t *testing.T) {
	vectors.Run(t, "datagrams", map[string]func(*testing.T, vectors.Case){
		"up":        sendDatagram,
		"down":      sendDatagram,
		"read_up":   readDatagram,
		"read_down": readDatagram,
	})
}

// framed returns one end's framing over f.
func framed(t *testing.T, f *fitting, up bool, clientID string) *datagrams {
	t.Helper()
	var id ClientID
	copy(id[:], unhex(t, clientID))
	return newDatagrams(f, id, up, make([]byte, maxDatagram))
}

func sendDatagram(t *testing.T, c vectors.Case) {
	var in struct {
		ClientID string `json:"client_id_hex"`
		Packet   string `json:"packet_hex"`
	}
	var out struct{ Hex string }
	c.Decode(t, &in, &out)
	f := &fitting{fit: 1156}
	if err := framed(t, f, c.Op == "up", in.ClientID).Send(context.Background(), unhex(t, in.Packet)); err != nil {
		t.Fatal(err)
	}
	if got := hex.EncodeToString(f.sent[0]); got != out.Hex {
		t.Errorf("sent %s, want %s", got, out.Hex)
	}
}

func readDatagram(t *testing.T, c vectors.Case) {
	var in struct {
		ClientID string `json:"client_id_hex"`
		Message  string `json:"message_hex"`
	}
	var out struct {
		Packets []string `json:"packets_hex"`
	}
	c.Decode(t, &in, &out)
	f := &fitting{fit: 1156, incoming: unhex(t, in.Message)}
	d := framed(t, f, c.Op == "read_down", in.ClientID)
	buf := make([]byte, MaxPacket)
	var got []string
	for {
		n, err := d.Recv(buf)
		if err == io.EOF {
			break
		}
		got = append(got, hex.EncodeToString(buf[:n]))
	}
	if !slices.Equal(got, out.Packets) {
		t.Errorf("packets %q, want %q", got, out.Packets)
	}
}
