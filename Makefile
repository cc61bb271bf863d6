# make derive and make test need python3 >= 3.11, a C++17 compiler and make; the rest is set up here.
# A stamp in .venv/stamps is written only after its step succeeded, so that an interrupted run resumes.

VENV   := .venv
BIN    := $(VENV)/bin
STAMPS := $(VENV)/stamps
BUILD  := build/cmake

PYTHON ?= $(firstword $(foreach name,python3 python3.14 python3.13 python3.12 python3.11,\
    $(shell $(name) -c 'import sys; print("$(name)" * (sys.version_info >= (3, 11)))' 2>/dev/null)))
ifeq ($(origin CXX),default)
CXX := $(firstword $(notdir $(foreach name,g++ clang++ c++,$(shell command -v $(name)))))
endif
export CXX

SOURCES  := $(shell mkdir -p generated/cpp; \
    find cpp generated/cpp -name '*.[ch]pp' -o -name '*.cmake' -o -name CMakeLists.txt)
PACKAGES := $(shell find derivations codegen templates generated -name __init__.py)

WERROR    ?= ON
BLAS      ?= ON
NATIVE    ?= ON
TEST_JOBS ?= 2
SANITIZE_TESTS ?= tests/cpp tests/generated tests/gradwright/backends -k "not numpy"

PIP         := $(BIN)/python -m pip --disable-pip-version-check
CMAKE_FLAGS = $(foreach option,WERROR BLAS NATIVE,-Ccmake.define.GRADWRIGHT_$(option)=$($(option)))
# requirements of the build, or of the extras named as arguments, from pyproject.toml
REQUIRED_BY := $(BIN)/python -c 'import sys, tomllib; \
    data = tomllib.load(open("pyproject.toml", "rb")); \
    extras = data["project"]["optional-dependencies"] | {"build": data["build-system"]["requires"]}; \
    print(*(item for name in sys.argv[1:] for item in extras[name]), sep="\n")'

.NOTPARALLEL:
.DELETE_ON_ERROR:
.PHONY: help derive test check build lint bench accuracy sanitize sanitize-cpp wheel clean distclean FORCE

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Kernels that do not compile must not keep the generator from mending them.
derive: $(STAMPS)/derive ## Derive, prove and emit every layer into generated/
	@$(MAKE) --no-print-directory build || test -x $(BIN)/gradwright
	@$(BIN)/gradwright derive
	@$(MAKE) --no-print-directory build

check: build ## Fail if generated/ differs from what the scripts derive
	@$(BIN)/gradwright derive --check

test: lint ## Lint, check the types and run the tests
	@$(BIN)/pytest -q -n $(TEST_JOBS)

lint: build $(STAMPS)/test build/typing
	@$(BIN)/ruff check
	@$(BIN)/mypy

build: $(STAMPS)/build ## Compile gradwright._kernels and install the project in .venv, editable

bench: build $(STAMPS)/bench ## Measure kernels and training side by side with their peers
	@$(BIN)/python -m benchmarks

accuracy: build ## Measure the error of the float32 functions over every float
	@$(BIN)/cmake --build $(BUILD) --target accuracy
	@$(BUILD)/accuracy

sanitize: sanitize-cpp $(STAMPS)/test ## Run the C++ tests and those of the modules under sanitizers
	@$(PIP) install --quiet --no-build-isolation --no-deps --upgrade --target build/sanitize/site . \
	    -Cbuild-dir=build/sanitize/cmake -Ccmake.define.GRADWRIGHT_SANITIZE=ON $(CMAKE_FLAGS)
	@SKBUILD_EDITABLE_SKIP=$(CURDIR)/$(BUILD) PYTHONPATH=build/sanitize/site \
	    LD_PRELOAD="$$($(CXX) -print-file-name=libasan.so) $$($(CXX) -print-file-name=libstdc++.so)" \
	    ASAN_OPTIONS=detect_leaks=0 $(BIN)/pytest -q $(SANITIZE_TESTS)

