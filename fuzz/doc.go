// Package fuzz holds a fuzz target for every parser of bytes from outside that
// can be reached through an exported API; the few that cannot have theirs beside
// them, in a file fuzz_test.go. Seeds come from common/vectors.
//
// What all targets hold a parser to: it does not panic, its output is bounded by
// its input, and decoding inverts encoding. What else must be true is said at
// each target.
//
// Run the seeds of all targets, as a plain test:
//
//	go test ./fuzz
//
// Run one target for a while:
//
//	go test ./fuzz -run '^$' -fuzz '^FuzzScrub$' -fuzztime 1m
//
// and all of them, a few seconds each, with make fuzz. The targets:
//
//	client_messages_test.go  FuzzClientPollRequest FuzzClientPollResponse
//	proxy_messages_test.go   FuzzProxyPollRequest FuzzProxyPollResponse
//	                         FuzzProxyAnswerRequest FuzzProxyAnswerResponse
//	names_test.go            FuzzRelayPattern FuzzFingerprint
//	description_test.go      FuzzDescription
//	addresses_test.go        FuzzStripLocal FuzzRemoteAddr
//	encapsulation_test.go    FuzzEncapsulationReader FuzzEncapsulationRoundTrip
//	scrub_test.go            FuzzScrub FuzzScrubWriter FuzzLogLine
//	broker_test.go           FuzzBridgeList FuzzPollIntervals FuzzBrokerHTTP
//	                         FuzzHTTPClientAddress
//	tunnel_test.go           FuzzPrelude FuzzDatagrams
//	control_test.go          FuzzControl
//	stun_test.go             FuzzSTUNReply
//	sealed_test.go           FuzzSealed
//
// and beside the code, run with that directory in place of ./fuzz:
//
//	client                   FuzzSOCKS FuzzSOCKSArgs FuzzClientFlags
//	common/carrier/rtc       FuzzSTUNAnswer FuzzSTUNRequest FuzzRemoteDescription
//	common/carrier/wt        FuzzFrames
//	common/dtls13            FuzzDatagram FuzzRecord FuzzClientHello FuzzServerHello
//	                         FuzzMessage FuzzReassembly FuzzServer FuzzClient
//	common/multipath         FuzzSegments FuzzConn
//	proxy/snowproxy          FuzzRelayURL
//	server                   FuzzTransportOptions
//	server/snowserver        FuzzClientIP
//
// An input that fails is kept by the go command under testdata/fuzz/<target>,
// where it is a seed from then on: commit it with the repair.
package fuzz
