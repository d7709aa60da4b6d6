# `make demo` and `make test` do all the set-up; nothing but Python 3.11 or later and make is assumed.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$p && break; done)
VENV ?= .venv
BIN := $(VENV)/bin
NBS := $(sort $(wildcard nbs/*.ipynb))

.DEFAULT_GOAL := help
.PHONY: help demo test lab export check notebooks bundle bench clean

help:  ## say what can be made
	@grep -E '^[a-z]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 12

# An environment is whole only once its marker stands; the marker is as old as what it was made from.
$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or later was found: install one, or name it: make PYTHON=/path/to/python"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.base: settings.ini setup.py | $(BIN)/python
	$(BIN)/python -m pip install -q --disable-pip-version-check -e .
	@touch $@

$(VENV)/.dev: settings.ini setup.py | $(BIN)/python
	$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[dev]'
	@touch $@ $(VENV)/.base

demo: $(VENV)/.base  ## set up and print the emotion of the bundled clips
	@$(BIN)/ser predict
	@echo "The page: $(BIN)/ser serve"

test: $(VENV)/.dev  ## set up, run the notebooks and the tests (no data set needed)
	$(BIN)/python -m pytest -q