# Without OpenMP all threads are the engine's own: a thread sanitizer does not see how libgomp waits.
sanitize-cpp:
	@mkdir -p build/sanitize
	@for test in runtime products engine; do for sanitizer in thread address,undefined; do \
	    echo "$${test}_test.cpp with -fsanitize=$$sanitizer"; \
	    $(CXX) -std=c++17 -O1 -g -fsanitize=$$sanitizer -fno-sanitize-recover=all -pthread \
	        -Icpp/include -Igenerated/cpp cpp/tests/$${test}_test.cpp -o build/sanitize/$${test}_test && \
	    build/sanitize/$${test}_test || exit 1; done; done

wheel: NATIVE = OFF
wheel: $(STAMPS)/derive ## Build a wheel for all machines of this kind in dist/ and try it in an empty environment
	@rm -rf dist build/wheel
	@$(PIP) wheel --quiet --no-build-isolation --no-deps --wheel-dir dist . \
	    -Cbuild-dir=build/portable $(CMAKE_FLAGS)
	@$(BIN)/python -m venv --clear build/wheel
	@build/wheel/bin/python -m pip install --quiet dist/*.whl pytest
	@cd build/wheel && bin/python -c 'import gradwright.blas, gradwright.instructions as own; \
	    print("gradwright", gradwright.__version__, "with", gradwright.blas.name(), "for", *own.available())'
	@cd build/wheel && bin/python -m pytest -q -rs -p no:cacheprovider $(CURDIR)/tests/gradwright/test_instructions.py

clean: ## Remove what was built, but not the environment
	rm -rf build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis $(STAMPS)/build
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

distclean: clean ## Remove the environment too
	rm -rf $(VENV)

# ---- Set-up --------------------------------------------------------------------------------------

$(STAMPS)/venv:
	@$(if $(PYTHON),,echo "make: no python3 >= 3.11 found; install one or name it: make PYTHON=/path/to/python3" >&2; exit 1)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "make: $(PYTHON) is not Python 3.11 or newer; name another: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || { \
	    echo "make: $(PYTHON) cannot make virtual environments; on Debian: apt install python3-venv" >&2; exit 1; }
	@$(PYTHON) -c 'import os, sys, sysconfig; \
	    sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))' || { \
	    echo "make: $(PYTHON) has no C headers; on Debian: apt install python3-dev" >&2; exit 1; }
	@echo 'int main() { if constexpr (true) return 0; }' | \
	    $(or $(CXX),false) -std=c++17 -x c++ -fsyntax-only - || { \
	    echo "make: no C++17 compiler found; on Debian: apt install g++, or name one: make CXX=clang++" >&2; exit 1; }
	@echo "Creating $(VENV)"
	@$(PYTHON) -m venv --clear $(VENV)
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/derive: pyproject.toml | $(STAMPS)/venv
	@echo "Installing what building and deriving need"
	@$(PIP) install --quiet --upgrade pip
	@$(PIP) install --quiet cmake ninja $$($(REQUIRED_BY) build derive)
	@touch $@

$(STAMPS)/test: pyproject.toml $(STAMPS)/derive
	@echo "Installing what the tests need"
	@$(PIP) install --quiet $$($(REQUIRED_BY) examples sklearn onnx safetensors test dev)
	@touch $@

$(STAMPS)/bench: pyproject.toml $(STAMPS)/derive
	@echo "Installing what the benchmarks need"
	@$(PIP) install --quiet $$($(REQUIRED_BY) bench examples)
	@touch $@

$(STAMPS)/build: $(STAMPS)/derive $(STAMPS)/inputs $(SOURCES)
	@echo "Building gradwright._kernels"
	@$(PIP) install --quiet --no-build-isolation --no-deps --editable . \
	    -Cbuild-dir=$(BUILD) $(CMAKE_FLAGS)
	@touch $@

# Removed sources, new packages and changed options leave no newer source behind, but change this list.
$(STAMPS)/inputs: FORCE | $(STAMPS)/venv
	@printf '%s\n' $(sort $(SOURCES) $(PACKAGES)) $(CMAKE_FLAGS) $(CXX) > $@.new
	@cmp -s $@ $@.new && rm $@.new || mv $@.new $@

# The tree as it is installed, for type checkers
build/typing: FORCE
	@rm -rf $@ && mkdir -p $@/gradwright
	@ln -s $(CURDIR)/gradwright/* $(CURDIR)/derivations $(CURDIR)/codegen $(CURDIR)/templates \
	    $(CURDIR)/generated $@/gradwright
