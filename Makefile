PYTHON ?= python3
VENV ?= .venv

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# Stamps: a second call does not reinstall, an edited lock file or pyproject.toml does.
RUN_READY := $(VENV)/.run-ready
TEST_READY := $(VENV)/.test-ready

# Whose engines `make bench` times.
MODEL ?= solvable kernel dualflow particle sweep diagnose

COMPILE := $(BIN)/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes \
	--extra examples --group build --constraint requirements/constraints.txt \
	--no-annotate --no-emit-index-url --custom-compile-command "make lock"

.DEFAULT_GOAL := help
.PHONY: help demo test browser torture claims agreement bench format lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' Makefile

demo: $(RUN_READY) ## Install what is locked, run the shipped examples, say where the pictures are
	@echo "Running the demo."
	@$(BIN)/python examples/demo.py

test: $(TEST_READY) ## Format check, linter, type check and the whole test suite
	@echo "Checking the format."
	@$(BIN)/ruff format --check .
	@echo "Linting."
	@$(BIN)/ruff check .
	@echo "Checking types."
	@$(BIN)/mypy
	@echo "Running the tests."
	@$(BIN)/python -m pytest

browser: ## Install Debian's Chromium, with which the tests look at pages; without it they are skipped
	@.ci/browser

claims: $(RUN_READY) ## Check the numbered claims of every model
	@$(BIN)/ganscope claims

agreement: $(RUN_READY) ## Confront theory and simulation on phase diagrams, and write docs/agreement.md anew
	@$(BIN)/ganscope agreement --write docs/agreement.md

torture: $(TEST_READY) ## Kill workers, drivers and schedulers of sweeps twenty times each
	@GANSCOPE_TORTURE=20 $(BIN)/python -m pytest tests/test_sweep_torture.py

# The two variables pin an OpenBLAS kernel on some machines; the NumPy baselines shall run on the one it would choose.
bench: $(TEST_READY) ## Time the engines against naive code; MODEL=kernel for one model
	@for model in $(MODEL); do \
		env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE $(BIN)/python benchmarks/$$model.py || exit 1; \
	done

format: $(TEST_READY) ## Format the code and mend what the linter can
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

lock: | $(BIN)/pip ## Pin every dependency anew, with hashes
	@$(PIP) install -qq uv
	@echo "Resolving requirements/run.lock."
	@$(COMPILE) --output-file requirements/run.lock
	@echo "Resolving requirements/test.lock."
	@$(COMPILE) --constraint requirements/run.lock --extra dev --output-file requirements/test.lock

clean: ## Remove the environment, the caches and the demo's output
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist demo-output
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# pip is the last thing that venv writes, so a half-made environment is made again.
$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "ganscope needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	@echo "Creating a virtual environment in $(VENV)."
	@$(PYTHON) -m venv $(VENV)

$(RUN_READY): requirements/run.lock pyproject.toml | $(BIN)/pip
	@echo "Installing ganscope and its locked dependencies into $(VENV); the first time takes a few minutes."
	@$(PIP) install -qq --require-hashes -r requirements/run.lock
	@$(PIP) install -qq --no-deps --no-build-isolation -e .
	@touch $@

# test.lock holds all of run.lock and more, so this makes the environment ready to run, too. PyTorch has a line of its
# own, without a hash: this spelling is the build for processors alone, any other downloads gigabytes for graphics cards.
$(TEST_READY): requirements/test.lock pyproject.toml | $(BIN)/pip
	@echo "Installing ganscope, its locked dependencies and the test tools into $(VENV); the first time takes a few minutes."
	@$(PIP) install -qq --require-hashes -r requirements/test.lock
	@$(PIP) install -qq torch==2.13.0
	@$(PIP) install -qq --no-deps --no-build-isolation -e .
	@touch $(RUN_READY) $@
