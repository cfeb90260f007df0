# `make demo` and `make test` are all a newcomer needs: each sets up what it needs by itself.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
PYTEST_FLAGS ?= -n 2 --dist loadfile

.DEFAULT_GOAL := help
.PHONY: help demo run test lint format bench docs lock messages vendor clean

help: ## List the commands
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

$(STAMP): pyproject.toml requirements.lock requirements-dev.lock
	@$(PYTHON) -c 'import sys; sys.exit("Fernwart needs Python 3.11 or newer." if sys.version_info < (3, 11) else 0)'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check --require-hashes --no-deps -r requirements.lock
	@$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check --no-deps -e .
	@touch $@

$(VENV)/.ready-dev: $(STAMP) requirements-dev.lock
	@$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check --require-hashes --no-deps -r requirements-dev.lock
	@touch $@

demo: $(STAMP) ## Start everything with sample data and one agent, on this machine only
	@$(BIN)/fernwart demo

run: $(STAMP) ## Start the server on the data folder ./data
	@$(BIN)/fernwart serve

test: $(VENV)/.ready-dev ## Run all tests (what needs a system program that is missing is skipped, with the reason)
	@$(BIN)/python -m pytest $(PYTEST_FLAGS)

lint: $(VENV)/.ready-dev ## Check style, types, arrows and texts
	@$(BIN)/ruff check .
	@$(BIN)/pyright
	@$(BIN)/lint-imports
	@$(BIN)/python scripts/messages.py --check
	@$(BIN)/python scripts/check_docs.py

format: $(VENV)/.ready-dev ## Put the code in order
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: $(VENV)/.ready-dev ## Measure, beside bare references in the same run
	@$(BIN)/python -m tests.benchmarks

docs: $(VENV)/.ready-dev ## Check the documentation's links and commands
	@$(BIN)/python scripts/check_docs.py

messages: $(VENV)/.ready-dev ## Extract the texts and update the catalogues
	@$(BIN)/python scripts/messages.py

vendor: $(VENV)/.ready-dev ## Refresh the page libraries (needs npm)
	@$(BIN)/python scripts/vendor.py

lock: ## Renew the lock files
	@$(BIN)/python -m pip install --quiet --no-compile uv
	@$(BIN)/uv pip compile --quiet --no-header --generate-hashes --no-emit-index-url --python-version 3.11 --universal --extra server -o requirements.lock pyproject.toml
	@$(BIN)/uv pip compile --quiet --no-header --generate-hashes --no-emit-index-url --python-version 3.11 --universal --extra server --extra dev -c requirements.lock -o requirements-dev.lock pyproject.toml

clean: ## Remove the environment and what was built
	@rm -rf $(VENV) build *.egg-info
