# Each target makes the environment itself and installs again only when pyproject.toml or the lock
# has changed.
PYTHON ?= python3
SEEDS ?= 1000
COMMANDS ?= 1000000
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
SOURCE_VENV := .venv-source
SOURCE_INSTALLED := $(SOURCE_VENV)/.installed
# Our packages come from the compiled wheel here; all else of the project is linked beside them.
COMPILED := .compiled
COMPILED_INSTALLED := $(COMPILED)/.installed
COMPILED_TESTS ?= tests/engine tests/risk tests/model tests/fix_gateway tests/simulation $(addprefix tests/integration/test_, \
    dialects.py exactly_once.py recovery.py trading.py wire_scripts.py)
PACKAGES := admin_api config engine fix_gateway risk store
# Other order books, each in an environment of its own.
PEERS := liquibook==2.0.1 akhil4n-orderbook==0.1.1 pyorderbook==0.4.9 lightmatchingengine==2019.1.4
PEERS_INSTALLED := $(foreach peer,$(PEERS),.bench/$(firstword $(subst ==, ,$(peer)))/.installed)

.DEFAULT_GOAL := help
.PHONY: help run demo test test-compiled test-outside test-source wheel simulate chaos replay-proof check format bench bench-check bench-peers lock clean

help:  ## List the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "%-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(INSTALLED)  ## Start the whole venue with demo firms, accounts and sessions.
	@exec $(BIN)/wcx up --demo

demo: $(INSTALLED)  ## While `make run` runs: trade over FIX and print every message.
	@$(BIN)/wcx demo

test: $(INSTALLED)  ## Run the whole test suite, but for what `make check` runs.
	$(BIN)/pytest -n 2 --dist worksteal -m "not alone" --ignore tests/test_tidy.py
	$(BIN)/pytest -m alone

test-compiled: $(COMPILED_INSTALLED)  ## Run COMPILED_TESTS on the compiled wheel.
	cd $(COMPILED) && WCX_TEST_COMPILED=1 venv/bin/pytest -n 2 --dist worksteal -m "not alone" $(COMPILED_TESTS)

wheel: $(INSTALLED)  ## Build the wheel, its hot modules compiled: needs a C compiler, takes a minute.
	HATCH_BUILD_HOOK_ENABLE_CUSTOM=true $(BIN)/hatchling build --target wheel --directory dist

test-source: $(SOURCE_INSTALLED)  ## Run the suite on QuickFIX compiled from the official sources.
	$(SOURCE_VENV)/bin/pytest -n 2 --dist worksteal -m "not alone"
	$(SOURCE_VENV)/bin/pytest -m alone

test-outside: $(INSTALLED)  ## Run the integration tests on your WCX_TEST_DATABASE_URL, _REDIS_URL, _MQTT_URL.
	@: $${WCX_TEST_DATABASE_URL:?} $${WCX_TEST_REDIS_URL:?} $${WCX_TEST_MQTT_URL:?}
	$(BIN)/pytest -n 2 --dist worksteal -m "not alone" tests/integration
	$(BIN)/pytest -m alone tests/integration

simulate: $(INSTALLED)  ## Simulate SEEDS=1000 venues on failing disks, links and clocks.
	$(BIN)/python -m tests.simulation --seeds $(SEEDS)

replay-proof: $(INSTALLED)  ## Replay a random journal of COMMANDS=1000000 twice to the same state.
	$(BIN)/python -m tests.model.replay_proof --commands $(COMMANDS)

chaos: $(INSTALLED)  ## Inject 200 faults into a venue: nothing may be lost or doubled.
	$(BIN)/wcx chaos

check: $(INSTALLED)  ## Formatting, lint, types, import contracts, house rules.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -q tests/test_tidy.py

format: $(INSTALLED)  ## Format the code and mend what the linter can mend itself.
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(COMPILED_INSTALLED) $(PEERS_INSTALLED)  ## Measure, beside baselines in the same run; BENCH=--help says what there is.
	cd $(COMPILED) && venv/bin/python -m benchmarks $(BENCH)

bench-check: $(COMPILED_INSTALLED) $(PEERS_INSTALLED)  ## Fail if a stored ratio has lost more than a quarter.
	cd $(COMPILED) && venv/bin/python -m benchmarks --check

bench-peers: $(PEERS_INSTALLED)  ## Install the order books that `make bench` compares with.

lock: $(INSTALLED)  ## Resolve pyproject.toml anew into the two lock files.
	$(BIN)/pip install --quiet uv==0.13.9
	$(BIN)/uv pip compile $(LOCK_FLAGS) --extra binary --extra embedded --extra dev --extra bench \
	    --output-file requirements/binary.lock pyproject.toml
	$(BIN)/uv pip compile $(LOCK_FLAGS) --extra source --extra embedded --extra dev --extra bench \
	    --output-file requirements/source.lock pyproject.toml
	@for peer in $(PEERS); do \
	    echo $$peer | $(BIN)/uv pip compile $(LOCK_FLAGS) \
	        --output-file requirements/peers/$${peer%%==*}.lock - || exit; \
	done

clean:  ## Remove environments and caches. The venue's data in var/ stays.
	rm -rf $(VENV) $(SOURCE_VENV) $(COMPILED) .bench .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis

LOCK_FLAGS := --quiet --universal --python-version 3.11 --generate-hashes --no-header \
    --custom-compile-command "make lock"

PIP := -m pip --disable-pip-version-check install --quiet

$(INSTALLED): pyproject.toml requirements/binary.lock
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python $(PIP) --require-hashes --requirement requirements/binary.lock
	$(BIN)/python $(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

# The official package is compiled here, which takes minutes. CXXFLAGS leaves out the debug symbols.
$(SOURCE_INSTALLED): pyproject.toml requirements/source.lock
	$(PYTHON) -m venv $(SOURCE_VENV)
	CXXFLAGS="-O1 -g0" $(SOURCE_VENV)/bin/python $(PIP) --require-hashes \
	    --requirement requirements/source.lock
	$(SOURCE_VENV)/bin/python $(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(COMPILED_INSTALLED): $(INSTALLED) deploy/compiled_wheel.py $(shell find $(PACKAGES) -name '*.py')
	rm -rf $(COMPILED)/dist
	HATCH_BUILD_HOOK_ENABLE_CUSTOM=true $(BIN)/hatchling build --target wheel --directory $(COMPILED)/dist
	test -d $(COMPILED)/venv || $(PYTHON) -m venv $(COMPILED)/venv
	$(COMPILED)/venv/bin/python $(PIP) --require-hashes --requirement requirements/binary.lock
	$(COMPILED)/venv/bin/python $(PIP) --no-deps --force-reinstall $(COMPILED)/dist/*.whl
	for entry in .bench $(filter-out $(PACKAGES),$(wildcard *)); do ln -sfn ../$$entry $(COMPILED)/$$entry; done
	@touch $@

.bench/%/.installed: requirements/peers/%.lock
	$(PYTHON) -m venv .bench/$*
	.bench/$*/bin/python $(PIP) --require-hashes --requirement $<
	@touch $@
