package snowbroker_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http/httptest"
	"strings"

	"flurry/broker/snowbroker"
	"flurry/common/messages"
)

// A broker inside another program: a bridge list, a server, and a clean end.
func Example() {
	bridges, err := snowbroker.ReadBridges(strings.NewReader(
		`{"displayName":"ours","webSocketAddress":"wss://bridge.example/","fingerprint":"2B280B23E1107BB62ABFC40DDCC8824814F80A72"}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	broker, err := snowbroker.New(snowbroker.Config{
		Bridges:             bridges,
		AllowedRelayPattern: messages.ParseRelayPattern("^bridge.example$"),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan error)
	go func() { done <- broker.Run(ctx) }()
	server := httptest.NewServer(broker.Handler()) // in earnest: http.Server with timeouts

	offer := `{"type":"offer","sdp":"v=0\r\n"}`
	request, err := messages.ClientPollRequest{Offer: offer, NAT: messages.NATUnknown}.Encode()
	if err != nil {
		fmt.Println(err)
		return
	}
	resp, err := server.Client().Post(server.URL+"/client", "", bytes.NewReader(request))
	if err != nil {
		fmt.Println(err)
		return
	}
	reply, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	fmt.Println(string(reply))

	broker.Close() // sends waiting proxies away
	server.Close()
	cancel()
	fmt.Println(<-done)
	// Output:
	// {"error":"no snowflake proxies currently available"}
	// <nil>
}
