# edgepress: `make demo` and `make test` do all the set-up they need.
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.edgepress-installed
export OMP_NUM_THREADS ?= 1

.PHONY: help demo test test-emulated smoke lint types bench clean

help:  ## list the commands
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 10

$(STAMP): pyproject.toml constraints.txt setup.py tools/make_venv.sh
	tools/make_venv.sh $(VENV) torch,litert,ethosu,tflm,dev
	@touch $@

demo: $(STAMP)  ## train, quantize, export, prove and profile a watch network (minutes)
	OMP_NUM_THREADS=2 $(BIN)/edgepress run watch-har --out runs/watch-har

test: lint types  ## all tests that need no emulator (under 10 minutes on 2 cores)
	$(BIN)/python -m pytest -q -n 2 --dist loadfile -m "not emulated"

test-emulated: $(STAMP)  ## tests under QEMU and long ones with sanitizers; installs what is missing if root (minutes)
	$(BIN)/python -c "from edgepress.devices.emulate_pi import setup; setup('pi5', install=True, progress=print)"
	$(BIN)/python -c "from edgepress.devices.emulate_mcu import find_tools; find_tools(install=True)"
	$(BIN)/python -c "from edgepress.devices.emulate_c import find_linux_tools; find_linux_tools(install=True)"
	$(BIN)/python -c "from edgepress.devices.tools_needed import install_missing; install_missing(('ssh', 'sshd', 'clang'))"
	$(BIN)/python -m pytest -q -m emulated

smoke: $(STAMP)  ## the whole flow on a toy model (under 30 seconds)
	$(BIN)/python -m pytest -q tests/test_smoke.py

lint: $(STAMP)  ## ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)  ## mypy --strict on the package under its import name
	@mkdir -p build/types/edgepress
	@for room in __init__.py py.typed compress devices export runtime tools; do \
		ln -sfn "$(CURDIR)/$$room" build/types/edgepress/$$room; done
	MYPYPATH=build/types $(BIN)/mypy -p edgepress

bench: $(STAMP)  ## our own timings, as ratios against named baselines
	$(BIN)/python -m edgepress.tools.bench.speed

clean:  ## remove what make built
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache *.egg-info $(VENV)
