# Two commands do everything: `make run` serves, `make test` installs the development tools and runs all checks.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: run test check lint clean

run: $(VENV)/.run
	$(BIN)/bridgehead serve

test: $(VENV)/.dev lint
	$(BIN)/pytest -n auto -m "not peer and not slow"

check: test

lint: $(VENV)/.dev
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/ruff format --check src tests benchmarks
	$(BIN)/lint-imports --no-cache
	$(BIN)/mypy

$(VENV)/.run: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --only-binary :all: --no-binary bridgehead -e .
	touch $@

# dkimpy is published as source alone.
$(VENV)/.dev: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --only-binary :all: --no-binary bridgehead,dkimpy -e '.[dev]'
	touch $@ $(VENV)/.run

clean:
	rm -rf $(VENV)
