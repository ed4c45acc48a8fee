# A thin front: Meson builds, scripts/ do the rest. Each target installs what it needs.
PYTHON ?= python3
VENV   := .venv
RUN    := $(VENV)/bin/python
# Sources that the installed package is made of: it is rebuilt when one of them is newer.
SOURCES := $(shell find src python cli -type f 2>/dev/null) meson.build meson.options pyproject.toml

.PHONY: demo test clean

demo: $(VENV)/installed
	$(RUN) scripts/demo.py

test: $(VENV)/installed
	$(RUN) scripts/run_tests.py

clean:
	rm -rf build build-* $(VENV) dist .pytest_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/ready: scripts/install_packages.sh scripts/requirements.txt
	scripts/install_packages.sh
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --requirement scripts/requirements.txt
	touch $@

$(VENV)/installed: $(VENV)/ready $(SOURCES)
	$(RUN) -m pip install --quiet --no-build-isolation --no-deps --force-reinstall -Cbuild-dir=build .
	touch $@
