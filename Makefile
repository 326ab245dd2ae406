# Everything runs in .venv, made on first use; nothing is installed by hand.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEMO := demo-output
# pytest-xdist: one worker a core
TESTS ?= tests
WORKERS ?= 2

.PHONY: help demo test lint fmt bench truth verify-kernel clean

help:
	@echo "make demo    a synthetic cluster's flow logs, routed and explained ($(DEMO)/)"
	@echo "make test    linters, types, import walls and the tests"
	@echo "make bench   pytest-benchmark: look-ups, paths, Parquet"
	@echo "make truth   every decidable record of a 300-node account against its truth (minutes)"
	@echo "make verify-kernel   a million look-ups on 2,000 random nodes against this machine's kernel (needs root)"
	@echo "make fmt     format the code"
	@echo "make clean   remove what the targets made"

$(STAMP): pyproject.toml
	@test -d $(VENV) || { echo "making $(VENV) ..."; $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "fastroute needs Python 3.11 or newer: make PYTHON=python3.12 ..."; exit 1; }; $(PYTHON) -m venv $(VENV); }
	@echo "installing fastroute and what its tests need into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@

demo: $(STAMP)
	@$(BIN)/fastroute demo --out $(DEMO) --overwrite

lint: $(STAMP)
	@$(BIN)/ruff format --check --quiet . && echo "ruff format: clean"
	@$(BIN)/ruff check --quiet . && echo "ruff check: clean"
	@$(BIN)/mypy

test: lint
	@$(BIN)/python -m pytest -n $(WORKERS) -m "not slow" $(TESTS)

bench: $(STAMP)
	@$(BIN)/python -m pytest benchmarks -o python_files='bench_*.py' --benchmark-only --benchmark-group-by=group

truth: $(STAMP)
	@$(BIN)/python -m pytest -m slow -s tests/truth

verify-kernel: $(STAMP)
	@$(BIN)/fastroute verify --nodes 2000 --questions 250

fmt: $(STAMP)
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format .

clean:
	rm -rf $(VENV) $(DEMO) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .benchmarks *.egg-info
