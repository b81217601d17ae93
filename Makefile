# Two commands matter: `make demo` and `make test`. `make help` lists the rest.

CARGO ?= cargo
# How often the long kill run kills the server.
KILLS ?= 60
# Flags of the measurement.
BENCH ?=

.PHONY: help demo test check kill bench large setup

help:
	@echo 'make demo    build, start a forge, let two agents do the main job on it, keep serving (DEMO_EXIT=1 ends after it)'
	@echo 'make test    everything CI runs: formatting, lints, documents, all tests'
	@echo 'make check   formatting, lints and documents alone'
	@echo 'make bench   measure the release build against stock git and print the rows (BENCH="--json" and other flags)'
	@echo 'make large   clone, fetch and push of a large repository, with the memory that the server takes'
	@echo 'make kill    $(KILLS) kills of a loaded server, nothing acknowledged lost (KILLS=n)'

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
	$(CARGO) build --locked -p forge
	$(CARGO) test --locked --workspace

kill: setup
	$(CARGO) build --locked -p forge
	FORGE_KILLS=$(KILLS) $(CARGO) test --locked -p tests faults:: -- --nocapture --test-threads=1

bench: setup
	$(CARGO) build --locked --release -p forge
	target/release/forge bench wire $(BENCH)

large: setup
	$(CARGO) build --locked --release -p forge
	FORGE_BIN=$(CURDIR)/target/release/forge FORGE_LARGE=1 FORGE_PATIENCE=3600 $(CARGO) test --locked -p tests large:: -- --nocapture --test-threads=1
