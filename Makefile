# A thin front: Meson builds, scripts/ do the rest. Each target installs what it needs.
PYTHON ?= python3
VENV   := .venv
RUN    := $(VENV)/bin/python
TOOLS  := .venv-tools
# Sources that the installed package is made of: it is rebuilt when one of them is newer.
SOURCES := $(shell find src python cli -name __pycache__ -prune -o -type f -print 2>/dev/null) \
           meson.build meson.options pyproject.toml README.md
export PYTHON

.PHONY: demo demo-browser test lint format asan storm jitter differential fuzz matrix compat conformance bench real-suites simulate wheel test-wheel clean

# The suites of demo/, one after the other and on four workers.
demo: $(VENV)/installed
	$(RUN) scripts/demo.py

# Selenium with one headless Chromium and one local web application for each worker.
demo-browser: $(VENV)/installed
	scripts/install_packages.sh build browser
	$(RUN) -m pip install --quiet --requirement scripts/requirements-browser.txt
	$(RUN) scripts/demo.py browser

# Everything that must pass; the last line is `N passed, N failed`.
test: $(VENV)/installed
	scripts/install_packages.sh remote || echo "the tests of other machines are skipped: they need ssh, sshd and rsync"
	$(RUN) scripts/run_tests.py

# CHECKS="ruff mypy": only these.
lint: $(TOOLS)/ready
	scripts/install_packages.sh build lint
	$(TOOLS)/bin/python scripts/lint.py $(CHECKS)

# Rewrites what `make lint` would complain of, where a program can.
format: $(TOOLS)/ready
	$(TOOLS)/bin/ruff check --quiet --fix --exit-zero .
	$(TOOLS)/bin/ruff format .
	find src cli tests -name '*.[ch]' 2>/dev/null | xargs $(TOOLS)/bin/clang-format -i

# The extension inside Python, and the C tests, under AddressSanitizer and UndefinedBehaviorSanitizer.
asan: $(VENV)/ready
	scripts/test_asan.sh

# Processes of small runs are killed and stopped at random. STORM="--runs 10000".
storm: $(VENV)/installed
	$(RUN) tests/storm/storm.py $(STORM)

# The end-to-end tests in processes that sleep at random. JITTER="tests/e2e/test_stops.py", JITTER_SEED=7.
jitter: $(VENV)/installed
	scripts/install_packages.sh build
	scripts/jitter.sh $(JITTER)

# Random suites and options, with workers and without: both tell the same. DIFFERENTIAL="--runs 1000".
differential: $(VENV)/installed
	$(RUN) tests/storm/differential.py $(DIFFERENTIAL)

# FUZZ_SECONDS=60 for each target of tests/fuzz.
fuzz: $(VENV)/ready
	scripts/install_packages.sh build fuzz
	scripts/fuzz.sh

# Every Python found, with every pytest that goes with it; see the head of the script.
matrix: $(VENV)/ready
	$(RUN) scripts/matrix.py

# Popular plugins: without workers, with pytest-xdist, with phalanx. COMPAT="cov django", COMPAT=--docs.
compat: $(VENV)/installed
	scripts/install_packages.sh build compat
	$(RUN) scripts/compat.py $(COMPAT)

# pytest-xdist's own tests, unchanged, against phalanx. CONFORMANCE="acceptance_test.py --runs 20"
conformance: $(VENV)/installed
	$(RUN) scripts/conformance.py $(CONFORMANCE)

# BENCH=arguments of the script.
bench: $(VENV)/installed
	$(RUN) bench/run.py $(BENCH)

# Suites of popular projects: the same answer? at what cost? REAL="attrs flask", REAL=--docs.
real-suites: $(VENV)/installed
	$(RUN) bench/real_suites.py $(REAL)

# The tables of docs/design/scheduling.md, anew.
simulate: $(VENV)/ready
	scripts/install_packages.sh build
	PATH="$(CURDIR)/$(VENV)/bin:$$PATH" $(RUN) scripts/simulate.py

# dist/phalanx-*.whl for $(PYTHON), with its libraries inside.
wheel: $(TOOLS)/ready
	scripts/install_packages.sh build
	scripts/build_wheel.sh

# The wheel in a root directory that has Python and nothing else.
test-wheel: wheel
	scripts/test_wheel.sh

clean:
	rm -rf build build-* $(VENV) $(TOOLS) dist .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/ready: scripts/install_packages.sh scripts/requirements.txt
	scripts/install_packages.sh
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --requirement scripts/requirements.txt
	touch $@

$(VENV)/installed: $(VENV)/ready $(SOURCES)
	PATH="$(CURDIR)/$(VENV)/bin:$$PATH" $(RUN) -m pip install --quiet --no-build-isolation --no-deps \
	    --force-reinstall -Cbuild-dir=build .
	touch $@

$(TOOLS)/ready: scripts/install_packages.sh scripts/requirements.txt scripts/requirements-tools.txt
	scripts/install_packages.sh
	rm -rf $(TOOLS)
	$(PYTHON) -m venv $(TOOLS)
	$(TOOLS)/bin/python -m pip install --quiet --requirement scripts/requirements-tools.txt
	touch $@
