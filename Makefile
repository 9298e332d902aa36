# Verbs that people and CI share. `make demo` and `make test` set up what they need.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

.PHONY: demo test test-all check serve bench encoder dist docs clean

# Base installation: no torch. Also what `pip install` of the wheel brings.
$(VENV)/.base: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

$(VENV)/.dev: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@ $(VENV)/.base

demo: $(VENV)/.base
	$(BIN)/dragoman demo

# One process a core; a file's tests stay together.
test: $(VENV)/.dev
	$(BIN)/python -m pytest -n auto --dist loadfile -m "not slow"

# Those too that take long: kills, servers that fail, browsers.
test-all: $(VENV)/.dev
	$(BIN)/python -m pytest -n auto --dist loadfile

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

serve: $(VENV)/.base
	$(BIN)/dragoman serve

# Quality and speed in one table, beside the figures of docs/benchmarks; suites without data are skipped.
SHARED ?= ../shared
bench: $(VENV)/.dev
	mkdir -p build
	$(BIN)/python -m eval.benchmarks --shared $(SHARED) --out build/benchmarks.json --against docs/benchmarks/before.json

# Train the embedded encoder; DATA holds the translation pairs. A stopped training continues.
DATA ?= ../shared/data
encoder: $(VENV)/.dev
	$(BIN)/python -m index.training --data $(DATA) --keep-out $(DATA)/dev --work build/encoder --out build/encoder/model
	$(BIN)/python -m eval.benchmarks xquad-own xquad-cross flores belebele-ko --shared $(SHARED) --encoder build/encoder/model

dist: $(VENV)/.dev
	$(BIN)/python -m build

clean:
	rm -rf $(VENV) dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
