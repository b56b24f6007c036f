package snowclient

import (
	"encoding/binary"
	"errors"
	"testing"
	"time"
)

func ackPacket(una uint32) []byte {
	p := make([]byte, kcpHeader)
	binary.LittleEndian.PutUint32(p[kcpUNA:], una)
	return p
}

func TestAckWatch(t *testing.T) {
	type packet struct {
		at  time.Duration
		una uint32
	}
	const s = time.Second
	for _, c := range []struct {
		name    string
		packets []packet
		want    int // calls
	}{
		{"beginning", []packet{{0, 0}, {s, 0}, {3 * s, 0}, {9 * s, 0}}, 0},
		{"progress", []packet{{0, 0}, {s, 5}, {3 * s, 5}, {9 * s, 90}}, 0},
		{"overtaken", []packet{{0, 5}, {s, 0}, {2 * s, 6}, {3 * s, 0}, {4 * s, 3}, {5 * s, 0}, {6 * s, 6}}, 0},
		{"forgotten", []packet{{0, 5}, {10 * s, 0}, {11 * s, 0}, {12 * s, 0}, {13 * s, 0}}, 1},
		{"forgotten, with pauses", []packet{{0, 5}, {10 * s, 0}, {20 * s, 0}}, 1},
		{"wrapped", []packet{{0, 1 << 30}, {0, 2 << 30}, {0, 3 << 30}, {s, 1<<32 - 1}, {2 * s, 0}, {9 * s, 0}, {12 * s, 1}}, 0},
	} {
		calls := 0
		w := &ackWatch{forgotten: func() { calls++ }}
		start := time.Now()
		for _, p := range c.packets {
			w.observe(ackPacket(p.una), start.Add(p.at))
		}
		w.observe([]byte("short"), start.Add(time.Hour))
		if calls != c.want {
			t.Errorf("%s: called %d times, want %d", c.name, calls, c.want)
		}
	}
}

func TestRestartedBridgeEndsTheSession(t *testing.T) {
	b := newBridge(t)
	tr := newTestTransport(t, Config{Rendezvous: always, Dialer: b})
	b.echo()
	c := dial(t, tr)
	defer c.Close()
	roundTrip(t, c, []byte("hello"))

	b.restart()
	pause := time.NewTicker(50 * time.Millisecond)
	defer pause.Stop()
	var err error
	for err == nil { // an application that goes on
		<-pause.C
		_, err = c.Write([]byte("still there?"))
	}
	if !errors.Is(err, ErrSessionLost) || !errors.Is(err, errForgotten) {
		t.Errorf("got %v", err)
	}

	b.echo()
	again := dial(t, tr)
	defer again.Close()
	roundTrip(t, again, []byte("hello again"))
}
