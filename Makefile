# Every target works on a fresh clone with Python 3.11+ and make: the environment is a file target.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
REPORT ?= monthly
PERIOD ?=
SINCE ?=
RENDERER ?= auto
BIN := .venv/bin
# The tests run on all cores already; more threads within each would only get in each other's way.
SINGLE := OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1
PIP := -m pip --disable-pip-version-check --quiet install

.PHONY: help setup report deliver lab test soak lint format bench lock clean

help: ## print this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  settings:     REPORT=$(REPORT) PERIOD=2026-09 SINCE=2026-01 RENDERER=$(RENDERER) PYTHON=$(PYTHON)"

setup: .venv/.ready ## create the environment from the lock (done once, redone when the lock changes)

report: .venv/.ready ## make a report: REPORT=monthly PERIOD=2026-09 (default: the last complete month of the sample)
	@$(BIN)/cxreport run --report $(REPORT) --renderer $(RENDERER) $(if $(PERIOD),--period $(PERIOD)) $(if $(SINCE),--since $(SINCE))

deliver: .venv/.ready ## say who would get a report by e-mail; SEND=1 sends it
	@$(BIN)/cxreport deliver --report $(REPORT) $(if $(PERIOD),--period $(PERIOD)) $(if $(SEND),--send)

lab: .venv-lab/.ready ## open the notebooks in JupyterLab, on this environment's kernel
	@.venv-lab/bin/jupyter lab --notebook-dir .

test: .venv/.tests ## run the tests
	@$(SINGLE) $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder -m "not soak"

soak: .venv/.tests ## run the long campaigns
	@$(SINGLE) $(BIN)/python -m pytest -n auto --dist loadfile -m soak

lint: .venv/.ready ## check style, types, layers and notebooks
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy
	@$(BIN)/nbstripout --keep-id --verify notebooks/*.ipynb
	@$(BIN)/python -m pytest -q -p no:randomly tests/repository

format: .venv/.ready ## put code and notebooks into the house style
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/ruff format --quiet .
	@$(BIN)/nbstripout --keep-id notebooks/*.ipynb

bench: .venv/.ready .venv-lab/.ready ## measure speed and memory as ratios against named rivals
	@$(BIN)/python tests/bench

lock: .venv/.ready ## resolve the dependencies anew (needs uv on the PATH), then environment.yml from the locks
	@uv pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest --generate-hashes \
	  --no-emit-index-url --no-annotate --no-header --extra dev pyproject.toml -o requirements/run.lock
	@uv pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest --generate-hashes \
	  --no-emit-index-url --no-annotate --no-header --extra lab pyproject.toml -c requirements/run.lock -o requirements/lab.lock
	@uv pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest --generate-hashes \
	  --no-emit-index-url --no-annotate --no-header --extra spark --extra cluster --extra accessibility \
	  --no-emit-package playwright --no-emit-package greenlet --no-emit-package pyee \
	  pyproject.toml -c requirements/run.lock -o requirements/tests.lock
	@$(PYTHON) requirements/write_environment.py > environment.yml

clean: ## remove everything that can be made again, except published reports
	@rm -rf .venv .venv-lab .pytest_cache .ruff_cache .mypy_cache .hypothesis *.egg-info
	@rm -rf data/staged data/accepted data/rejected data/measured data/failed data/cache data/sample/*/ reports/output/.building-*
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.ready: requirements/run.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "found: a Python before 3.11"; echo "expected: Python 3.11 or later"; \
	    echo "do: name one, for example make PYTHON=python3.12 setup"; exit 2; }
	@echo "Setting up the environment from requirements/run.lock, once; this takes a minute or two."
	@$(PYTHON) -m venv --clear .venv
	@$(BIN)/python $(PIP) --require-hashes -r requirements/run.lock
	@$(BIN)/python $(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

# What only the tests need: Spark, which is large, Dask and axe-core.
.venv/.tests: requirements/tests.lock .venv/.ready
	@echo "Adding Spark, Dask and axe-core from requirements/tests.lock to the environment, once."
	@$(BIN)/python $(PIP) --require-hashes --no-deps -r requirements/tests.lock
	@touch $@

# JupyterLab has its own environment, because its stack slows the run environment's imports;
# its kernel is the run environment's Python.
.venv-lab/.ready: requirements/lab.lock .venv/.ready
	@echo "Setting up JupyterLab from requirements/lab.lock, once."
	@$(PYTHON) -m venv --clear .venv-lab
	@.venv-lab/bin/python $(PIP) --require-hashes -r requirements/lab.lock
	@$(BIN)/python -m ipykernel install --prefix .venv-lab --name python3 --display-name "Python 3 (cxreport)"
	@touch $@
