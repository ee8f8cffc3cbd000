# Two commands do all the set-up on a fresh machine: `make run` and `make test`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CACHE := .cache
PRISM := $(CACHE)/bin/prism
BEAM_VERSION := 2.77.0
SYSTEM_PACKAGES := libxkbcommon-dev xkb-data libx11-data linux-libc-dev
# What the tests of the capture client work with: an X server, programs that have windows, a message bus.
DESKTOP_PACKAGES := xvfb xauth openbox xterm x11-xkb-utils x11-utils x11-xserver-utils tint2 dbus at-spi2-core fcitx5 \
	python3-gi gir1.2-gtk-3.0 python3-pyqt5 fonts-dejavu-core libxkbcommon-x11-0
XKB_LIBRARY := /usr/lib/*/libxkbcommon-x11.so.0
DESKTOP_COMMANDS := Xvfb openbox xterm setxkbmap xkbcomp xprop xrandr tint2 dbus-daemon fcitx5
XKB_FILES := /usr/share/X11/xkb/rules/evdev /usr/share/X11/locale/en_US.UTF-8/Compose
OUT ?= out

.DEFAULT_GOAL := help
.PHONY: help run test lint prism bench same-bytes evaluate soak clean system flex-template flex-template-needs

help: ## What can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

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
		&& (for name in $(DESKTOP_COMMANDS); do command -v $$name >/dev/null || exit 1; done) && /usr/bin/python3 -c 'import gi; gi.require_version("Gtk", "3.0"); import PyQt5.QtWidgets' 2>/dev/null \
		&& ls $(XKB_LIBRARY) /usr/libexec/at-spi2-registryd >/dev/null 2>&1 \
		|| $(MAKE) --no-print-directory system
	@touch $@

system: ## Install what the tests need of the system (as root, by apt-get)
	@[ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null || { \
		echo "Keyboard layouts and the tests of the capture client need the system packages $(SYSTEM_PACKAGES) $(DESKTOP_PACKAGES) (names of Debian)."; \
		echo "Install them, or run 'make system' as root on Debian or Ubuntu; then run make again."; exit 1; } >&2
	apt-get update --quiet
	DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --no-install-recommends $(SYSTEM_PACKAGES) $(DESKTOP_PACKAGES)

$(VENV)/.dev: setup.py constraints.txt $(VENV)/.system | $(VENV)/bin/pip
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[capture,gcp,import,rehearse,simulate,watch,dev]'
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

lint: $(VENV)/.dev ## ruff (format and lint) and mypy (strict on io, transforms, the capture client and the rehearsal)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	mkdir -p build/typecheck/taskreel
	for file in __init__ __main__ app capturing planning publishing rehearsing service template upkeep; do ln -sfn ../../../taskreel/$$file.py build/typecheck/taskreel/$$file.py; done
	for folder in capture io pipelines rehearsal transforms; do ln -sfn ../../../$$folder build/typecheck/taskreel/$$folder; done
	cd build/typecheck && ../../$(BIN)/mypy --config-file ../../pyproject.toml -p taskreel.io -p taskreel.transforms \
		-p taskreel.capture.recorder -p taskreel.capture.sources -p taskreel.capture.publisher -p taskreel.capture.watchers \
		-p taskreel.capture.indicators -p taskreel.rehearsal

bench: $(VENV)/.dev ## Measure speed, memory and sizes; writes bench/results/
	$(BIN)/python -m bench
	$(BIN)/python -m bench.stages
	$(BIN)/python -m bench.reducer
	$(BIN)/python -m bench.incremental
	$(BIN)/python -m bench.capture_client
	$(BIN)/python -m bench.capture_client --pictures --per-s 20
	$(BIN)/python -m bench.office_day

same-bytes: $(VENV)/.dev $(PRISM) ## One input through every runner of this machine: the datasets have to be equal
	TASKREEL_PRISM=$(abspath $(PRISM)) $(BIN)/python -m bench.same_bytes

evaluate: $(VENV)/.dev ## Measure cuts, actions and observations on seeds that nobody tuned on; writes bench/results/
	$(BIN)/python -m bench.evaluation

flex-template-needs:
	@sh dataflow/check.sh '$(IMAGE)' '$(TEMPLATE)'

flex-template: flex-template-needs | $(VENV)/bin/pip ## Image and flex template for Dataflow: IMAGE=registry/name:tag TEMPLATE=gs://….json
	rm -rf build/image && mkdir -p build/image
	$(BIN)/python setup.py --quiet sdist --dist-dir build/image
	mv build/image/taskreel-*.tar.gz build/image/taskreel.tar.gz
	cp constraints.txt requirements-worker.txt dataflow/main.py build/image/
	docker build --file dataflow/Dockerfile --build-arg 'IMAGE=$(IMAGE)' --tag '$(IMAGE)' build/image
	docker push '$(IMAGE)'
	gcloud dataflow flex-template build '$(TEMPLATE)' --image '$(IMAGE)' --sdk-language PYTHON --metadata-file dataflow/metadata.json

soak: $(VENV)/.dev $(PRISM) ## Slow proofs: runs that are killed 200 times, streams of an hour that are killed 100 times
	TASKREEL_PRISM=$(abspath $(PRISM)) TASKREEL_SOAK=1 $(BIN)/python -m pytest -m 'soak or examples' --timeout=7200

clean: ## Remove what was made, but not the virtual environment
	rm -rf build dist *.egg-info $(OUT) .pytest_cache .mypy_cache .ruff_cache .hypothesis
