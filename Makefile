.DEFAULT_GOAL := help
SHELL := /bin/bash

# Tools that are not in go.mod, by exact version.
GOLANGCI_LINT_VERSION := v2.15.0
GOVULNCHECK_VERSION := v1.9.0
CYCLONEDX_GOMOD_VERSION := v1.10.0
BIN := $(CURDIR)/.bin
LINT := $(BIN)/golangci-lint-$(GOLANGCI_LINT_VERSION)

# The end-to-end test is a module of its own: what only it needs is not in go.mod. Go's cache of test results does not see
# that sessiond has changed, hence -count=1.
E2E := internal/qa/e2e

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: build ## Serve on SQLite with 5,000 demo sessions and print a tour with curl
	./sessiond serve --dev --demo-sessions 5000

.PHONY: build
build: go ## Build ./sessiond
	CGO_ENABLED=0 go build -o sessiond ./cmd/sessiond

.PHONY: test
test: go gcc postgres pgbouncer node strace ## Run every test on both engines, then those with several goroutines again, with the race detector
	go test -shuffle=on -timeout 20m ./store ./handlers ./...
	go test -race -short -vet=off -shuffle=on -timeout 20m ./store ./handlers $$(go list ./... | grep -v /internal/qa/)
	go test -C $(E2E) -count=1 -shuffle=on -timeout 20m ./...

.PHONY: bench
bench: go postgres ## Measure sessiond against a hand-written baseline, on 1,000,000 sessions; ARGS="--help" lists what can be set
	go run ./internal/qa/bench/cmd/bench $(if $(or $(findstring --footprint,$(ARGS)),$(findstring --search,$(ARGS))),,--json bench.json) $(ARGS)

.PHONY: bench-compare
bench-compare: go postgres ## Measure two builds against each other: OLD and NEW are programs or revisions
	@test -n "$(OLD)" || { echo "say what to compare with: make bench-compare OLD=REVISION"; exit 2; }
	go run ./internal/qa/bench/cmd/bench --json bench-compare.json --old "$(OLD)" --new "$(or $(NEW),HEAD)" $(ARGS)

.PHONY: microbench
microbench: go ## Run the Go benchmarks
	go test -run '^$$' -bench . -benchmem ./...

.PHONY: cover
cover: go gcc postgres pgbouncer node strace ## Run the tests and show what they reach
	go test -coverpkg=./... -coverprofile=coverage.out ./...
	go test -C $(E2E) -count=1 ./...
	go tool cover -func=coverage.out | tail -1

.PHONY: check
check: generate-check tidy-check lint ## Everything that is checked without running it

.PHONY: generate
generate: go ## Generate gen/ from openapi.yaml
	@mkdir -p $(BIN)
	go run ./internal/openapi/xorder <openapi.yaml >$(BIN)/openapi.ordered.yaml
	go tool oapi-codegen -config oapi-codegen.yaml $(BIN)/openapi.ordered.yaml
	go run ./internal/openapi/sdkview openapi.sdk.overlay.yaml <openapi.yaml >$(BIN)/openapi.sdk.yaml
	mv $(BIN)/openapi.sdk.yaml gen/openapi.sdk.yaml

.PHONY: generate-check
generate-check: generate ## Fail when gen/ is not what openapi.yaml gives
	@git add --intent-to-add gen && git diff --exit-code -- gen \
		|| { echo "gen/ is not current: run 'make generate' and commit the result"; exit 1; }

.PHONY: tidy-check
tidy-check: go ## Fail when a go.mod or go.sum is not tidy
	go mod tidy -diff
	go mod -C $(E2E) tidy -diff

.PHONY: tidy
tidy: go ## Make each go.mod and go.sum tidy, after a change of a dependency
	go mod tidy
	go mod -C $(E2E) tidy

.PHONY: fmt
fmt: $(LINT) ## Format the code
	$(LINT) fmt

.PHONY: lint
lint: $(LINT) ## Run the linters
	$(LINT) run
	cd $(E2E) && $(LINT) run

$(LINT): | go gcc
	GOBIN=$(BIN) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)
	mv $(BIN)/golangci-lint $@

# What the targets need of the machine. Debian's packages are installed when this user may.
.PHONY: go gcc postgres pgbouncer node strace
go:
	@command -v go >/dev/null || { echo "Go is missing: install the version that go.mod names from https://go.dev/dl/"; exit 1; }
gcc:
	@command -v gcc >/dev/null || scripts/install-package gcc libc6-dev
postgres:
	@[ -n "$$TEST_POSTGRES_URL" ] || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null \
		|| scripts/install-package postgresql
pgbouncer:
	@command -v pgbouncer >/dev/null || [ -x /usr/sbin/pgbouncer ] || scripts/install-package pgbouncer
node:
	@{ command -v node && command -v npm; } >/dev/null || scripts/install-package nodejs npm

