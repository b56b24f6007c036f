# Flurry: build, try, test. `make` alone lists the targets.

GO ?= go
# Pinned, so that a new release of the tool does not fail an old commit.
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
# Arguments of the demo, such as ARGS=-stay.
ARGS ?=
# How long each fuzz target runs: a number of executions, since a time that runs out can end a run as failed without a finding.
FUZZTIME ?= 30000x
# The tests that start whole systems; they take turns.
SYSTEM = ./test/system ./test/interop

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/:[^#]*## /\t/' | expand -t 16

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
test: setup lint test-webext test-race test-system fuzz docker-check ## everything; as root it installs what is missing first

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
	scripts/test-webext

.PHONY: test-race
test-race: ## every package under the race detector; the programs that the whole-system tests start have it too
	scripts/gotest -race -p 2 -timeout 10m $$($(GO) list ./... | grep -v -e /test/system -e /test/interop -e /test/netem -e /test/browser)
	scripts/gotest -race -count=1 -p 2 -timeout 15m $(SYSTEM)

.PHONY: test-system
test-system: ## the whole-system tests in full size, those over shaped lines, and with browsers, with the programs as users get them
	scripts/gotest -count=1 -p 2 -timeout 10m ./test/system ./test/netem
	scripts/gotest -count=1 -p 2 -timeout 10m ./test/browser ./test/system/simulated

.PHONY: test-browser
test-browser: ## calls and volunteers in Chromium and Firefox only
	scripts/gotest -count=1 -p 1 -timeout 15m ./test/browser

.PHONY: fuzz
fuzz: ## each fuzz target for FUZZTIME
	scripts/fuzz $(FUZZTIME)

.PHONY: docker-check
docker-check: ## the build steps of the Dockerfile, without a container engine, and the syntax of compose.yaml
	scripts/docker-check

.PHONY: clean
clean: ## remove what make built
	rm -rf bin
