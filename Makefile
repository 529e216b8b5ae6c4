# Every verb of this checkout. `make` alone checks the code; `make help` lists the verbs.
.DEFAULT_GOAL := check
SHELL := /bin/sh
BIN := .venv/bin
ARGS ?=
SEED ?= 1

.PHONY: help setup setup-tests check fmt lint type imports unit test demo compiled simulate nightly golden bench changelog clean

help: ## this list
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:[^#]*## /\t/' | expand -t 16

setup: ## build .venv with everything (does nothing when nothing changed)
	@installer/setup.sh

setup-tests:
	@installer/setup.sh --tests

demo: setup ## the main job on real receipts, then the web UI until Ctrl-C (ARGS=--exit ends by itself)
	@exec $(BIN)/kopilka-demo $(ARGS)

test: setup-tests ## every check and every test: unit, PostgreSQL, SQLite, processes, browser
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -n 4 --dist worksteal $(ARGS)

check: setup lint type imports unit ## quick: format, lint, types, imports, unit tests

fmt: ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint:
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

type:
	$(BIN)/mypy

imports:
	$(BIN)/lint-imports

unit:
	$(BIN)/pytest -q tests/unit tests/tidy

compiled: setup ## the engine in machine code: build/compiled, used by PYTHONPATH=build/compiled
	@$(BIN)/python -W ignore setup.py --quiet compiled

simulate: setup-tests ## one simulated town with all that befell it: SEED=17, ARGS=--shrink
	@$(BIN)/python -m tests.simulation --trace $(SEED) $(ARGS)

nightly: setup-tests ## laws, agreement and power cuts on many more examples, and ten thousand towns
	KOPILKA_EXAMPLES=20000 $(BIN)/pytest -n 2 tests/agreement tests/unit/shared/engine $(ARGS)
	KOPILKA_EXAMPLES=20000 $(BIN)/pytest -n 2 tests/power_loss tests/acceptance/test_disk_faults.py $(ARGS)
	KOPILKA_SEEDS=$${KOPILKA_SEEDS:-10000} $(BIN)/pytest -n 2 tests/simulation $(ARGS)

golden: setup ## rewrite golden bundles; review the diff
	$(BIN)/python tests/golden/generate.py

bench: compiled ## measure; tables on screen, JSON under build/bench/
	@for file in benchmarks/*.py; do $(BIN)/python $$file || exit 1; done

changelog: setup ## what the next release says of itself
	@$(BIN)/towncrier build --draft --version next

clean: ## remove what was built
	rm -rf .venv build *.egg-info
