package sealed_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"flurry/common/sealed"
)

func newPair(t testing.TB) (*sealed.PrivateKey, *sealed.PublicKey) {
	t.Helper()
	private, err := sealed.NewPrivateKey()
	if err != nil {
		t.Fatal(err)
	}
	public, err := sealed.ParsePublicKey(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	if public.String() != private.Public() {
		t.Errorf("the key %q came back as %q", private.Public(), public)
	}
	return private, public
}

func TestThereAndBack(t *testing.T) {
	private, public := newPair(t)
	for _, n := range []int{0, 1, 300, sealed.BlockSize - 4, sealed.BlockSize - 3, 70_000} {
		text := bytes.Repeat([]byte("x"), n)
		request, opens, err := public.Seal(text)
		if err != nil {
			t.Fatal(err)
		}
		if !sealed.Is(request) {
			t.Errorf("%d bytes: not known for a sealed request", n)
		}
		if filled := len(request) - sealed.Overhead; filled%sealed.BlockSize != 0 || filled > n+4+sealed.BlockSize {
			t.Errorf("%d bytes became %d", n, len(request))
		}
		got, closes, err := private.Open(request)
		if err != nil || !bytes.Equal(got, text) {
			t.Fatalf("%d bytes came as %d, %v", n, len(got), err)
		}
		reply, err := closes.Seal(text)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := opens.Open(reply); err != nil || !bytes.Equal(back, text) {
			t.Fatalf("the reply of %d bytes came as %d, %v", n, len(back), err)
		}
	}
}

// Nothing that is sealed twice looks the same.
func TestFresh(t *testing.T) {
	private, public := newPair(t)
	a, _, _ := public.Seal([]byte("text"))
	b, _, _ := public.Seal([]byte("text"))
	if bytes.Equal(a, b) {
		t.Error("two requests are equal")
	}
	_, once, err := private.Open(a)
	if err != nil {
		t.Fatal(err)
	}
	_, again, err := private.Open(a) // replayed
	if err != nil {
		t.Fatal(err)
	}
	r, _ := once.Seal([]byte("text"))
	s, _ := again.Seal([]byte("text"))
	if bytes.Equal(r, s) {
		t.Error("two replies are equal")
	}
}

func TestForged(t *testing.T) {
	private, public := newPair(t)
	other, _ := newPair(t)
	request, opens, err := public.Seal([]byte("offer"))
	if err != nil {
		t.Fatal(err)
	}
	_, closes, err := private.Open(request)
	if err != nil {
		t.Fatal(err)
	}
	reply, err := closes.Seal([]byte("answer"))
	if err != nil {
		t.Fatal(err)
	}
	refuseRequest := func(what string, key *sealed.PrivateKey, b []byte) {
		if _, _, err := key.Open(b); !errors.Is(err, sealed.ErrSealed) {
			t.Errorf("request, %s: %v", what, err)
		}
	}
	refuseReply := func(what string, b []byte) {
		if _, err := opens.Open(b); !errors.Is(err, sealed.ErrSealed) {
			t.Errorf("reply, %s: %v", what, err)
		}
	}
	refuseRequest("another key", other, request)
	for _, at := range []int{0, 8, 39, 40, len(request) - 1} {
		b := bytes.Clone(request)
		b[at] ^= 1
		refuseRequest(fmt.Sprint("changed at ", at), private, b)
	}
	for _, n := range []int{0, 8, 39, 40, len(request) - 1} {
		refuseRequest(fmt.Sprint("cut at ", n), private, request[:n])
	}
	for _, at := range []int{0, 15, 16, len(reply) - 1} {
		b := bytes.Clone(reply)
		b[at] ^= 1
		refuseReply(fmt.Sprint("changed at ", at), b)
	}
	for _, n := range []int{0, 15, 16, len(reply) - 1} {
		refuseReply(fmt.Sprint("cut at ", n), reply[:n])
	}
	refuseReply("plain", []byte(`{"error":"unsupported message version"}`))
	refuseReply("the request", request)
}

func TestParsePublicKey(t *testing.T) {
	for _, text := range []string{"", "!", "AAAA", strings.Repeat("A", 44), strings.Repeat("A", 1000)} {
		if _, err := sealed.ParsePublicKey(text); err == nil {
			t.Errorf("%q is a key", text)
		}
	}
}
