package rendezvous_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"flurry/client/rendezvous"
)

// Two ways to one broker: through fronts under a browser's TLS, and, when those
// have not answered for four seconds, directly.
func ExampleRace() {
	fronted, err := rendezvous.NewHTTP(rendezvous.HTTPConfig{
		BrokerURL: "https://broker.example/",
		Fronts:    []string{"www.example.com", "www.example.net"},
		Hello:     "hellofirefox_auto",
	})
	if err != nil {
		log.Fatal(err)
	}
	defer fronted.Close()
	direct, err := rendezvous.NewHTTP(rendezvous.HTTPConfig{BrokerURL: "https://broker.example/"})
	if err != nil {
		log.Fatal(err)
	}
	defer direct.Close()

	method := rendezvous.Race(4*time.Second, fronted, direct)
	reply, err := method.Exchange(context.Background(), []byte("1.0\n{...}"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", reply)
}
