package snowserver_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/url"

	"flurry/common/carrier/ws"
	"flurry/common/multipath"
	"flurry/common/turbotunnel"
	"flurry/server/snowserver"
)

// A server that answers every client stream, and what reaches it through a
// proxy.
func Example() {
	l, err := snowserver.Listen(context.Background(), snowserver.Config{Addr: "127.0.0.1:0"})
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()

	done := make(chan struct{})
	go exampleClient("ws://"+l.Addr().String()+"/?client_ip=192.0.2.1", done)

	stream, err := l.Accept()
	if err != nil {
		log.Fatal(err)
	}
	question, _ := io.ReadAll(stream) // until the client closes
	fmt.Printf("%s from %v\n", question, stream.RemoteAddr())
	stream.Close()
	<-done
	// Output: Is anybody there? from 192.0.2.1:1
}

// exampleClient is a client and a proxy in one.
func exampleClient(relay string, done chan<- struct{}) {
	defer close(done)
	u, err := url.Parse(relay)
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	c, err := ws.Dial(ctx, u, ws.DialOptions{})
	if err != nil {
		log.Fatal(err)
	}
	id := turbotunnel.NewClientID()
	path, err := turbotunnel.Attach(ctx, c, id)
	if err != nil {
		log.Fatal(err)
	}
	conn := multipath.New(multipath.Options{Ask: true})
	conn.Add(path)
	session, err := turbotunnel.Client(conn, turbotunnel.ClientTuning())
	if err != nil {
		log.Fatal(err)
	}
	defer session.Close()
	stream, err := session.OpenStream(ctx)
	if err != nil {
		log.Fatal(err)
	}
	io.WriteString(stream, "Is anybody there?")
	stream.Close()
	conn.Drained(ctx)
}
