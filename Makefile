# The commands of the paper; `make help` lists them. Needs Python 3.11 or newer and make; everything else is installed
# into .venv from requirements.lock.

PYTHON ?= python3
# An activated conda environment with the packages of the paper is used as it is.
ACTIVE := $(if $(CONDA_DEFAULT_ENV),$(shell python -c "import sys, importlib.metadata as found; \
	found.version('lux-paper'), found.version('jupyter-book'); print(sys.prefix)" 2>/dev/null))
VENV := $(or $(ACTIVE),.venv)
PROFILE ?= paper
DATASET ?= synthetic
CHAPTERS ?=
SEED ?= 0
BUILD_OPTIONS ?=
TEST_OPTIONS ?=
MACHINES ?=
MACHINE_OPTIONS ?=
PORT ?= 8000

RUN := $(VENV)/bin/python
# The name of the stamp holds what the environment was made from, and it is written last: another lock, or a killed
# installation, has no stamp and the environment is made anew.
FINGERPRINT := $(shell cat requirements.lock pyproject.toml | cksum | tr ' ' '-')
STAMP := $(if $(ACTIVE),active-environment,$(VENV)/.complete-$(FINGERPRINT))

KNOWN := PYTHON PROFILE DATASET CHAPTERS SEED BUILD_OPTIONS TEST_OPTIONS PORT MACHINES MACHINE_OPTIONS
GIVEN := $(foreach name,$(.VARIABLES),$(if $(filter command,$(firstword $(origin $(name)))),$(name)))
MISSPELT := $(filter-out $(KNOWN) MAKEFLAGS MFLAGS MAKEOVERRIDES,$(GIVEN))
ifneq ($(strip $(MISSPELT)),)
$(error unknown variable $(MISSPELT); there are: $(KNOWN))
endif

BUILD := $(RUN) book/build.py --profile "$(PROFILE)" --dataset "$(DATASET)" --seed "$(SEED)" \
	$(if $(strip $(CHAPTERS)),--chapters $(CHAPTERS)) $(BUILD_OPTIONS)

.DEFAULT_GOAL := help
# Builds share one folder: with -j2 they run one after the other.
.NOTPARALLEL:
.PHONY: help paper test test-slow notebooks pdf serve check-results check-machines accept-results full-trial lint bench lock clean \
	environment active-environment

help:
	@echo "make paper           execute the chapters and build the website; prints its path"
	@echo "                     PROFILE=paper|quick  DATASET=synthetic|apogee-dr10|apogee-galah|file.h5"
	@echo "                     CHAPTERS=\"01_data 02_lux\"  SEED=0  BUILD_OPTIONS=\"--set n_stars=800 --fresh\""
	@echo "make test            run the tests (TEST_OPTIONS=\"-k name\")"
	@echo "make test-slow       run those that take many seconds, chapters on the study's data among them"
	@echo "make notebooks       write plain .ipynb copies of the chapters, for Jupyter or Colab, to _build/plain"
	@echo "make pdf             the paper as one PDF, _build/paper.pdf (needs Chromium)"
	@echo "make serve           build, then serve the website on http://localhost:8000 (PORT=8000)"
	@echo "make check-results   compare the last build with the committed reference results"
	@echo "make accept-results  make the last build the reference"
	@echo "make check-machines  the quick paper and the numerical tests under the arithmetic of other machines"
	@echo "                     MACHINES=AVX2  MACHINE_OPTIONS=\"--no-tests --record\""
	@echo "make full-trial      measure the dense grid of chapter 8 anew: half an hour on two cores"
	@echo "make lint            check style, types, the direction of imports and the text of the book"
	@echo "make bench           run the benchmarks"
	@echo "make lock            write requirements.lock anew from pyproject.toml"
	@echo "make clean           remove what was built (keeps .venv and downloaded data)"

paper: $(STAMP)
	@$(BUILD)

test: $(STAMP)
	@$(RUN) -m pytest -n 2 --dist loadfile $(TEST_OPTIONS)

test-slow: $(STAMP)
	@$(RUN) -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m slow $(TEST_OPTIONS)

notebooks: $(STAMP)
	@$(RUN) tools/write_notebooks.py

pdf: $(STAMP)
	@$(BUILD) --pdf

serve: paper
	@$(RUN) -m http.server $(PORT) --bind localhost --directory _build/html

check-results: $(STAMP)
	@$(RUN) tools/check_results.py

check-machines: $(STAMP)
	@$(RUN) tools/check_machines.py $(if $(strip $(MACHINES)),--only "$(MACHINES)") $(MACHINE_OPTIONS)

full-trial: $(STAMP)
	@$(RUN) tools/full_trial.py

accept-results: $(STAMP)
	@$(RUN) tools/check_results.py --accept

lint: $(STAMP)
	@$(RUN) -m ruff check --quiet
	@$(RUN) -m ruff format --check --quiet
	@$(RUN) -m mypy
	@$(VENV)/bin/lint-imports
	@$(RUN) tools/lint_book.py

bench: $(STAMP)
	@for name in realism speed techniques; do echo "== $$name"; $(RUN) benchmarks/$$name.py || exit 1; done

lock: $(STAMP)
	@command -v uv >/dev/null || $(RUN) -m pip install --quiet uv
	PATH="$$PATH:$(VENV)/bin" uv pip compile pyproject.toml --extra book --extra test --extra cluster --extra spectra \
		--universal --python-version 3.11 --fork-strategy fewest --generate-hashes --no-header --no-emit-index-url \
		--no-emit-find-links --no-annotate --quiet --output-file requirements.lock

clean:
	rm -rf _build .pytest_cache .ruff_cache .mypy_cache .import_linter_cache .hypothesis

environment: $(STAMP)

active-environment:
	@echo "Using the active environment $(CONDA_DEFAULT_ENV); the hashes of its packages were not checked."

$(VENV)/.complete-$(FINGERPRINT):
	@$(if $(CONDA_DEFAULT_ENV),echo "The active environment $(CONDA_DEFAULT_ENV) lacks the packages of the paper.")
	@$(PYTHON) tools/install.py $(VENV)
	@touch $(STAMP)
