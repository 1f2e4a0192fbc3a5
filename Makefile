# Each target works on a fresh clone and creates `.venv` first. Requires Python 3.11 or newer.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

PYTHON ?= python3
BIN := .venv/bin
# Many tests wait for a process or a clock: two workers per core keep it busy.
WORKERS := $(shell expr 2 \* $$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1))
ASK := $(BIN)/tunedmodels -C manifests

.PHONY: help demo test coverage fix lock bench clean

help: ## List the targets
	@sed -n 's/^\([a-z]*\):.*## /make \1	/p' Makefile

demo: .venv/ready ## Train the models of manifests/, evaluate one, and ask each one a question
	@run() { printf '\n$$ tunedmodels -C manifests'; printf ' %q' "$$@"; printf '\n'; $(ASK) "$$@"; }; \
	  run apply --yes; run status; run show support-triage; run evaluate invoice-dates; \
	  ask() { printf '\n$$ tunedmodels -C manifests generate %s "%s"\n' "$$1" "$$2"; $(ASK) generate "$$1" "$$2"; }; \
	  ask next-number 'seven'; ask invoice-dates 'Please pay by August 7, 2023'; \
	  ask support-triage 'I was charged twice for my order, please give me the money back'; \
	  ask review-sentiment 'Not bad at all, I would buy it again'

test: .venv/ready ## Lint, check types and layers, run every test
	@$(BIN)/prek run --all-files --quiet || { $(BIN)/prek run --all-files; exit 1; }
	@$(BIN)/pytest -n $(WORKERS)

coverage: .venv/ready ## Run every test and list the lines that no test reached
	@$(BIN)/pytest -n $(WORKERS) --cov --cov-report=term:skip-covered

fix: .venv/ready ## Apply the fixes of ruff
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

lock: ## Resolve requirements.lock again (requires uv)
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header \
	  --all-extras --group dev --exclude-newer "$$(date -u -d '7 days ago' +%F)" \
	  pyproject.toml -o requirements.lock

bench: .venv/ready ## Print one table: ours, yardstick, ratio, goal; BENCH=--short takes a minute
	@$(BIN)/python -m benchmarks.summary $(BENCH)

clean: ## Delete the models of the demo and all build results
	rm -rf .venv manifests/.tunedmodels dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis

# Uses uv if it is installed, else venv and pip; both install the same locked packages.
.venv/ready: requirements.lock pyproject.toml
	@if command -v uv >/dev/null 2>&1; then \
	  uv venv --quiet --allow-existing --python '>=3.11' .venv && \
	  uv pip sync --quiet --python .venv --require-hashes requirements.lock && \
	  uv pip install --quiet --python .venv --no-deps --no-build-isolation --editable .; \
	else \
	  $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo 'tunedmodels requires Python 3.11 or newer. To select one: make PYTHON=python3.13 $(MAKECMDGOALS)'; exit 1; }; \
	  $(PYTHON) -m venv .venv && \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock && \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .; \
	fi
	@touch .venv/ready
