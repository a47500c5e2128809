# Every target can be run by hand; .ci/run runs what a submission must pass.
.PHONY: test race vet fmt demo bench build tck tck-dsp tck-dcp edc postgres chaos bench-stores fuzz

test: ## what the README names
	go test ./...

race: ## everything under the race detector
	go test -race ./...

vet:
	go vet ./...

fmt: ## fails and lists what gofmt would change
	@out=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$out" ]; then echo "gofmt would change:"; echo "$$out"; exit 1; fi

build:
	go build -trimpath -o kakehashi ./cmd/kakehashi

demo:
	go run ./cmd/kakehashi demo

bench:
	go test -run '^$$' -bench . -benchtime 1s ./...

# Official kits and other connectors, run against the served program. Each needs
# more than Go, prints one RESULT line, and ends with 77 where it cannot run.
# They are built first, since go run would hide that code.
REPEAT ?= 1

tck: tck-dsp tck-dcp ## the official kits of both protocols

tck-dsp: ## the official kit of the Dataspace Protocol; UPDATE=1 writes docs/conformance.md
	@d=$$(mktemp -d) && trap 'rm -rf "$$d"' EXIT && go build -trimpath -o "$$d/tck" ./conformance/tck && "$$d/tck" -repeat $(REPEAT) $(if $(UPDATE),-update)

tck-dcp: ## the official kit of the Decentralized Claims Protocol: holder, issuer and verifier, with both kinds of status lists
	@d=$$(mktemp -d) && trap 'rm -rf "$$d"' EXIT && go build -trimpath -o "$$d/dcp" ./conformance/dcp && "$$d/dcp" -repeat $(REPEAT)

FUZZTIME ?= 10m
FUZZ ?= ^Fuzz

fuzz: ## each Fuzz function of the repo for FUZZTIME, one after the other; FUZZ picks by a pattern, FUZZPKG by package
	@set -e; failed=; for p in $$(go list $(or $(FUZZPKG),./...)); do \
	  for f in $$(go test -list '$(FUZZ)' $$p | grep '^Fuzz' || true); do \
	    echo "== $$p $$f"; \
	    go test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 5s $$p || failed="$$failed $$p.$$f"; \
	  done; done; \
	if [ -n "$$failed" ]; then echo "failed:$$failed"; exit 1; fi

edc: ## Eclipse EDC as the counterpart, both ways
	@d=$$(mktemp -d) && trap 'rm -rf "$$d"' EXIT && go build -trimpath -o "$$d/edc" ./conformance/edc && "$$d/edc"

postgres: ## the tests of all that keeps tables, on a PostgreSQL server of their own; RUN and PKG pick some
	@d=$$(mktemp -d) && trap 'rm -rf "$$d"' EXIT && go build -trimpath -o "$$d/postgres" ./conformance/postgres && "$$d/postgres" $(if $(RUN),-run '$(RUN)') $(PKG)

EXCHANGES ?= 10000

chaos: ## exchanges while lines, nodes and databases break; SEED=n plays one again, ONLY=pattern picks pairs, UPDATE=1 writes docs/reliability.md
	@d=$$(mktemp -d) && trap 'rm -rf "$$d"' EXIT && go build -trimpath -o "$$d/chaos" ./conformance/chaos && \
	  "$$d/chaos" -n $(EXCHANGES) $(if $(SEED),-seed $(SEED)) $(if $(ONLY),-only '$(ONLY)') $(if $(UPDATE),-update)

bench-stores: ## whole exchanges on SQLite and on PostgreSQL, side by side, as docs/benchmarks.md has them; ARGS, such as --kept 1000000
	@d=$$(mktemp -d) && trap 'rm -rf "$$d"' EXIT && go build -trimpath -o "$$d/kakehashi" ./cmd/kakehashi && go build -trimpath -o "$$d/postgres" ./conformance/postgres && \
	  "$$d/postgres" -with sh -c '"$$1" bench exchange --compare --store "$$KAKEHASHI_TEST_POSTGRES" $(ARGS)' sh "$$d/kakehashi"
