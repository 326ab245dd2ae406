# Everything runs in .venv, made on first use; nothing is installed by hand.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TEST_STAMP := $(VENV)/.installed-test
SPARK_STAMP := $(VENV)/.installed-spark
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable
DEMO := demo-output
# pytest-xdist: one worker a core
TESTS ?= tests
WORKERS ?= 2

.PHONY: help demo test test-spark test-slow lint fmt bench bench-peers bench-logs truth verify-kernel clean

help:
	@echo "make demo    a synthetic cluster's flow logs, routed and explained ($(DEMO)/)"
	@echo "make test    linters, types, import walls and the tests"
	@echo "make test-spark    the tests that need Spark (installs pyspark, 0.4 GB, and Java where it may)"
	@echo "make test-slow     runs killed 50 times, and other campaigns (minutes)"
	@echo "make bench   pytest-benchmark: look-ups, paths, Parquet"
	@echo "make bench-peers   the same look-ups beside DPDK's and others', into README's table (installs libdpdk-dev where it may)"
	@echo "make bench-logs    Parquet to Parquet and sums, beside pyarrow, Polars, pandas and DuckDB (20 M records; many minutes)"
	@echo "make truth   every decidable record of a 300-node account against its truth (minutes)"
	@echo "make verify-kernel   a million look-ups on 2,000 random nodes against this machine's kernel (needs root)"
	@echo "make fmt     format the code"
	@echo "make clean   remove what the targets made"

$(STAMP): pyproject.toml
	@test -d $(VENV) || { echo "making $(VENV) ..."; $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "fastroute needs Python 3.11 or newer: make PYTHON=python3.12 ..."; exit 1; }; $(PYTHON) -m venv $(VENV); }
	@echo "installing fastroute into $(VENV) ..."
	@$(INSTALL) .
	@touch $@

$(TEST_STAMP): $(STAMP)
	@echo "installing what the tests need into $(VENV) ..."
	@$(INSTALL) '.[test]'
	@$(INSTALL) '.[peers]' > /dev/null 2>&1 || echo "pytricia cannot be built here (it needs a C compiler): what compares with it skips"
	@touch $@

$(SPARK_STAMP): $(TEST_STAMP)
	@command -v java > /dev/null || { echo "installing Java ..."; apt-get update -qq && apt-get install -y -qq default-jre-headless; } > /dev/null 2>&1 \
		|| echo "Java can be neither found nor installed here: the tests that need Spark will say so and skip"
	@echo "installing pyspark into $(VENV) ..."
	@$(INSTALL) '.[test,spark]'
	@touch $@

demo: $(STAMP)
	@$(BIN)/fastroute demo --out $(DEMO) --overwrite

lint: $(TEST_STAMP)
	@$(BIN)/ruff format --check --quiet . && echo "ruff format: clean"
	@$(BIN)/ruff check --quiet . && echo "ruff check: clean"
	@$(BIN)/mypy

test: lint
	@$(BIN)/python -m pytest -n $(WORKERS) -m "not slow" $(TESTS)

test-slow: $(TEST_STAMP)
	@$(BIN)/python -m pytest -m slow tests/unit

test-spark: $(SPARK_STAMP)
	@$(BIN)/python -m pytest tests/ecosystem/test_spark.py

bench: $(TEST_STAMP)
	@$(BIN)/python -m pytest benchmarks -o python_files='bench_*.py' --benchmark-only --benchmark-group-by=group

# DPDK's lookups are C libraries of the system: installed where this user may, else the table says that they are missing
PEERS := benchmarks/peers/build/libpeers.so
DPDK_CFLAGS = $(filter-out -march=%,$(shell pkg-config --cflags libdpdk))

bench-peers: $(TEST_STAMP)
	@pkg-config --exists libdpdk || { echo "installing libdpdk-dev ..."; apt-get install -y -qq libdpdk-dev > /dev/null 2>&1; } \
		|| sudo -n apt-get install -y -qq libdpdk-dev > /dev/null 2>&1 || echo "libdpdk-dev cannot be installed here: no DPDK in the table"
	@if pkg-config --exists libdpdk; then $(MAKE) --no-print-directory $(PEERS); fi
	@$(BIN)/python -m benchmarks.run --readme --json $(dir $(PEERS))results.json

bench-logs: $(TEST_STAMP)
	@$(BIN)/python -m benchmarks.bench_logs
	@$(BIN)/python -m benchmarks.bench_aggregate

$(PEERS): benchmarks/peers/peers.c
	@mkdir -p $(@D)
	@$(CC) -O3 -march=native -fPIC -shared -o $@ $< $(DPDK_CFLAGS) -lrte_eal -lrte_lpm -lrte_fib -lrte_rib

truth: $(TEST_STAMP)
	@$(BIN)/python -m pytest -m slow -s tests/truth

verify-kernel: $(STAMP)
	@$(BIN)/fastroute verify --nodes 2000 --questions 250

fmt: $(TEST_STAMP)
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format .

clean:
	rm -rf $(VENV) $(DEMO) benchmarks/peers/build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .benchmarks *.egg-info
