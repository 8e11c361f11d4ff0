# The developer's commands. `make` alone lists them.
PYTHON ?= python3
BIN := .venv/bin

help:  ## list the targets
	@grep -E '^[a-z]+:.*##' Makefile | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 12

setup:  ## create .venv and install everything that the other targets need
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q --no-compile -e '.[test]'

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

oldest:  ## run the tests with the oldest allowed versions (constraints/oldest.txt), in .venv-oldest
	$(PYTHON) -m venv .venv-oldest
	.venv-oldest/bin/pip install -q -c constraints/oldest.txt -e '.[test]'
	.venv-oldest/bin/pytest

newest:  ## upgrade .venv to the newest allowed versions, run the tests, and write constraints/newest.txt
	$(BIN)/pip install -q --upgrade --upgrade-strategy eager -e '.[test]'
	$(BIN)/pytest
	echo '# The newest versions that the tests have passed with, without what torch pins. Written by: make newest' \
		> constraints/newest.txt
	$(BIN)/pip freeze --exclude-editable | grep -viE '^(nvidia|cuda|triton|setuptools)' >> constraints/newest.txt

audit:  ## look for known vulnerabilities in constraints/newest.txt; needs the network
	$(PYTHON) -m venv .venv-audit
	.venv-audit/bin/pip install -q pip-audit
	.venv-audit/bin/pip-audit --requirement constraints/newest.txt --no-deps --disable-pip

coverage:  ## run the tests and list lines and branches that none of them reaches
	$(BIN)/pytest --cov --cov-report=term-missing:skip-covered

fix:  ## repair style and format as far as ruff can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

ci:  ## everything that CI does, on this machine; installs system packages
	.ci/run

.PHONY: help setup lint types layers test nightly oldest newest audit coverage fix ci
