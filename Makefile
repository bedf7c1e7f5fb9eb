# make demo    train the demonstration study and print its transfer table (some minutes, once)
# make test    the quick tests          make test-all  every test, with the packages that only some need
# make lint    style, types, layers of packages
# make docs    the documentation        make docs-check  it, in a browser    make bench  the benchmarks
# make paper   the pages of docs/papers, from their tables of runs (minutes)
# make dist    wheel and sdist, each tried in a bare environment (SMOKE_PYTHONS)
# make fuzz    wrong input at every door, FUZZ_SECONDS each (60)      make audit   pip-audit and bandit, for information
# The first call makes a virtual environment in .venv. pip's own configuration chooses the index and so the build of PyTorch.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
METADATA := pyproject.toml constraints.txt src/hptransfer/version.py

.DEFAULT_GOAL := help
.PHONY: help demo test test-all lint docs docs-check bench paper fuzz audit dist clean

help:
	@sed -n 's/^# //p' Makefile | head -9

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# One stamp file for each set of extras: it is installed again only when the metadata change.
$(VENV)/.demo: $(METADATA) | $(BIN)/python
	$(PIP_INSTALL) -e '.[lm]'
	@touch $@

$(VENV)/.dev: $(METADATA) | $(BIN)/python
	$(PIP_INSTALL) -e '.[lm,dev]'
	@touch $@ $(VENV)/.demo

$(VENV)/.integrations: $(VENV)/.dev
	$(PIP_INSTALL) -e '.[lm,dev,integrations]'
	$(PIP_INSTALL) --no-deps mup==1.0.0 # a test compares with it; --no-deps, since torchvision and seaborn are not needed
	@touch $@

$(VENV)/.docs: $(METADATA) | $(BIN)/python
	$(PIP_INSTALL) -e '.[lm,docs]'
	@touch $@

demo: $(VENV)/.demo
	$(BIN)/hptransfer demo

test: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m 'not slow' $(PYTEST_ARGS)

test-all: $(VENV)/.integrations
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 $(PYTEST_ARGS)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The date on pages is the last commit's, so that the same commit gives the same files.
docs: $(VENV)/.docs
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

docs-check: docs
	$(BIN)/python packaging/site/check.py site

bench: $(VENV)/.dev
	$(BIN)/python benchmarks/speed.py
	$(BIN)/python benchmarks/calibration.py
	$(BIN)/python benchmarks/real.py

# The published numbers that pages compare with are read from ../shared/data, where they are.
paper: $(VENV)/.dev
	OMP_NUM_THREADS=1 PYTHONPATH=benchmarks $(BIN)/python -m papers

FUZZ_SECONDS ?= 60
fuzz: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/fuzz --seconds $(FUZZ_SECONDS)

# Neither fails the target: what they find is to be read, not obeyed.
audit: $(VENV)/.dev
	-$(PIP_INSTALL) pip-audit bandit && $(BIN)/pip-audit --progress-spinner off --skip-editable
	-$(BIN)/bandit --quiet --recursive --severity-level medium src

SMOKE_PYTHONS ?= $(PYTHON)
dist: $(BIN)/python
	$(PIP_INSTALL) build
	$(BIN)/python packaging/smoke.py $(addprefix --python ,$(SMOKE_PYTHONS))

clean:
	rm -rf $(VENV) site build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
