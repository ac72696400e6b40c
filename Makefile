# What a developer runs. `make demo` works on a fresh Debian machine with a Swift toolchain.

PREFIX ?= /usr/local
RELEASE = swift build -c release --product mlmirror
# What is handed out needs no Swift on the machine where it runs.
STATIC = swift build -c release --static-swift-stdlib --scratch-path .build/static -Xlinker -z -Xlinker now --product mlmirror
BIN ?= $(shell $(RELEASE) --show-bin-path)/mlmirror
SIMULATE = .build/release/simulate
PYTHON = .venv/mlflow3/bin/python

.PHONY: help setup build release test simulate tsan torture soak emulators test-spark test-systemd lint demo demo-cloud bench install deb clean
.NOTPARALLEL:

help:
	@echo 'make demo      two real MLflow servers, a believable workload, mirrored live, verified, and left up to look at'
	@echo 'make test      set up, build and run all tests'
	@echo 'make simulate  random schedules of the daemon in a simulated world (SEEDS=20000 FIRST=1)'
	@echo 'make torture   what takes hours: a million schedules, losses of power, kills'
	@echo 'make soak      the daemon between two real servers, with writers, restarts and outages (MINUTES=60)'
	@echo 'make demo-cloud a workspace of Databricks mirrored to one of Azure ML, both emulated'
	@echo 'make emulators a Databricks and an Azure ML workspace on this machine, to try mlmirror and the official clients with'
	@echo 'make test-spark what people do with a model in Azure ML: serve it, score batches in a local Spark'
	@echo 'make tsan      the tests under ThreadSanitizer'
	@echo 'make lint      formatting and import direction'
	@echo 'make bench     measure against the alternatives (about an hour; ROUNDS=1 for a look)'
	@echo 'make test-systemd the package on a booted Debian with a real systemd (part of make test where a machine can be booted)'
	@echo 'make install   build for release and install program, units and catalog under $(PREFIX), a configuration in /etc/mlmirror (PROGRAM=FILE: of what is built)'
	@echo 'make deb       build the Debian package, .build/deb/mlmirror_VERSION_ARCH.deb'
	@echo 'make build, make setup, make clean'

setup:
	.ci/setup mlflow3 mlflow2 azureml2 azureml3 databricks systemd promtool

build:
	swift build

release:
	$(RELEASE)

SEEDS ?= 20000
FIRST ?= 1
SIMULATIONS = $(SIMULATE) bugs && $(SIMULATE) grid && $(SIMULATE) seeds $(SEEDS) $(FIRST) && $(SIMULATE) power 500 && $(SIMULATE) lying-disk 300

# Suites that start an emulator.
AZURE = (AzureML(Conformance|Fault)?|Databricks(Store)?)Tests

# One suite after the other: time-outs are tested too, and want the machine for themselves. The simulations take what the real servers' tests
# leave of it, most of which is waiting.
test: setup
	swift build --build-tests
	swift build -c release --product simulate
	$(STATIC)
	swift test --skip-build --filter CurlTests
	swift test --skip-build --filter SimulationTests
	swift test --skip-build --filter ReplicationTests
	swift test --skip-build --filter PlatformsTests --skip '$(AZURE)'
	swift test --skip-build --filter '$(AZURE)'
	nice -n 19 $(SHELL) -c '$(SIMULATIONS)' > .build/simulations.log 2>&1 & simulations=$$!; \
		trap "pkill -P $$simulations; kill $$simulations" EXIT; \
		swift test --skip-build --filter mlmirrorTests --skip '$(AZURE)' || exit 1; \
		$(PYTHON) Tests/Support/python/judge_selftest.py || exit 1; \
		$(PYTHON) Tests/Support/python/azureml_selftest.py > .build/azureml_selftest.log 2>&1 & judged=$$!; \
		$(PYTHON) Tests/Support/python/databricks_selftest.py || exit 1; \
		wait $$judged || { cat .build/azureml_selftest.log; exit 1; }; \
		$(MAKE) test-systemd || exit 1; \
		wait $$simulations; failed=$$?; trap - EXIT; cat .build/simulations.log; exit $$failed

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
	mkdir -p .demo/azureml .demo/databricks
	$(PYTHON) Tests/Support/python/databricks_emulator.py --directory .demo/databricks --explain & \
		$(PYTHON) Tests/Support/python/azureml_emulator.py --directory .demo/azureml --explain; wait

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

# The same between the two emulators, so without an account.
demo-cloud:
	.ci/setup mlflow3 azureml2
	$(RELEASE)
	BIN="$(BIN)" $(PYTHON) Tests/Demo/demo_cloud.py

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
	BIN="$(BIN)" $(PYTHON) Benchmarks/scale_bench.py

static:
	$(STATIC)

# What is installed; one that is named on the command line is not built.
PROGRAM = .build/static/release/mlmirror
SYSTEMD = $(DESTDIR)$(PREFIX)/lib/systemd

# Units name /usr/bin/mlmirror; here they are made to name what is installed. They want the folder of credentials, and a configuration that is
# there already stays.
install: $(if $(filter command,$(origin PROGRAM)),,static)
	install -D -m 0755 "$(PROGRAM)" "$(DESTDIR)$(PREFIX)/bin/mlmirror"
	install -d "$(SYSTEMD)/system"
	for unit in systemd/*.service systemd/*.timer; do \
		target="$(SYSTEMD)/system/$$(basename "$$unit")" && \
		sed 's|/usr/bin/mlmirror|$(PREFIX)/bin/mlmirror|' "$$unit" > "$$target" && chmod 0644 "$$target" || exit 1; \
	done
	install -D -m 0644 systemd/mlmirror.sysusers "$(DESTDIR)$(PREFIX)/lib/sysusers.d/mlmirror.conf"
	install -D -m 0644 systemd/mlmirror.catalog "$(SYSTEMD)/catalog/mlmirror.catalog"
	for example in systemd/examples/* config/mlmirror.yaml config/mlmirror.rules.yaml config/mlmirror.grafana.json; do \
		install -D -m 0644 "$$example" "$(DESTDIR)$(PREFIX)/share/doc/mlmirror/examples/$$(basename "$$example")" || exit 1; \
	done
	install -d -m 0700 "$(DESTDIR)/etc/mlmirror/credentials"
	[ -e "$(DESTDIR)/etc/mlmirror/mlmirror.yaml" ] || install -m 0644 config/mlmirror.yaml "$(DESTDIR)/etc/mlmirror/mlmirror.yaml"

deb: static
	systemd/deb/build .build/static/release/mlmirror .build/deb

# Where no machine can be booted it says so, and is no failure.
test-systemd: deb
	if command -v lintian >/dev/null; then lintian --fail-on error,warning .build/deb/mlmirror_*.deb; else echo 'SKIPPED: lintian is missing' >&2; fi
	$(PYTHON) Tests/Systemd/service_test.py .build/deb/mlmirror_*.deb || [ $$? -eq 77 ]

clean:
	rm -rf .build .demo