# The contract and the clients made from it. What npm installs is in .bin, and a picture of the explorer is kept only with
# PICTURE=docs/images/explorer.png.
OASDIFF_VERSION := v1.36.0
OASDIFF := $(BIN)/oasdiff-$(OASDIFF_VERSION)
NODE_TOOLS := $(BIN)/node-tools
NODE_MODULES := $(NODE_TOOLS)/node_modules/.package-lock.json
CLIENTS := internal/qa/sdkcheck
PICTURE :=

.PHONY: contract
contract: $(OASDIFF) $(NODE_MODULES) ## Lint openapi.yaml, and fail when it breaks a client of the last release
	cp $(CLIENTS)/lint/* $(NODE_TOOLS)/ && node $(NODE_TOOLS)/lint.mjs openapi.yaml
	$(NODE_TOOLS)/node_modules/.bin/spectral lint --fail-severity warn --ruleset $(NODE_TOOLS)/spectral.yaml openapi.yaml gen/openapi.sdk.yaml
	go run ./internal/qa/apicompat -oasdiff $(OASDIFF) -accepted testdata/openapi.accepted.txt testdata/openapi.released.yaml openapi.yaml

.PHONY: clients
clients: $(NODE_MODULES) chromium ## Generate clients with eight generators, run them, and read the API explorer in Chromium
	go run ./$(CLIENTS) -tools $(NODE_TOOLS) -picture '$(PICTURE)'

$(OASDIFF): | go
	GOBIN=$(BIN) go install github.com/oasdiff/oasdiff@$(OASDIFF_VERSION)
	mv $(BIN)/oasdiff $@

$(NODE_MODULES): $(CLIENTS)/package.json $(CLIENTS)/package-lock.json $(CLIENTS)/.npmrc | go node
	mkdir -p $(NODE_TOOLS) && cp $^ $(NODE_TOOLS)/
	cd $(NODE_TOOLS) && npm ci --ignore-scripts --prefer-offline --no-audit --no-fund --loglevel=error
	touch $@

.PHONY: chromium
chromium:
	@command -v chromium >/dev/null || scripts/install-package chromium fonts-dejavu-core

strace:
	@command -v strace >/dev/null || scripts/install-package strace

# Faults on purpose; docs/assurance.md says what is run, and has the figures of the long runs.
CHAOS := go run ./internal/qa/chaos/cmd/chaos
LONG := "crash" "crash --control --kills 20" "crash --sqlite --kills 100 --writes 1000" "powerloss" "powerloss --control --moments 50" \
	"history" "history --control --rounds 50" "fuzz"

.PHONY: chaos
chaos: go postgres strace ## Kill, cut off and confuse sessiond at full length; ARGS="crash --help" runs one of it
ifdef ARGS
	$(CHAOS) $(ARGS)
else
	@set -e; for run in $(LONG); do echo "chaos $$run"; $(CHAOS) $$run; done
endif

.PHONY: assurance
assurance: go gcc postgres strace ## Everything that is known about failures at a small size, with one table of figures
	go test -count=1 ./internal/qa/chaos/... ./internal/qa/apifuzz/...
	$(CHAOS) assurance
	@scripts/upgrade-check || [ $$? = 2 ]
	@$(MAKE) --no-print-directory sbom
	@scripts/vulnerabilities $(GOVULNCHECK_VERSION) || [ $$? = 2 ]

# Mutants: small changes of the code that a test has to notice. 400 of them take a quarter of an hour or more; the short run has
# 20, always the same until their code changes, and takes a minute or two on two cores, half of it to learn which test reaches
# what. Tests that run on both engines are run on SQLite; ARGS="--skip ''" runs them on PostgreSQL too.
MUTANTS := go run ./internal/qa/mutants/cmd/mutants

.PHONY: mutants
mutants: go ## Change the code in 400 small ways and see whether the tests notice; ARGS="--help" lists what can be set
	$(MUTANTS) --skip /postgres $(ARGS)

.PHONY: mutants-short
mutants-short: go ## The same with 10 of them
	$(MUTANTS) --skip /postgres --n 10

# The store's tests take longest to learn from, and the suite runs once on each engine: of its own, since fast paths are PostgreSQL's.
.PHONY: mutants-store
mutants-store: go postgres ## The same with 150 changes of the store, by its tests on both engines; an hour or more
	$(MUTANTS) --packages ./store,./store/internal/... --tests ./store --skip '^Test(Plain|Pooled)$$' --n 150 $(ARGS)

.PHONY: upgrade-check
upgrade-check: go postgres ## Bring the schema up to date under the previous version; needs the repository's history
	scripts/upgrade-check

.PHONY: vuln
vuln: go ## Look for known vulnerabilities; fails, and says so, when their database cannot be reached
	scripts/vulnerabilities $(GOVULNCHECK_VERSION)

.PHONY: sbom
sbom: go ## Write sessiond.cdx.json, what the program is made of (CycloneDX)
	CGO_ENABLED=0 go run github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@$(CYCLONEDX_GOMOD_VERSION) \
		app -json -licenses -main cmd/sessiond -output sessiond.cdx.json .
