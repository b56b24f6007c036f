# Flurry: build, try, test. `make` alone lists the targets.

GO ?= go
# Pinned, so that a new release of the tool does not fail an old commit.
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
# Arguments of the demo, such as ARGS=-stay.
ARGS ?=
# How long each fuzz target runs: a number of executions, since a time that runs out can end a run as failed without a finding.
FUZZTIME ?= 30000x
# The tests that start whole systems, shape lines or drive browsers. They mostly wait.
WHOLE = /test/system|/test/interop|/test/netem|/test/browser|/test/webext
# The stages of make test, in two rows that run side by side. The first computes, or has the race detector, and gives way to the
# second, which mostly waits and is timed. No two stages compile the same at the same time.
COMPUTES = lint test-webext test-race test-race-system fuzz test-simulated
WAITS = docker-check test-system test-browser test-webext-browsers

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/:[^#]*## /\t/' | expand -t 20

.PHONY: demo
demo: ## the whole system on this machine: fetch a file while volunteers come and go (ARGS=-stay leaves it running)
	$(GO) run ./demo $(ARGS)

.PHONY: build
build: ## the programs, static, in bin/
	mkdir -p bin
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/ ./client ./broker ./proxy ./server ./broker/probetest

.PHONY: webext
webext: webext/node_modules/.package-lock.json ## the browser extensions and the badge, in webext/dist: build, sizes, lint (needs Node 20)
	cd webext && node build.mjs
	cd webext && for dir in firefox firefox-mv2; do npx web-ext lint --no-config-discovery --warnings-as-errors --source-dir dist/$$dir || exit; done

webext/node_modules/.package-lock.json: webext/package-lock.json
	cd webext && npm ci --no-audit --no-fund
	touch $@

.PHONY: test
test: setup ## everything; as root it installs what is missing first
	$(MAKE) --no-print-directory --output-sync=target -j2 computes waits

.PHONY: computes waits
computes:
	nice -n 19 $(MAKE) $(COMPUTES)
waits:
	$(MAKE) $(WAITS)

.PHONY: setup
setup: ## install the tools that the tests need (as root), or say which are missing
	scripts/setup

.PHONY: test-short
test-short: lint ## no root, no other programs, a minute or two
	scripts/gotest -short -timeout 5m $$($(GO) list ./... | grep -v /test/)

.PHONY: lint
lint: ## gofmt, go vet, staticcheck, import rules
	@files=$$(gofmt -l $$(git ls-files -co --exclude-standard '*.go' 2>/dev/null || echo .)) && \
		{ test -z "$$files" || { echo "gofmt these:"; echo "$$files"; false; }; }
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...
	$(GO) test ./test/floors

.PHONY: test-webext
test-webext: ## types, style and unit tests of the browser extension, that its builds are reproducible, and make webext
	MAKEFLAGS= scripts/test-webext

.PHONY: test-race
test-race: ## every package under the race detector
	scripts/gotest -race -p 2 -timeout 15m $$($(GO) list ./... | grep -vE '$(WHOLE)')

.PHONY: test-race-system
test-race-system: ## the whole-system tests under the race detector, which the programs that they start have too
	scripts/gotest -race -count=1 -p 2 -timeout 15m ./test/system ./test/interop

.PHONY: test-system
test-system: ## the whole-system tests in full size and those over shaped lines, with the programs as users get them
	scripts/gotest -count=1 -p 2 -timeout 10m ./test/system ./test/netem

.PHONY: test-browser
test-browser: ## calls and volunteers in Chromium and Firefox only
	scripts/gotest -count=1 -p 1 -timeout 15m ./test/browser

.PHONY: test-webext-browsers
test-webext-browsers: ## the extension and the badge in Chromium and Firefox, after make webext; pictures are in test/webext/out
	scripts/gotest -count=1 -parallel 4 -timeout 10m ./test/webext

.PHONY: test-simulated
test-simulated: ## what runs in simulated time, in full size: the system on an internet of its own, and the engine alone
	scripts/gotest -count=1 -p 2 -timeout 10m ./test/system/simulated ./common/multipath

.PHONY: fuzz
fuzz: ## each fuzz target for FUZZTIME
	scripts/fuzz $(FUZZTIME)

.PHONY: docker-check
docker-check: ## the build steps of the Dockerfile, without a container engine, and the syntax of compose.yaml
	scripts/docker-check

.PHONY: clean
clean: ## remove what make built
	rm -rf bin
