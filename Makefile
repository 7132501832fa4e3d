# make demo   the sample volume explained, cut into masks and compared, in the folder demo/
# make test   the test suite
# make quick  the tests that tell within a minute whether a formula or a room broke
# make test-pyside  the tests of the docks with PySide6 in place of PyQt6 (Python 3.12 or newer)
# make dev    the environment for working on the project (.venv with every tool)
# make clean  removes the environment and everything built
#
# The tests of the docks draw into a window of their own (Xvfb), which needs some libraries of the
# system; without them, and without a display, the tests that look at a canvas are left out.
#
# Each target installs what it needs into .venv on its first run and is quick afterwards. Debian 12
# or newer and Ubuntu 24.04 or newer need nothing but make and python3; elsewhere name a Python 3.11
# or newer: make test PYTHON=python3.12

PYTHON ?= python3
PYTEST_ARGS ?= -n 2
VENV := .venv
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check

.PHONY: demo test quick test-pyside dev window clean

# In a window where there is a display, else files and pictures.
ifneq ($(or $(DISPLAY),$(WAYLAND_DISPLAY)),)
demo: $(VENV)/.all window
	$(VENV)/bin/napari-cam demo --out demo --window
else
demo: $(VENV)/.base
	$(VENV)/bin/napari-cam demo --out demo
endif

# One thread per process: two test processes share the cores better than torch's threads do.
test: $(VENV)/.test window
	OMP_NUM_THREADS=1 $(VENV)/bin/pytest $(PYTEST_ARGS)

quick: $(VENV)/.test
	OMP_NUM_THREADS=1 $(VENV)/bin/pytest -m quick -n 2

# PySide6 6.12 loses references to None, which end the process where None can end: before 3.12.
test-pyside: $(VENV)/.test window
	$(PIP) install --quiet PySide6
	OMP_NUM_THREADS=1 QT_API=pyside6 PYTEST_QT_API=pyside6 $(VENV)/bin/pytest tests/widgets $(PYTEST_ARGS)

dev: $(VENV)/.dev

# What Qt and OpenGL need on Debian and Ubuntu to draw without a screen. Newer releases add t64 to
# some of the names.
WINDOW := xvfb xauth libgl1 libegl1 libfontconfig1 libglib2.0-0 libdbus-1-3 libxkbcommon-x11-0 \
          libxcb-cursor0 libxcb-icccm4 libxcb-keysyms1 libxcb-shape0

window:
	@command -v dpkg-query >/dev/null || exit 0; \
	missing=; \
	for package in $(WINDOW); do \
	  dpkg-query -W -f '$${db:Status-Status} ' "$$package" "$${package}t64" 2>/dev/null | grep -qw installed || \
	    missing="$$missing $$package"; \
	done; \
	[ -z "$$missing" ] || ( $(call system_packages,$$missing) ) || \
	  echo "Going on without:$$missing" >&2

clean:
	rm -rf $(VENV) demo build dist .mypy_cache .ruff_cache .pytest_cache

# An empty file says which of the project's extras .venv holds.
$(VENV)/.base: pyproject.toml $(VENV)/.made
	@echo "Installing napari-cam and its libraries (several minutes the first time) ..."
	$(PIP) install --quiet --editable .
	@touch $@

$(VENV)/.all: pyproject.toml $(VENV)/.made
	@echo "Installing napari-cam, its libraries and napari (several minutes the first time) ..."
	$(PIP) install --quiet --editable ".[all]"
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
