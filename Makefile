# SPDX-License-Identifier: Apache-2.0
# Everything a developer needs. Each goal makes .venv first if it is not there; plain
# Python 3.11 (or newer) and make are enough. `make help` lists the goals.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

PLUGIN_PROJECTS := $(wildcard plugins/*/*/pyproject.toml)
PLUGINS := $(PLUGIN_PROJECTS:/pyproject.toml=)
PROTO := mmar_runner/wire/proto
PROTOS := $(wildcard $(PROTO)/*.proto)
TYPED := mmar_runner benchmarks $(wildcard plugins/*/*/mmar_runner_*)

# What pytest is told besides pyproject.toml, such as PYTEST="-n 2 -m 'not slow'".
# A worker gets neighbouring tests: what a file's tests share is made once, not by each worker.
PYTEST ?= -n 2 --dist worksteal

.PHONY: help venv demo demo-insecure test test-all simulate-faults faults fuzz lint format types imports protos bench bench-scale bench-trust non-iid federated-and-pooled soak robustness mutants check wheels clean

help: ## List the goals
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort

venv: $(STAMP) ## Make .venv with the core, the bundled plugins and the tools

# Installed again only when a dependency list changed: the sources are used in place.
$(STAMP): pyproject.toml constraints.txt $(PLUGIN_PROJECTS)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt pip hatchling
	$(BIN)/python -m pip install --quiet --no-build-isolation --constraint constraints.txt \
		--editable '.[dev]' $(addprefix --editable ./,$(PLUGINS))
	touch $@

# What the demonstration is told, such as DEMO="--workspace FOLDER --rounds 2".
DEMO ?=

demo: $(STAMP) ## Provision, sign mmars/breast_cancer, train it with three clients over TLS
	$(BIN)/python benchmarks/demo.py $(DEMO)

demo-insecure: $(STAMP) ## The same without kits, signatures and encryption: a first look
	$(BIN)/python benchmarks/demo.py --insecure $(DEMO)

test: $(STAMP) ## Run all tests
	$(BIN)/python -m pytest $(PYTEST)

# Where real archives lie; what is tried with them says so where there are none.
ARCHIVES ?= ../shared/corpus

test-all: $(STAMP) ## Run all tests, those of the archives in ARCHIVES too
	MMAR_CORPUS=$(abspath $(ARCHIVES)) $(BIN)/python -m pytest $(PYTEST)

# How many simulated worlds are tried, from seed 0 on.
SEEDS ?= 10000

simulate-faults: $(STAMP) ## Try many seeds of the simulated world, such as SEEDS=10000
	MMAR_RUNNER_SEEDS=0:$(SEEDS) $(BIN)/python -m pytest $(PYTEST) \
		tests/simulated_world/test_simulated_world.py

lint: $(STAMP) ## Check style (ruff, all rules but a short list with reasons)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(STAMP) ## Mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(STAMP) ## Check types (mypy, strict)
	$(BIN)/mypy $(TYPED)

imports: $(STAMP) ## Check that the rooms' imports point downwards
	$(BIN)/lint-imports

protos: $(STAMP) ## Generate the protocol's modules again; fail if they differed
	$(BIN)/python -m grpc_tools.protoc --proto_path=. --python_out=. --pyi_out=. $(PROTOS)
	git diff --stat --exit-code -- $(PROTO)

# What is measured, such as BENCH="--write", BENCH="--quick" or BENCH="--case 100MB-2".
BENCH ?=

bench: $(STAMP) ## Measure all that has a bound (10 to 25 minutes); BENCH="--write" keeps the table
	@$(BIN)/python benchmarks/bench.py $(BENCH)

bench-scale: $(STAMP) ## Measure how far a federation grows; BENCH="--write" keeps the table
	@$(BIN)/python benchmarks/scale.py $(BENCH)

bench-trust: $(STAMP) ## Measure what signing and verifying an MMAR cost beside plain hashing
	@$(BIN)/python benchmarks/trust.py $(TRUST)

# What is measured of attacks, such as ROBUSTNESS="--only Median".
ROBUSTNESS ?=

robustness: $(STAMP) ## Attack every robust rule, and see what is lost (half an hour)
	@$(BIN)/python benchmarks/robustness.py $(ROBUSTNESS)

# What the comparison is told, such as NON_IID="--write" or NON_IID="--alpha 1 --seeds 2".
NON_IID ?=

non-iid: $(STAMP) ## Train sites whose data differ by four algorithms (half an hour)
	@$(BIN)/python benchmarks/non_iid.py $(NON_IID)

# What this one is told, such as FEDERATED="--write" or FEDERATED="--sites 4 --seeds 1".
FEDERATED ?=

federated-and-pooled: $(STAMP) ## Train a U-Net across sites and on all volumes at once (minutes)
	@$(BIN)/python benchmarks/federated_and_pooled.py $(FEDERATED)

soak: $(STAMP) ## Run 2,000 rounds and see that no process grows (minutes)
	@$(BIN)/python benchmarks/soak.py $(SOAK)

# What the fault suite is told, such as FAULTS="--case F04 --seeds 3" or "--nominal".
FAULTS ?=

faults: $(STAMP) ## Hurt real processes, 10 seeds a case; writes docs/reference/faults.md
	$(BIN)/python -m tests.faults.scorecard $(FAULTS)

# Whose mutants are tried, such as MUTANTS="security/policy --sample 100".
MUTANTS ?= federation

mutants: $(STAMP) ## Put faults into rooms or modules and see which no test notices (minutes)
	@$(BIN)/python -m tests.mutation $(MUTANTS)

# How long `make fuzz` searches for inputs that break a reader, all targets together.
SECONDS ?= 3600

fuzz: $(STAMP) ## Search for inputs that break a reader, such as SECONDS=3600 (Linux, atheris)
	$(BIN)/python -c 'import atheris' 2>/dev/null || $(BIN)/python -m pip install --quiet \
		--no-build-isolation --constraint constraints.txt --editable '.[fuzz]'
	nice -n 19 $(BIN)/python -m tests.fuzz.search --seconds $(SECONDS)

check: lint types imports protos test ## Everything that CI checks

wheels: $(STAMP) ## Build the wheels of the core and of every bundled plugin into dist/
	for project in . $(PLUGINS); do \
		$(BIN)/python -m build --wheel --no-isolation --outdir dist $$project; \
	done

clean: ## Remove what was built, the environment included
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage*
