# Two commands: `make demo` sets up and analyses a bundled case; `make test` sets up and passes the tests.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
DEMO := corpus/cases/incident/input

.PHONY: demo test lint bench campaign clean

demo: $(VENV)/.ready
	@mkdir -p out
	@$(BIN)/npforensics analyze $(DEMO) --format html -o out/report.html
	@$(BIN)/npforensics analyze $(DEMO)
	@echo "The whole report, with the bytes: out/report.html"

test: $(VENV)/.ready-test lint
	$(BIN)/python -m pytest -n 2 --dist worksteal

lint: $(VENV)/.ready-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Slow work: longer than a test run may take. See docs/campaigns.md.
bench: $(VENV)/.ready-test
	$(BIN)/python -m tests.bench

campaign: $(VENV)/.ready-test
	$(BIN)/python -m tests.campaign all

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("npforensics needs Python 3.11 or later") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.ready: $(VENV)/bin/python requirements.lock pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.ready-test: $(VENV)/.ready requirements-test.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-test.lock
	@touch $@

clean:
	rm -rf $(VENV) out build *.egg-info .pytest_cache .mypy_cache .ruff_cache
