# Two commands do all the set-up on a fresh machine: `make run` and `make test`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CACHE := .cache
PRISM := $(CACHE)/bin/prism
BEAM_VERSION := 2.77.0
SYSTEM_PACKAGES := libxkbcommon-dev xkb-data libx11-data
XKB_FILES := /usr/share/X11/xkb/rules/evdev /usr/share/X11/locale/en_US.UTF-8/Compose
OUT ?= out

.DEFAULT_GOAL := help
.PHONY: help run test lint prism bench evaluate soak clean system

help: ## What can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

$(VENV)/bin/pip:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "taskreel needs Python 3.11 or newer: make PYTHON=python3.11 …")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip 'setuptools>=77'

$(VENV)/.run: setup.py constraints.txt | $(VENV)/bin/pip
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[simulate]'
	@touch $@

# Keyboard layouts: the library xkbcommon is built from source, and XKB's layouts and compose sequences are data of the system.
$(VENV)/.system: | $(VENV)/bin/pip
	@echo '#include <xkbcommon/xkbcommon-compose.h>' | $(CC) -E - >/dev/null 2>&1 && ls $(XKB_FILES) >/dev/null 2>&1 \
		|| $(MAKE) --no-print-directory system
	@touch $@

system: ## Install what the tests need of the system (as root, by apt-get)
	@[ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null || { \
		echo "Keyboard layouts need the system packages $(SYSTEM_PACKAGES) (names of Debian)."; \
		echo "Install them, or run 'make system' as root on Debian or Ubuntu; then run make again."; exit 1; } >&2
	apt-get update --quiet
	DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --no-install-recommends $(SYSTEM_PACKAGES)

$(VENV)/.dev: setup.py constraints.txt $(VENV)/.system | $(VENV)/bin/pip
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[gcp,import,simulate,watch,dev]'
	@touch $@ $(VENV)/.run

run: $(VENV)/.run ## A real recording and a simulated cohort become a dataset in out/dataset
	$(BIN)/taskreel import ducktrack examples/ducktrack --out $(OUT)/recordings --participant guest --grant
	$(BIN)/taskreel simulate --out $(OUT)/recordings --participants 3 --minutes 20 --seed 1
	$(BIN)/taskreel run --input $(OUT)/recordings --output $(OUT)/dataset

prism: $(PRISM) ## Build the Prism runner with Go, for tests on a second runner
$(PRISM):
	GOBIN=$(abspath $(CACHE))/bin go install github.com/apache/beam/sdks/v2/go/cmd/prism@v$(BEAM_VERSION)

test: $(VENV)/.dev $(PRISM) ## The whole test suite
	TASKREEL_PRISM=$(abspath $(PRISM)) $(BIN)/python -m pytest -m 'not soak' -n auto --dist worksteal --durations=10

lint: $(VENV)/.dev ## ruff (format and lint) and mypy (strict on io and transforms)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	mkdir -p build/typecheck/taskreel
	for file in __init__ __main__ app service upkeep; do ln -sfn ../../../taskreel/$$file.py build/typecheck/taskreel/$$file.py; done
	for folder in capture io pipelines transforms; do ln -sfn ../../../$$folder build/typecheck/taskreel/$$folder; done
	cd build/typecheck && ../../$(BIN)/mypy --config-file ../../pyproject.toml -p taskreel.io -p taskreel.transforms

bench: $(VENV)/.dev ## Measure speed, memory and sizes; writes bench/results/
	$(BIN)/python -m bench
	$(BIN)/python -m bench.stages
	$(BIN)/python -m bench.reducer
	$(BIN)/python -m bench.incremental

evaluate: $(VENV)/.dev ## Measure cuts, actions and observations on seeds that nobody tuned on; writes bench/results/
	$(BIN)/python -m bench.evaluation

soak: $(VENV)/.dev $(PRISM) ## Slow proofs: runs that are killed 200 times, streams of an hour that are killed 100 times
	TASKREEL_PRISM=$(abspath $(PRISM)) $(BIN)/python -m pytest -m soak --timeout=7200

clean: ## Remove what was made, but not the virtual environment
	rm -rf build dist *.egg-info $(OUT) .pytest_cache .mypy_cache .ruff_cache .hypothesis
