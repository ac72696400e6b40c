# What a developer runs. `make demo` works on a fresh Debian machine with a Swift toolchain.

PREFIX ?= /usr/local
RELEASE = swift build -c release --product mlmirror
BIN ?= $(shell $(RELEASE) --show-bin-path)/mlmirror
PYTHON = .venv/mlflow3/bin/python

.PHONY: help setup build release test lint demo bench install clean
.NOTPARALLEL:

help:
	@echo 'make demo      two real MLflow servers, a believable workload, mirrored live, verified, and left up to look at'
	@echo 'make test      set up, build and run all tests'
	@echo 'make lint      formatting and import direction'
	@echo 'make bench     measure against the alternatives (about an hour; ROUNDS=1 for a look)'
	@echo 'make install   build for release and install to $(PREFIX)/bin'
	@echo 'make build, make setup, make clean'

setup:
	.ci/setup mlflow3 mlflow2

build:
	swift build

release:
	$(RELEASE)

# One after the other: time-outs are tested too, and want the machine for themselves.
test: setup
	swift build --build-tests
	swift test --skip-build --filter CurlTests
	swift test --skip-build --filter ReplicationTests
	swift test --skip-build --filter PlatformsTests
	swift test --skip-build --filter mlmirrorTests
	$(PYTHON) Tests/Support/python/judge_selftest.py

lint:
	.ci/lint

demo:
	.ci/setup
	$(RELEASE)
	BIN="$(BIN)" Tests/Demo/demo.sh $(DEMO_FLAGS)

ROUNDS ?= 3
bench:
	.ci/setup mlflow3 peer
	$(RELEASE)
	BIN="$(BIN)" $(PYTHON) Benchmarks/backfill_bench.py --rounds $(ROUNDS)
	BIN="$(BIN)" $(PYTHON) Benchmarks/points_bench.py --rounds $(ROUNDS)
	BIN="$(BIN)" $(PYTHON) Benchmarks/artifact_bench.py --rounds $(ROUNDS)
	BIN="$(BIN)" $(PYTHON) Benchmarks/memory_bench.py
	BIN="$(BIN)" $(PYTHON) Benchmarks/lag_bench.py --rounds $(ROUNDS)
	BIN="$(BIN)" $(PYTHON) Benchmarks/lag_bench.py --rounds 1 --poll --only ours
	BIN="$(BIN)" $(PYTHON) Benchmarks/trigger_bench.py
	BIN="$(BIN)" $(PYTHON) Benchmarks/live_cost_bench.py
	BIN="$(BIN)" $(PYTHON) Benchmarks/lock_bench.py

install: release
	install -D -m 0755 "$(BIN)" "$(DESTDIR)$(PREFIX)/bin/mlmirror"

clean:
	rm -rf .build .demo
