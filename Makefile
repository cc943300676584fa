# Set-up and checks. `make demo` and `make test` need Python 3.11+, git and make on the machine, nothing else.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(VENV)/tool/bin/uv
SIZE ?= 10k
RUNS ?= 10000
# Nothing that this project starts reports to anyone.
export PREFECT_SERVER_ANALYTICS_ENABLED := false
export DO_NOT_TRACK := 1
# Every command and worker is a Python process of its own: without bytecode each compiles thousands of modules.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo serve test check lint types imports pytest system chaos bench calibrate lock clean

help:  ## List the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

$(UV):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Alongside needs Python 3.11 or newer; found $$($(PYTHON) --version). Set PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -m venv $(VENV)/tool
	@$(VENV)/tool/bin/pip --quiet --disable-pip-version-check install 'uv>=0.9' 2>&1 | grep -v '^WARNING: Location' || true

$(BIN)/.ready: requirements.lock pyproject.toml | $(UV)
	@echo "Setting up .venv from requirements.lock ..."
	@test -x $(BIN)/python || $(UV) --quiet venv --allow-existing --python $(PYTHON) $(VENV)
	@$(UV) --quiet pip sync --python $(BIN)/python --require-hashes requirements.lock
	@$(UV) --quiet pip install --python $(BIN)/python --no-deps --editable .
	@touch $@

# Otherwise each process of the tests would compile the same tests and libraries at its start.
$(BIN)/.compiled: $(BIN)/.ready
	@$(BIN)/pytest --collect-only -q >/dev/null || true  # what is wrong, the tests themselves say
	@touch $@

setup: $(BIN)/.ready  ## Install everything into .venv

demo: setup  ## Set up, build the demo hospital, run the whole pipeline, write the report
	@$(BIN)/alongside demo

serve: setup  ## Prefect server with its UI, a worker, the stand-in and the web application, until Ctrl-C
	@$(BIN)/python -m tools.serve

test: setup  ## Set up and run every check
	@$(MAKE) --no-print-directory -j4 system lint types imports $(BIN)/.compiled
	@$(MAKE) --no-print-directory pytest

check: lint types imports  ## The checks without tests

lint: setup  ## Style: ruff and ruff format
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: setup  ## mypy --strict on the engine
	@$(BIN)/mypy

imports: setup  ## The floors of the house
	@$(BIN)/lint-imports --no-logo 2>/dev/null || $(BIN)/lint-imports

system: setup  ## PostgreSQL, Chromium, Pango and Prism for the tests, installed when missing (root on Debian)
	@bash tools/system.sh

pytest: setup  ## Every test
	@source tools/postgres.env 2>/dev/null || true; $(BIN)/pytest -n 3 --dist loadfile

chaos: setup system  ## The daily run in bad weather: kills, power cuts, misbehaving providers; was each message sent once?
	@$(BIN)/python -m tools.chaos

calibrate: setup  ## Thousands of simulated experiments against the engine's promises; writes docs/calibration.md
	@$(BIN)/python -m benchmarks.calibration --runs $(RUNS)

bench: setup  ## Benchmarks against their baselines; SIZE=10k, 100k or 1m
	@$(UV) --quiet pip install --python $(BIN)/python --group peers
	@$(BIN)/python -m benchmarks --size $(SIZE)

lock: $(UV)  ## Refresh requirements.lock
	@$(UV) pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-annotate --no-header --upgrade --quiet -o requirements.lock

clean:  ## Remove the environment and everything that runs have written
	rm -rf $(VENV) var
