# Every target can be run by hand; .ci/run runs what a submission must pass.
.PHONY: test race vet fmt demo bench build

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
