package snowclient_test

import (
	"io"
	"log"
	"os"

	"flurry/client/rendezvous"
	"flurry/client/snowclient"
)

// A program that carries its own Snowflake: it reaches the broker through a
// front, and speaks to whatever the bridge relays to.
func ExampleTransport_Dial() {
	broker, err := rendezvous.NewHTTP(rendezvous.HTTPConfig{
		BrokerURL: "https://broker.example/",
		Fronts:    []string{"www.example.com"},
		Hello:     "hellofirefox_auto",
	})
	if err != nil {
		log.Fatal(err)
	}
	defer broker.Close()
	transport, err := snowclient.New(snowclient.Config{
		Rendezvous: broker,
		ICEServers: []string{"stun:stun.example:3478"},
		Max:        2, // proxies at once
		Trace: &snowclient.Trace{
			Connected: func() { log.Print("a proxy has been found") },
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer transport.Close()

	conn, err := transport.Dial() // returns at once; data waits for the first proxy
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "hello, bridge\n"); err != nil {
		log.Fatal(err)
	}
	if _, err := io.Copy(os.Stdout, conn); err != nil {
		log.Fatal(err)
	}
}
