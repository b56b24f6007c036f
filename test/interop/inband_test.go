package interop

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"testing"
	"time"

	"flurry/test/stage"
)

// helloTimeout is how long our server waits for a client's hello on the control stream, after which it closes that.
const helloTimeout = 30 * time.Second

// TestDeployedClientInBand has our server offer Debian's client the way to the broker through the tunnel. The client knows
// nothing of streams that a server opens: it carries its files as ever, and an echo connection lives through the opening and
// the closing of that stream.
func TestDeployedClientInBand(t *testing.T) {
	t.Parallel()
	ours := programs(t)
	s := newStage(t, stage.Options{
		Programs: stage.Programs{Client: need(t, "snowflake-client", "snowflake-client"), Proxy: ours.Proxy, Broker: ours.Broker, Server: ours.Server},
		Proxies:  3, AnyExit: true, ServerArgs: []string{"-rendezvous-broker=http://127.0.0.1:9/"}}) // nobody is there, and nobody asks
	ctx, cancel := context.WithTimeout(t.Context(), sessionLimit)
	defer cancel()
	conn, err := s.Dial(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Now()) })()
	back, err := stage.Echo(ctx, conn)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	text, got := make([]byte, 1000), make([]byte, 1000)
	for again := true; again; {
		again = time.Since(began) < helloTimeout+5*time.Second // once more when the stream is closed
		rand.Read(text)
		if _, err := conn.Write(text); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(back, got); err != nil || !bytes.Equal(got, text) {
			t.Fatalf("after %v: %v", time.Since(began), err)
		}
		if again {
			time.Sleep(time.Second) // between the messages of somebody who types
		}
	}
	carry(t, s, 5_000_000)
}
