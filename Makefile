# Proxima's verbs. `make` alone lists them.

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
  $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
TORCH ?= torch>=2.13,<2.14
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
CODE := app tracing curriculum feedback migrations tests bench .ci
export PYTHONUNBUFFERED := 1

.DEFAULT_GOAL := help
.PHONY: help install install-serve install-refit demo test fast check verify bench lock clean

help:  ## list what make can do
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "%-22s %s\n", $$1, $$2}'

# torch first, so that nothing after it can pull another build; the rest exactly as locked.
# $(1): the section of requirements.lock at which to stop reading.
define install_locked
	sed '/^# === $(1)/,$$d' requirements.lock > $(VENV)/requirements.lock
	$(PIP) install --quiet --no-deps --require-hashes -r $(VENV)/requirements.lock
	$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	$(PIP) check
	touch $@
endef

install: $(VENV)/.installed  ## make .venv with everything (CPU-only torch: see README.md)

$(VENV)/.installed: requirements.lock pyproject.toml | $(BIN)/python
	$(PIP) install "$(TORCH)"
	$(call install_locked,end)

install-refit: $(VENV)/.installed-refit  ## make .venv with what serves and what fits models

$(VENV)/.installed-refit: requirements.lock pyproject.toml | $(BIN)/python
	$(PIP) install "$(TORCH)"
	$(call install_locked,dev)

install-serve: $(VENV)/.installed-serve  ## make .venv with what serves only, without torch

$(VENV)/.installed-serve: requirements.lock pyproject.toml | $(BIN)/python
	$(call install_locked,refit)

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Proxima needs Python 3.11 or newer and found only: $$(python3 -V 2>&1)." \
	  "Install one and name it: make install PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

demo: install  ## a school with pupils, fits and a dashboard, on one port, from nothing
	@exec $(BIN)/proxima demo

test: check  ## everything that must hold: check, then fast tests, then slow ones
	$(BIN)/python -m pytest

fast: install  ## the fast tests alone
	$(BIN)/python -m pytest -m "not slow"

check: install  ## format, lint, types, layers, migrations, names and sizes of files
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@folder=$$(mktemp -d) && url=sqlite+aiosqlite:///$$folder/check.db && \
	  $(BIN)/alembic -x url=$$url upgrade head && $(BIN)/alembic -x url=$$url check; \
	  status=$$?; rm -rf $$folder; exit $$status
	@! find $(CODE) -type f -not -path '*/__pycache__/*' | \
	  grep -E '/(utils|helpers|common|services|managers)(/|\.py$$)|\.ipynb$$' || \
	  { echo "refused: name a file or folder after a noun of the field; no notebooks" >&2; exit 1; }
	@find $(CODE) -name '*.py' -exec awk 'END {if (NR > 400) \
	  print "warning: " FILENAME " has " NR " lines; past 400, split it by noun"}' {} \;

verify: check  ## the tests at full size, then every bench: hours on two cores
	$(BIN)/python -m pytest --hypothesis-profile=verify
	$(MAKE) bench

bench: install  ## run every bench; one JSON line a claim
	@for script in $$(grep -l __main__ bench/*.py); do echo "== $$script" >&2; $(BIN)/python $$script --json || exit 1; done

lock: install  ## maintainers: write requirements.lock anew (UPGRADE=1: newest versions)
	$(PIP) install --quiet uv
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python .ci/lock.py $(if $(UPGRADE),--upgrade)

clean:  ## remove caches and build leftovers (.venv stays)
	rm -rf build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +
