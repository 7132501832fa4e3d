# make demo   the sample volume explained, cut into masks and compared, in the folder demo/
# make test   the test suite
# make dev    the environment for working on the project (.venv with every tool)
# make clean  removes the environment and everything built
#
# Each target installs what it needs into .venv on its first run and is quick afterwards. Debian 12
# or newer and Ubuntu 24.04 or newer need nothing but make and python3; elsewhere name a Python 3.11
# or newer: make test PYTHON=python3.12

PYTHON ?= python3
PYTEST_ARGS ?= -n 2
VENV := .venv
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check

.PHONY: demo test dev clean

demo: $(VENV)/.base
	$(VENV)/bin/napari-cam demo --out demo

# One thread per process: two test processes share the cores better than torch's threads do.
test: $(VENV)/.test
	OMP_NUM_THREADS=1 $(VENV)/bin/pytest $(PYTEST_ARGS)

dev: $(VENV)/.dev

clean:
	rm -rf $(VENV) demo build dist .mypy_cache .ruff_cache .pytest_cache

# An empty file says which of the project's extras .venv holds.
$(VENV)/.base: pyproject.toml $(VENV)/.made
	@echo "Installing napari-cam and its libraries (several minutes the first time) ..."
	$(PIP) install --quiet --editable .
	@touch $@

$(VENV)/.test: pyproject.toml $(VENV)/.made
	@echo "Installing napari-cam, its libraries and pytest (several minutes the first time) ..."
	$(PIP) install --quiet --editable ".[test]"
	@touch $@

$(VENV)/.dev: pyproject.toml $(VENV)/.made
	@echo "Installing napari-cam, its libraries and all tools (several minutes the first time) ..."
	$(PIP) install --quiet --editable ".[test,dev]"
	@touch $@

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "napari-cam needs Python 3.11 or newer; name one, as in: make test PYTHON=python3.12" >&2; \
	  exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { $(call system_packages,python3-venv); }
	$(PYTHON) -m venv --clear $(VENV)
	@touch $@

# Install Debian packages where this user may, else say which are missing.
define system_packages
  if [ "$$(id -u)" = 0 ]; then sudo=; \
  elif sudo -n true 2>/dev/null; then sudo=sudo; \
  else echo "Missing: $(1). Install it with: sudo apt-get install $(1)" >&2; exit 1; fi; \
  $$sudo apt-get update -qq && \
  $$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends $(1)
endef
