# `make run` serves the demo arena, `make test` passes the tests; both set up what they need, once.
# make help lists the rest.

PYTHON ?= python3
HOST ?= 127.0.0.1
PORT ?= 8000
# Test processes at a time: one more than the cores of a small machine, since some tests mostly wait.
JOBS ?= 3
BENCH ?= ranking matchmaking training loop loop_comparisons generation voting_page campaign_queue

BIN := .venv/bin
RUN_STAMP := .venv/.installed-run
DEV_STAMP := .venv/.installed-dev
PINS := pyproject.toml constraints.txt
LINTED := arena annotation ranking gpu_workers tests benchmarks docs conftest.py manage.py

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run test test-plain test-services lint format bench bench-tables clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

run: $(RUN_STAMP) ## set up, then serve the demo arena at http://127.0.0.1:8000 (PORT=8001, HOST=0.0.0.0)
	@$(BIN)/python manage.py serve --host $(HOST) --port $(PORT)

test: test-plain test-services ## set up, then run all tests; also on PostgreSQL and Redis where they answer

test-plain: $(DEV_STAMP) ## the tests on SQLite and the folder queue, with no service to start
	@env -u DATABASE_URL -u REDIS_URL $(BIN)/pytest -q -n $(JOBS) --dist worksteal

test-services: $(DEV_STAMP) ## the tests marked `services`, on PostgreSQL and Redis
	@$(BIN)/python -m tests.services

lint: $(DEV_STAMP) ## ruff, mypy, and whether a migration is missing
	@$(BIN)/ruff check $(LINTED)
	@$(BIN)/ruff format --check $(LINTED)
	@$(BIN)/mypy
	@dir=$$(mktemp -d) && ARENA_DATA_DIR=$$dir $(BIN)/python manage.py makemigrations --check --dry-run; \
		status=$$?; rm -rf "$$dir"; exit $$status

format: $(DEV_STAMP) ## put the code into the house's format
	@$(BIN)/ruff check --fix $(LINTED)
	@$(BIN)/ruff format $(LINTED)

bench: .venv/.installed-bench ## the benchmarks, or some: make bench BENCH="ranking loop" OPTIONS=--quick
	@set -e; mkdir -p var/benchmarks; for name in $(BENCH); do echo "== $$name"; \
		$(BIN)/python -m benchmarks.$$name --json var/benchmarks/$$name.json $(OPTIONS); done

bench-tables: $(DEV_STAMP) ## put what the benchmarks found into the tables of docs/benchmarks.md
	@$(BIN)/python -m benchmarks.tables var/benchmarks/*.json --write docs/benchmarks.md

clean: ## remove the environment and caches; your data in var/ stays
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis build *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The environment. Plain pip and the exact versions of constraints.txt; again only when these change.

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "Python 3.11 or newer is needed, and $(PYTHON) is not. Name one: make PYTHON=python3.12 run" >&2; exit 1; }
	@$(PYTHON) -m venv .venv || { \
		echo "The environment could not be made. On Debian and Ubuntu: apt-get install python3-venv" >&2; \
		rm -rf .venv; exit 1; }

$(RUN_STAMP): .venv/bin/python $(PINS)
	@echo "Installing into .venv (once; with PyTorch this takes some minutes) …"
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[gpu]'
	@touch $@

$(DEV_STAMP): .venv/bin/python $(PINS)
	@echo "Installing into .venv, with what the tests need (once; this takes some minutes) …"
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[gpu,dev]'
	@touch $(RUN_STAMP) $@

.venv/.installed-bench: $(DEV_STAMP)
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[gpu,dev,bench]'
	@touch $@
