# Two commands matter: `make demo` and `make test`. `make help` lists the rest.

CARGO ?= cargo
# How often the long kill run kills the server.
KILLS ?= 60

.PHONY: help demo test check kill setup

help:
	@echo 'make demo    build, start a forge, let two agents do the main job on it, keep serving (DEMO_EXIT=1 ends after it)'
	@echo 'make test    everything CI runs: formatting, lints, documents, all tests'
	@echo 'make check   formatting, lints and documents alone'
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
