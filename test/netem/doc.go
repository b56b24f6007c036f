// Package netem tests what the four real programs do on lines that are narrow, long or lossy: real sockets and the kernel's
// own TCP in network namespaces (package test/netlab), with a stage on them (package test/stage). It needs root.
//
//	go test ./test/netem -v -run TestFair -args -rate 20 -rtt 100ms -queue 150ms -loss 0.01
//
// The bounds are generous, since CI is slow and busy; the figures that are logged are the point when run by hand.
package netem
