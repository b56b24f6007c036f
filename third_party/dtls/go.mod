module github.com/pion/dtls/v3

go 1.24.0

require (
	github.com/pion/logging v0.2.4
	github.com/pion/transport/v5 v5.0.0
	golang.org/x/crypto v0.48.0
	golang.org/x/net v0.49.0
)
