package fuzz

import (
	"bytes"
	"errors"
	"testing"

	"flurry/common/sealed"
)

// What does not come from the other end does not open, and what does, opens as it was.
func FuzzSealed(f *testing.F) {
	private, err := sealed.NewPrivateKey()
	if err != nil {
		f.Fatal(err)
	}
	public, err := sealed.ParsePublicKey(private.Public())
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{"", "sealed1\n", "1.0\n{}", `{"answer":"x","key":"AAAA"}`, private.Public()} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, _, err := private.Open(b); !errors.Is(err, sealed.ErrSealed) {
			t.Errorf("request %x: %v", b, err)
		}
		request, opens, err := public.Seal(b)
		if err != nil {
			t.Fatal(err)
		}
		bounded(t, "request", len(request), len(b)+sealed.BlockSize)
		text, closes, err := private.Open(request)
		if err != nil || !bytes.Equal(text, b) {
			t.Errorf("%x came as %x, %v", b, text, err)
		}
		if _, err := opens.Open(b); !errors.Is(err, sealed.ErrSealed) {
			t.Errorf("reply %x: %v", b, err)
		}
		reply, err := closes.Seal(b)
		if err != nil {
			t.Fatal(err)
		}
		if text, err := opens.Open(reply); err != nil || !bytes.Equal(text, b) {
			t.Errorf("reply %x came as %x, %v", b, text, err)
		}
		if key, err := sealed.ParsePublicKey(string(b)); err == nil {
			if again, err := sealed.ParsePublicKey(key.String()); err != nil || again.String() != key.String() {
				t.Errorf("key %q came back as %v, %v", key, again, err)
			}
		}
	})
}
