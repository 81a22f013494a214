# Two commands do everything on a machine that has Python 3.11+ and make:
#   make demo   install, start a hub with sample data, run the main job, go on serving (ONCE=1: stop)
#   make test   install, run every check that fits in twelve minutes on two cores
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
UV     := $(BIN)/uv
LOCK_FLAGS := --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
              --no-annotate --custom-compile-command "make lock"
DEMO_BIND ?= 127.0.0.1:8080
DEMO_DATA ?= .demo
XDIST     ?= 4

.PHONY: help demo test soak bench check lint format lock clean install install-test docs

help:
	@sed -n '1,3p' Makefile; echo "also: soak bench check lint format lock docs clean"

$(VENV)/.bootstrap: requirements/bootstrap.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Entrepot needs Python 3.11 or newer; set PYTHON=/path/to/python3.11"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bootstrap.lock
	@touch $@

$(VENV)/.server: $(VENV)/.bootstrap requirements/server.lock pyproject.toml
	@$(UV) pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r requirements/server.lock
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m compileall -q src/entrepot
	@touch $@

$(VENV)/.test: $(VENV)/.server requirements/test.lock
	@$(UV) pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r requirements/test.lock
	@touch $@

install: $(VENV)/.server
install-test: $(VENV)/.test

demo: install
	@$(BIN)/python -m entrepot.daemon.demo --data $(DEMO_DATA) --bind $(DEMO_BIND) $(if $(ONCE),--once)

test: install-test
	@$(BIN)/python -m pytest -n $(XDIST) -m "not soak" $(ARGS)

soak: install-test
	@$(BIN)/python -m pytest -m soak --timeout=3600 $(ARGS)

bench: install-test
	@$(BIN)/python -m bench $(ARGS)

lint: install-test
	@$(BIN)/ruff check src tests bench docs
	@$(BIN)/ruff format --check src tests bench docs
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: install-test
	@$(BIN)/ruff check --fix src tests bench docs
	@$(BIN)/ruff format src tests bench docs

check: lint test

docs: install-test
	@$(BIN)/python -m docs.generate

lock: $(VENV)/.bootstrap
	@$(UV) pip compile $(LOCK_FLAGS) $(UPGRADE) requirements/bootstrap.in -o requirements/bootstrap.lock
	@$(UV) pip compile $(LOCK_FLAGS) $(UPGRADE) pyproject.toml -o requirements/client.lock
	@$(UV) pip compile $(LOCK_FLAGS) $(UPGRADE) pyproject.toml --extra server -o requirements/server.lock
	@$(UV) pip compile $(LOCK_FLAGS) $(UPGRADE) pyproject.toml --extra server --group test -o requirements/test.lock

clean:
	rm -rf $(VENV) $(DEMO_DATA) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
