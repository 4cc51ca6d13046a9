# What people type; the work is elsewhere.

LOG ?= postgres
ARGS ?=

.PHONY: run test sim check deny bench setup schemas

run: setup ## start a whole Daybook with a demo catalogue; LOG=kafka starts a local Kafka first
	cargo xtask run --log $(LOG) -- $(ARGS)

test: setup ## all tests, on a real Kafka and a real PostgreSQL
	cargo build --quiet --bin daybook
	cargo test --workspace

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

schemas: ## rewrite the committed schemas from the code
	UPDATE_SCHEMAS=1 cargo test --quiet --package domain --package commands --package queries

setup:
	@sh deploy/setup.sh
