PYTHON ?= python3
BIN := .venv/bin
WORKERS ?= 2

.DEFAULT_GOAL := help
.PHONY: java help setup check fmt test test-all demo up faults bench soak coverage contract lock

help: ## List the commands
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.venv/stamp: requirements.lock requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Pilotlight needs Python 3.11 or newer (PYTHON=python3.x make …)"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "Python's venv package is missing (Debian: apt-get install python3-venv)"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-dev.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch .venv/stamp

setup: .venv/stamp ## Make .venv with the commands pilotlight and pl in it

check: setup ## Format, lint, types, tidy
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest -q tests/test_tidy.py

fmt: setup ## Format and fix what can be fixed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

test: setup ## The whole test suite
	$(BIN)/pytest -q

test-fast: setup ## The suite without what is slow
	$(BIN)/pytest -q -m "not slow"

demo: setup ## Deploy the example, upload a picture, and tell what happened
	$(BIN)/python examples/demo.py

up: setup ## Start a cloud
	$(BIN)/pilotlight up

faults: setup ## Kill the platform at random moments, fifty times, and in the middle of invocations
	$(BIN)/python -m tests.faults.kill --rounds 50
	$(BIN)/python -m tests.faults.invocations --rounds 5

bench: setup ## Measure every runtime (ONLY=node,go for some; PEERS=1 beside serverless-offline), and Moto's server
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m compileall -q src benchmarks
	$(if $(ONLY),,$(BIN)/pip install --quiet --disable-pip-version-check 'moto[server]>=5')
	ONLY=$(ONLY) PEERS=$(PEERS) $(BIN)/python -m benchmarks.run

soak: setup ## Ten minutes at 80 % of what the machine can do; what is left at the end must be what was there before
	$(BIN)/python -m benchmarks.soak

contract: setup ## What every runtime and each of AWS's own clients does, and docs/reference/contract.md
	PILOTLIGHT_TEST_CLIENTS=1 PILOTLIGHT_TEST_RUST=1 $(BIN)/python -m tests.engine.contract_table

coverage: setup ## Write docs/reference/coverage.md from the code
	$(BIN)/python -m tests.coverage_table

java: setup ## Build the Java bootstrap of its source (needs javac 17)
	$(BIN)/python -m tests.engine.java_jar

lock: ## Renew the lock files (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --extra postgres -o requirements.lock pyproject.toml
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --extra postgres --group dev -o requirements-dev.lock pyproject.toml
