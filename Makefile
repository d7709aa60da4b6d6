# `make demo` and `make test` do all the set-up; nothing but Python 3.11 or later and make is assumed.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$p && break; done)
VENV ?= .venv
BIN := $(VENV)/bin
NBS := $(sort $(wildcard nbs/*.ipynb nbs/tutorials/*.ipynb))

.DEFAULT_GOAL := help
.PHONY: help demo test lab format check export notebooks docs bundle bench bench-train bench-measure bench-quick fuzz golden lock audit licences sbom \
	test-lowest test-newest release-check clean

help:  ## say what can be made
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 16

# Each step of the set-up leaves a marker once it is whole; one that was cut short is made again.
$(VENV)/.made:
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or later was found: install one, or name it: make PYTHON=/path/to/python"; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(VENV)/.base: settings.ini setup.py | $(VENV)/.made
	$(BIN)/python -m pip install -q --disable-pip-version-check -e .
	@touch $@

# LOCKED=1 takes the very packages of requirements/ci.txt, as CI does; else what settings.ini allows.
$(VENV)/.dev: settings.ini setup.py | $(VENV)/.made
ifdef LOCKED
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/ci.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
else
	$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[dev]'
endif
	@touch $@ $(VENV)/.base $(VENV)/.docs

$(VENV)/.docs: settings.ini setup.py | $(VENV)/.made
	$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[docs]'
	@touch $@ $(VENV)/.base

$(VENV)/.bench: settings.ini setup.py | $(VENV)/.made
	$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[dev,bench]'
	@touch $@ $(VENV)/.base $(VENV)/.docs $(VENV)/.dev

demo: $(VENV)/.base  ## set up and print the emotion of the bundled clips
	@$(BIN)/ser predict
	@echo "The page is one command away: $(BIN)/ser serve"

test: $(VENV)/.dev  ## set up and run the notebooks and the tests; no data set needed
	$(BIN)/python -m pytest -q tests

lab: $(VENV)/.dev  ## open the notebooks in JupyterLab
	$(BIN)/jupyter lab nbs

format: $(VENV)/.dev  ## write notebooks and code in the one hand that the checks ask for
	$(BIN)/ruff format nbs webapp tests benchmarks tools docs .ci setup.py

check: $(VENV)/.dev  ## are code, library, notebooks and README in step?
	$(BIN)/ruff format --check nbs webapp tests benchmarks tools docs .ci setup.py
	$(BIN)/ruff check nbs webapp tests benchmarks tools docs .ci setup.py
	$(BIN)/python .ci/sync.py
	$(BIN)/python .ci/stubs.py

export: $(VENV)/.dev  ## write the library and the README from the notebooks
	$(BIN)/python .ci/sync.py --write

notebooks: $(VENV)/.dev  ## run every notebook and keep its outputs; set SER_DATA_DIR for the real corpora
	$(BIN)/jupyter nbconvert --log-level WARN --ExecutePreprocessor.store_widget_state=False --to notebook --execute --inplace $(NBS)
	$(BIN)/python .ci/sync.py --write

docs: $(VENV)/.docs  ## build the site into _docs/html; open its index.html, no server needed
	@rm -rf _docs
	@$(BIN)/sphinx-build -q -W --keep-going -c docs -d _docs/doctrees nbs _docs/html
	@echo "The site is built: _docs/html/index.html"

bundle: $(VENV)/.dev  ## train the bundle that ships; needs SER_DATA_DIR and the figures of `make bench`
	$(BIN)/python benchmarks/bundle.py

bench:  ## measure every figure of the README; needs SER_DATA_DIR, about twelve hours
	$(MAKE) bench-train
	$(MAKE) bench-measure

bench-train: $(VENV)/.bench  ## the hours of it: train and test fold by fold; goes on where it was stopped
	$(BIN)/python benchmarks/accuracy.py
	$(BIN)/python benchmarks/ablation.py
	$(BIN)/python benchmarks/bundle.py
	$(BIN)/python benchmarks/unseen.py
	$(BIN)/python benchmarks/encoder_ablation.py

bench-measure: $(VENV)/.bench  ## the rest of it: the peers, time, memory, noise, faults; on a machine that does nothing else; SOUNDS=, VOICES= of detection.py
	$(BIN)/python benchmarks/audit.py
	$(BIN)/python benchmarks/speed.py
	$(BIN)/python benchmarks/encoder_speed.py
	$(BIN)/python benchmarks/adaptation.py
	$(BIN)/python benchmarks/peers.py
	$(BIN)/python benchmarks/robustness.py
	$(BIN)/python benchmarks/encoder_bundle.py
	$(BIN)/python benchmarks/batch.py
	$(BIN)/python benchmarks/windows.py
	$(BIN)/python benchmarks/detection.py $(if $(SOUNDS),--sounds $(SOUNDS)) $(if $(VOICES),--voices $(VOICES))
	$(BIN)/python benchmarks/recording.py
	$(BIN)/python benchmarks/load.py
	$(BIN)/python benchmarks/faults.py

fuzz: $(VENV)/.dev  ## throw hostile input at audio, bundles and corpora; SECONDS=600 is for each
	$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[fuzz]'
	$(BIN)/python tools/fuzz.py run --seconds $(or $(SECONDS),600)
	$(BIN)/python tools/fuzz.py keep

bench-quick: $(VENV)/.bench  ## go through the comparison with the peers in small, to see that it works; a minute
	$(BIN)/python benchmarks/peers.py --quick

golden: $(VENV)/.dev  ## write tests/golden anew, on purpose, and print which answers changed
	$(BIN)/python tools/golden.py

lock: $(VENV)/.dev  ## write requirements/ after a change in settings.ini; UPGRADE=1 takes the newest of everything
	$(BIN)/python tools/supply.py lock $(if $(UPGRADE),--upgrade)

audit: $(VENV)/.dev  ## is anything known against what is locked? asks an advisory database on the internet
	$(BIN)/python tools/supply.py audit

licences: $(VENV)/.dev  ## write THIRD_PARTY.md, what the service stands on and under which licences
	$(BIN)/python tools/supply.py licences

sbom: $(VENV)/.dev  ## write build/sbom.cdx.json, the bill of materials of the image
	$(BIN)/python tools/supply.py sbom build/sbom.cdx.json

test-lowest: $(VENV)/.dev  ## the light tests with the lowest versions that settings.ini allows; AT=3.13 names the Python
	$(BIN)/python tools/edges.py lowest $(AT:%=--python %)

test-newest: $(VENV)/.dev  ## the same with the newest
	$(BIN)/python tools/edges.py newest $(AT:%=--python %)

release-check: $(VENV)/.dev  ## did any headline figure get worse since the last release?
	$(BIN)/python tools/release_check.py

clean:  ## remove the environment and what was made along the way
	rm -rf $(VENV) _docs build dist *.egg-info .pytest_cache .hypothesis .ruff_cache .mypy_cache
