package snowproxy_test

import (
	"context"
	"fmt"
	"log"
	"os/signal"
	"syscall"

	"flurry/proxy/snowproxy"
)

// An app that lets its user be a volunteer while it runs.
func Example() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	p, err := snowproxy.New(snowproxy.Config{
		Capacity: 10,
		OnEvent: func(e snowproxy.Event) {
			if e.Kind == snowproxy.EventClientConnected {
				fmt.Println("somebody gets through to the free Internet")
			}
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := p.Run(ctx); err != nil {
		log.Fatal(err)
	}
}
