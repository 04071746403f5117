# All targets need Go and git. check needs a C compiler (for the race detector), e2e and compare need Debian's apt-get, as does the image
# with a shell of release.

FUZZTIME    = 10s
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOFUMPT     = mvdan.cc/gofumpt@v0.12.0

help: ## list the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/\1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 16

demo: build ## run the agent with a sample API on this machine
	@bin/cton demo

test: ## run the tests
	go test -timeout 5m ./...

# Go takes the version from the repository's tags. cton version shows it.
build: ## build the static binary bin/cton
	CGO_ENABLED=0 go build -buildvcs=auto -trimpath -ldflags='-s -w' -o bin/cton ./agent/cton

check: vet staticcheck gofumpt race macos narrow ## run all static checks and the race detector

vet:
	go vet -tags e2e ./...

staticcheck:
	go run $(STATICCHECK) -tags e2e ./...

gofumpt:
	@unformatted=$$(go run $(GOFUMPT) -l .) && if [ -n "$$unformatted" ]; then \
		echo "format with: go run $(GOFUMPT) -w ."; echo "$$unformatted"; exit 1; fi

HISTORIES = 10000
FIRST     = 0

exact: ## run HISTORIES (10000) random histories, from the seed FIRST (0), of a faulty API and a killed agent, and compare the totals with the truth
	go test -run='^TestExactness$$' -timeout 3h ./agent -histories $(HISTORIES) -first $(FIRST)

MUTATIONS = 100

mutants: ## run the tests against MUTATIONS (100) random mutations of the core, and list those that no test notices
	go run ./agent/internal/mutants -n $(MUTATIONS)

race:
	go test -race -short -timeout 20m ./...

macos: ## compile the program for macOS
	GOOS=darwin GOARCH=arm64 CGO_ENABLED=0 go build -o /dev/null ./agent/cton

# 386 stands for arm v7, which few machines can run.
narrow: ## run the tests of the core on 32 bit
	GOARCH=386 CGO_ENABLED=0 go test -timeout 10m ./agent/document/... ./agent/durable/... ./agent/jq/... ./agent/metric/... ./agent/internal/ledger/... ./sinks/remotewrite/...

fuzz: ## run every fuzz target for FUZZTIME (10s)
	.ci/fuzz $(FUZZTIME)

bench: ## run the benchmarks
	go test -run='^$$' -bench=. -benchmem ./...

e2e: build ## test delivery to real receivers from Debian, also with outages
	deploy/e2e/run.sh bin/cton

chart: build ## render the Helm chart, and decode and check what comes out
	cd deploy/helm/check && CTON=$(CURDIR)/bin/cton go test -count=1 -timeout 20m ./...

KUBERNETES = k8s.io/component-base/version

# Not in CI: building Kubernetes takes ten minutes or more, 2.5 GB of memory and 4 GB of the build cache. TESTFLAGS are for go test.
e2e-kubernetes: build ## test the chart in a Kubernetes cluster on this machine, which is built first (as root)
	cd deploy/e2e/kubernetes && CTON=$(CURDIR)/bin/cton CGO_ENABLED=0 go test -vet=off -count=1 -v -timeout 20m \
		-ldflags='-s -w -X $(KUBERNETES).gitVersion=v1.37.2 -X $(KUBERNETES).gitMajor=1 -X $(KUBERNETES).gitMinor=37' $(TESTFLAGS) .

release: ## build archives, packages and the container images of the last commit in dist
	deploy/release/shell/fetch.sh $(CURDIR)/bin/busybox
	cd deploy/release && go test -timeout 20m ./... && go run . -shell $(CURDIR)/bin/busybox -o $(CURDIR)/dist

compare: build ## measure the binary beside its peers, with flags in COMPARE
	deploy/compare/run.sh bin/cton $(COMPARE)

clean: ## remove what was built
	rm -rf bin dist

.PHONY: help demo test build check vet staticcheck gofumpt race macos narrow fuzz exact mutants bench e2e e2e-kubernetes chart release compare clean
