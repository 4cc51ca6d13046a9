# What people type; the work is elsewhere.

LOG ?= postgres
ARGS ?=
MINUTES ?= 5

# Programs and tests in one go: built apart, each would have dependencies of its own.
BUILD = cargo build --quiet --workspace --bins --tests

.PHONY: run test sim check deny bench chaos setup schemas

run: setup ## start a whole Daybook with a demo catalogue; LOG=kafka starts a local Kafka first
	cargo xtask run --log $(LOG) -- $(ARGS)

# One test at a time: each starts whole shops, some three nodes with a broker of their own, and two
# processors may be all there is. What waits in bounded time would measure the other tests.
test: setup ## all tests, on a real Kafka and a real PostgreSQL
	$(BUILD)
	RUST_TEST_THREADS=1 cargo test --workspace

sim: setup ## whole nodes on a log that misbehaves: SEEDS=2000 FROM=0 runs many, SEED=7 shows one, ARGS=--bugs finds each seeded bug
	cargo run --quiet --release --package simulation -- $(if $(SEED),--seed $(SEED)) $(if $(SEEDS),--seeds $(SEEDS)) $(if $(FROM),--from $(FROM)) $(ARGS)

check: setup ## formatting and lints
	cargo fmt --all -- --check
	cargo clippy --workspace --all-targets --quiet -- -D warnings

deny: ## licences, bans and sources of all dependencies; needs cargo-deny
	cargo deny check bans licenses sources

bench: setup ## ratios against limits; see docs/performance.md
	cargo build --release --bin daybook
	cargo run --release --package bench -- all $(ARGS)

# The debug build that `make test` has made already: what is proved is the protocol, not the speed, and the
# checks of arithmetic are on.
chaos: setup ## three real nodes under kills, freezes and cuts; MINUTES=60 for a long run
	$(BUILD)
	$(or $(CARGO_TARGET_DIR),target)/debug/chaos all --minutes $(MINUTES) --lies $(ARGS)

schemas: ## rewrite the committed schemas from the code
	UPDATE_SCHEMAS=1 cargo test --quiet --package domain --package commands --package queries --package daybook

setup:
	@sh deploy/setup.sh
