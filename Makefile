# The developer's commands. `make` alone lists them.
PYTHON ?= python3
BIN := .venv/bin

help:  ## list the targets
	@grep -E '^[a-z]+:.*##' Makefile | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 12

setup:  ## create .venv and install everything that the other targets need
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q -e '.[test]'

lint:  ## check style and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types:  ## check types
	$(BIN)/mypy

layers:  ## check which module imports which
	$(BIN)/lint-imports --no-cache --no-logo

test:  ## run the tests, one process per core
	$(BIN)/pytest

nightly:  ## try tens of thousands of cases of arbitrary input; takes hours
	HYPOTHESIS_PROFILE=nightly $(BIN)/pytest -m fuzz

coverage:  ## run the tests and list lines and branches that none of them reaches
	$(BIN)/pytest --cov --cov-report=term-missing:skip-covered

fix:  ## repair style and format as far as ruff can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

ci:  ## everything that CI does, on this machine; installs system packages
	.ci/run

.PHONY: help setup lint types layers test nightly coverage fix ci
