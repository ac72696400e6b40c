# What a developer runs. `make demo` works on a fresh Debian machine with a Swift toolchain.

PREFIX ?= /usr/local
RELEASE = swift build -c release --product mlmirror
BIN ?= $(shell $(RELEASE) --show-bin-path)/mlmirror
SIMULATE = .build/release/simulate
PYTHON = .venv/mlflow3/bin/python

.PHONY: help setup build release test simulate tsan torture soak emulators test-spark lint demo bench install clean
.NOTPARALLEL:

help:
	@echo 'make demo      two real MLflow servers, a believable workload, mirrored live, verified, and left up to look at'
	@echo 'make test      set up, build and run all tests'
	@echo 'make simulate  random schedules of the daemon in a simulated world (SEEDS=20000 FIRST=1)'
	@echo 'make torture   what takes hours: a million schedules, losses of power, kills'
	@echo 'make soak      the daemon between two real servers, with writers, restarts and outages (MINUTES=60)'
	@echo 'make emulators an Azure ML workspace on this machine, to try mlmirror and Microsoft'"'"'s client with'
	@echo 'make test-spark what people do with a model in Azure ML: serve it, score batches in a local Spark'
	@echo 'make tsan      the tests under ThreadSanitizer'
	@echo 'make lint      formatting and import direction'
	@echo 'make bench     measure against the alternatives (about an hour; ROUNDS=1 for a look)'
	@echo 'make install   build for release and install to $(PREFIX)/bin'
	@echo 'make build, make setup, make clean'

setup:
	.ci/setup mlflow3 mlflow2 azureml2 azureml3

build:
	swift build

release:
	$(RELEASE)

SEEDS ?= 20000
FIRST ?= 1
SIMULATIONS = $(SIMULATE) bugs && $(SIMULATE) grid && $(SIMULATE) seeds $(SEEDS) $(FIRST) && $(SIMULATE) power 500 && $(SIMULATE) lying-disk 300

# Suites that start an emulator.
AZURE = AzureML(Conformance|Fault)?Tests

# One suite after the other: time-outs are tested too, and want the machine for themselves. The simulations take what the real servers' tests
# leave of it, most of which is waiting.
test: setup
	swift build --build-tests
	swift build -c release --product simulate
	swift test --skip-build --filter CurlTests
	swift test --skip-build --filter SimulationTests
	swift test --skip-build --filter ReplicationTests
	swift test --skip-build --filter PlatformsTests --skip '$(AZURE)'
	swift test --skip-build --filter '$(AZURE)'
	nice -n 19 $(SHELL) -c '$(SIMULATIONS)' > .build/simulations.log 2>&1 & simulations=$$!; \
		trap "pkill -P $$simulations; kill $$simulations" EXIT; \
		swift test --skip-build --filter mlmirrorTests --skip '$(AZURE)' || exit 1; \
		wait $$simulations; failed=$$?; trap - EXIT; cat .build/simulations.log; exit $$failed
	$(PYTHON) Tests/Support/python/judge_selftest.py
	$(PYTHON) Tests/Support/python/azureml_selftest.py

simulate:
	swift build -c release --product simulate
	$(SIMULATE) seeds $(SEEDS) $(FIRST)

tsan:
	swift build --build-tests --sanitize thread --scratch-path .build/tsan
	for suite in CurlTests SimulationTests ReplicationTests; do \
		swift test --skip-build --sanitize thread --scratch-path .build/tsan --filter $$suite || exit 1; \
	done

torture:
	swift build -c release --product simulate
	$(SIMULATIONS)
	$(SIMULATE) power 20000
	$(SIMULATE) seeds 1000000 1000001

# Not part of `make test`: half a gigabyte of Spark.
test-spark:
	.ci/setup mlflow3 spark
	command -v java >/dev/null || { apt-get update -qq && apt-get install -y -qq --no-install-recommends openjdk-17-jre-headless; }
	$(RELEASE)
	BIN="$(BIN)" $(PYTHON) Tests/Support/python/azureml_spark_test.py

# Ends with Ctrl-C; what is in it is kept.
emulators:
	.ci/setup mlflow3
	mkdir -p .demo/azureml
	$(PYTHON) Tests/Support/python/azureml_emulator.py --directory .demo/azureml --explain

MINUTES ?= 60
soak:
	.ci/setup mlflow3
	$(RELEASE)
	BIN="$(BIN)" $(PYTHON) Tests/Soak/soak.py --minutes $(MINUTES)

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
