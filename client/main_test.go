package main

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// runProgram, set in the environment, makes the test binary the client.
const runProgram = "TEST_RUN_CLIENT"

func TestMain(m *testing.M) {
	if os.Getenv(runProgram) != "" {
		main()
	}
	goleak.VerifyTestMain(m)
}
