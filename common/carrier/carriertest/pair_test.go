package carriertest

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"flurry/common/carrier"
)

func TestPairKeepsTheContract(t *testing.T) {
	Check(t, func(*testing.T) (carrier.Conn, carrier.Conn) { return Pair(Options{}) })
}

func TestPairDelays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := Pair(Options{Delay: 50 * time.Millisecond})
		defer a.Close()
		defer b.Close()
		start := time.Now()
		if err := a.Send(context.Background(), []byte("x")); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Recv(make([]byte, 10)); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(start); d != 50*time.Millisecond {
			t.Errorf("took %v", d)
		}
	})
}

func TestKilledPairIsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := Pair(Options{Delay: 50 * time.Millisecond})
		a.Send(context.Background(), []byte("never seen"))
		a.Kill()
		got := make(chan error, 1)
		go func() {
			_, err := b.Recv(make([]byte, 10))
			got <- err
		}()
		time.Sleep(time.Hour) // of the bubble's clock
		select {
		case err := <-got:
			t.Errorf("the other end heard of it: %v", err)
		default:
		}
		if err := b.Send(context.Background(), []byte("x")); err != nil {
			t.Errorf("the other end cannot send: %v", err)
		}
		b.Close()
		<-got
	})
}

func TestDatagramsGetLost(t *testing.T) {
	a, b := Pair(Options{Datagram: true, Loss: 0.5, Capacity: 1000, Seed: 1})
	defer b.Close()
	for range 1000 {
		a.Send(context.Background(), []byte("x"))
	}
	a.Close()
	n := 0
	for {
		if _, err := b.Recv(make([]byte, 10)); err != nil {
			break
		}
		n++
	}
	if n < 400 || n > 600 {
		t.Errorf("%d of 1000 arrived at 50 %% loss", n)
	}
}
