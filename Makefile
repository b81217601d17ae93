# Two commands matter: `make demo` and `make test`. `make help` lists the rest.

CARGO ?= cargo
# How often the long kill run ends the server.
KILLS ?= 60
# Flags of the measurement.
BENCH ?=
# Flags of the swarm.
SWARM ?=

# Flags of the contests.
CONTESTS ?=

# What a start finds.
EVENTS ?= 1000000
REPOSITORIES ?= 0

# Where the pictures of the pages go.
PICTURES ?= docs/pages

# How long each parser is fuzzed.
FUZZ_SECONDS ?= 60

# Where generated cases begin: the same in each run of `make test`, so that it fails for what was changed; `make cases`
# draws others.
export PROPTEST_RNG_SEED ?= 20261129
# How many sets of others.
SETS ?= 10

.PHONY: help demo test check cases starter pictures kill bench bench-gate bench-pages bench-start swarm contests large fuzz setup

help:
	@echo 'make demo    build, start a forge, let two agents do the main job on it, keep serving (DEMO_EXIT=1 ends after it)'
	@echo 'make test    everything CI runs: formatting, lints, documents, all tests'
	@echo 'make check   formatting, lints and documents alone'
	@echo 'make cases   $(SETS) other sets of generated cases for each test that has them (SETS=n; a failure prints its seed)'
	@echo 'make starter each issue of the starter pack: its sealed tests fail until its golden patch is in (docs/starter.md)'
	@echo 'make pictures  fills a forge with a month of work and takes the pictures of its pages again (PICTURES=directory)'
	@echo 'make bench   measure the release build against stock git and print the rows (BENCH="--json" and other flags)'
	@echo 'make bench-gate  what the rules add to a push, with a full record and with none (the same flags)'
	@echo 'make bench-pages  requests, bytes and time of each page, code pages beside plain git, on 50,000 files (the same flags)'
	@echo 'make bench-start  time from a start to the first feed, with caches and without (EVENTS=n, REPOSITORIES=n, the same flags)'
	@echo 'make swarm   1,000 agents walk the whole loop on one release build; nothing may fail or be lost (SWARM="--agents 100")'
	@echo 'make contests  200 agents of known skill hold 1,000 contests beside farms; ratings find skill, farms gain nothing (CONTESTS="--agents 40")'
	@echo 'make large   clone, fetch and push of a large repository, with the memory that the server takes'
	@echo 'make fuzz    $(FUZZ_SECONDS) s of foreign bytes for each parser that meets them (FUZZ_SECONDS=n; see fuzz/README.md)'
	@echo 'make kill    $(KILLS) kills, power cuts and disk errors under load, nothing acknowledged lost (KILLS=n)'

setup:
	@sh tests/setup.sh

demo: setup
	@sh tests/demo/demo.sh

check: setup
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	$(CARGO) test --locked -p tests documents::

test: setup
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	sh tests/starter/check.sh
	$(CARGO) build --locked -p forge
	$(CARGO) test --locked --workspace

# The tests that take generated cases.
cases: setup
	$(CARGO) test --locked --workspace --exclude tests --no-run
	@set -e; for set in $$(seq $(SETS)); do \
	  seed=$$(od -An -N4 -tu4 /dev/urandom | tr -d ' '); echo "PROPTEST_RNG_SEED=$$seed"; \
	  for of in "notes-schema" "hooks" "search" "git log:: graph:: history:: apply:: diff:: alike:: pack:: wire::ls_refs zlib::" \
	    "forge web::markdown ledger:: recorder::capture state::elo state::played"; do \
	    set -- $$of; crate=$$1; shift; PROPTEST_RNG_SEED=$$seed $(CARGO) test --locked -q -p $$crate -- "$$@"; \
	  done; \
	done

starter:
	@sh tests/starter/check.sh

# Beside what tests need: python3 with pytest, go, and pngquant.
pictures: setup
	@for program in pngquant go pytest; do command -v $$program >/dev/null || \
	  { echo "$$program is not installed; next: apt-get install pngquant golang-go python3-pytest" >&2; exit 1; }; done
	rm -rf target/pictures
	FORGE_SHOTS=$(CURDIR)/target/pictures $(CARGO) test --locked -p tests pictures:: -- --nocapture
	mkdir -p $(PICTURES)
	for picture in target/pictures/*.png; do \
	  pngquant --force --strip --speed 1 --output $(PICTURES)/$${picture##*/} $$(case $$picture in *-light.png) echo 32 ;; *) echo 16 ;; esac) -- $$picture || exit 1; \
	done
	du -ch $(PICTURES)/*.png | tail -n 1

kill: setup
	$(CARGO) build --locked -p forge
	FORGE_KILLS=$(KILLS) $(CARGO) test --locked -p tests faults:: -- --nocapture --test-threads=1

bench: setup
	$(CARGO) build --locked --release -p forge
	target/release/forge bench wire $(BENCH)

bench-gate: setup
	$(CARGO) build --locked --release -p forge
	target/release/forge bench gate $(BENCH)

bench-pages: setup
	$(CARGO) build --locked --release -p forge
	target/release/forge bench pages $(BENCH)

bench-start: setup
	$(CARGO) build --locked --release -p forge
	target/release/forge bench start --events $(EVENTS) --repositories $(REPOSITORIES) $(BENCH)

swarm: setup
	$(CARGO) build --locked --release -p forge
	target/release/forge bench swarm $(SWARM)

contests: setup
	$(CARGO) build --locked --release -p forge
	target/release/forge bench contests $(CONTESTS)

large: setup
	$(CARGO) build --locked --release -p forge
	FORGE_BIN=$(CURDIR)/target/release/forge FORGE_LARGE=1 FORGE_PATIENCE=3600 $(CARGO) test --locked -p tests large:: -- --nocapture --test-threads=1

fuzz:
	@command -v cargo-fuzz >/dev/null || { echo 'cargo-fuzz is not installed; next: cargo install cargo-fuzz' >&2; exit 1; }
	@rustup toolchain list | grep -q '^nightly' || \
	  { echo 'fuzzing takes a nightly compiler; next: rustup toolchain install nightly' >&2; exit 1; }
	@set -e; for target in $$(ls fuzz/seeds); do \
	  mkdir -p fuzz/corpus/$$target fuzz/artifacts/$$target; echo "fuzz: $$target"; \
	  FUZZ_TARGET=$$target $(CARGO) +nightly fuzz run parser fuzz/corpus/$$target fuzz/seeds/$$target -- \
	    -max_total_time=$(FUZZ_SECONDS) -artifact_prefix=fuzz/artifacts/$$target/ -print_final_stats=0; \
	done
