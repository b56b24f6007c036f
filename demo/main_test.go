package main

import (
	"errors"
	"flag"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	cfg, err := parse(nil)
	if want := (config{proxies: 3, max: 2, sizeMB: 50}); err != nil || cfg != want {
		t.Errorf("no arguments: %+v, %v, want %+v", cfg, err, want)
	}
	cfg, err = parse([]string{"-stay", "-proxies", "5", "-max=4", "-size", "7", "-kill-every", "2s"})
	if want := (config{stay: true, proxies: 5, max: 4, sizeMB: 7, killEvery: 2 * time.Second}); err != nil || cfg != want {
		t.Errorf("all arguments: %+v, %v, want %+v", cfg, err, want)
	}
	if _, err := parse([]string{"-h"}); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("-h: %v", err)
	}
	for _, args := range [][]string{{"-nope"}, {"word"}, {"-proxies", "1"}, {"-size", "0"}, {"-max", "0"}, {"-kill-every", "1ms"}, {"-size", "x"}} {
		if _, err := parse(args); err == nil || errors.Is(err, flag.ErrHelp) {
			t.Errorf("%v: error %v, want a refusal", args, err)
		}
	}
}
