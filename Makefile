# `make run` and `make test` are complete on a fresh Debian or Ubuntu machine with Python 3.11.
SHELL := /bin/bash
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
CORES ?= $(shell nproc)
READY := $(VENV)/.ready
BENCH ?=

.PHONY: run test check lint bench lock picture clean help

help:
	@echo "make run    environment, then the demonstration report (CORES=$(CORES))"
	@echo "make test   environment and browser, then the whole test suite"
	@echo "make bench  environment, then the engine beside scanpy: half an hour alone on the machine, 25 GB"
	@echo "make check  verify configuration and local atlases without running"
	@echo "make lock   pin the newest allowed packages in requirements.lock"

run: $(READY)
	$(BIN)/snakemake --cores $(CORES)
	@echo "open results/report/multiple_myeloma_demo.html"

check: $(READY)
	$(BIN)/targetscore check

# After the crash of a process pytest-xdist 3.8 waits for ever unless restarts are off.
test: $(READY)
	workflow/install_chromium.sh
	$(BIN)/pytest -n $(CORES) --dist loadgroup --max-worker-restart=0

lint: $(READY)
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/snakefmt --check Snakefile workflow

# dask takes part in the benchmark only: it is kept out of the environment.
bench: $(READY) $(VENV)/dask
	$(BIN)/python tests/benchmarks/engine.py --dask $(VENV)/dask $(BENCH)

$(VENV)/dask: tests/benchmarks/dask.lock | $(READY)
	rm -rf $@ && $(BIN)/pip install --quiet --require-hashes --no-deps --target $@ -r $<

$(READY): requirements.lock pyproject.toml workflow/create_environment.sh
	PYTHON=$(PYTHON) workflow/create_environment.sh $(VENV)
	touch $@

picture: run
	$(BIN)/python docs/picture.py

lock:
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile --quiet --upgrade pyproject.toml --extra census --extra test --extra build --universal \
	  --python-version 3.11.4 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate \
	  -o requirements.lock

clean:
	rm -rf $(VENV) results logs benchmarks .snakemake
