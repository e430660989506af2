# `make` alone explains itself. Every target sets up what it needs.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The twin's name, so that two can stand side by side: make up TWIN=other
TWIN ?= default
# How many twins `make acceptance` uses at once, called $(TWIN)-1, $(TWIN)-2 and so on; 1: just $(TWIN)
TWINS ?= 2
# More options for pytest: make acceptance ARGS="-m smoke"
ARGS ?=
FEATURES ?= features/

.PHONY: help
help: ## Show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(BIN)/.installed: requirements.lock
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "cutover needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)
	@# Most modules are never imported: those that are compile themselves.
	$(BIN)/pip install --no-compile --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@touch $@

.PHONY: setup
setup: $(BIN)/.installed ## Make .venv from the lock file

.PHONY: acceptance
acceptance: setup ## Bring up two twins, run pytest features/, leave reports/latest/report.html
	@status=0; $(BIN)/pytest $(FEATURES) --twin $(TWIN) $(if $(filter-out 1,$(TWINS)),-n $(TWINS)) $(ARGS) || status=$$?; \
	 if [ $$status -le 1 ]; then $(BIN)/python -m signoff.report || exit $$?; fi; exit $$status

.PHONY: acceptance-data
acceptance-data: ## The same for the data alone: replicas, promotion, backups, restores
	@$(MAKE) --no-print-directory acceptance FEATURES="features/replication features/backups"

.PHONY: test
test: setup lint ## The harness's own tests: unit tests, then sabotages on a real twin
	@# What times answers runs alone, before the rest shares the machine. 5: ARGS chose none of them.
	$(BIN)/pytest tests/ -m quiet $(ARGS) || [ $$? -eq 5 ]
	$(BIN)/pytest tests/ -m "not quiet" -n 2 --dist loadfile --no-loadscope-reorder $(ARGS) || [ $$? -eq 5 ]

.PHONY: unit
unit: setup ## Only the tests that need no cluster
	$(BIN)/pytest tests/unit $(ARGS)

.PHONY: up
up: setup ## Bring the twin up with the plan's stacks, and leave it up
	$(BIN)/python -m fixtures.cluster up --twin $(TWIN)

.PHONY: down
down: setup ## Take the twin down; nothing of it is left
	$(BIN)/python -m fixtures.cluster down --twin $(TWIN)

.PHONY: status
status: setup ## Say what stands: engine, twins, nodes, services
	$(BIN)/python -m fixtures.cluster status --twin $(TWIN)

.PHONY: report
report: setup ## Build the report of the newest run again
	$(BIN)/python -m signoff.report

.PHONY: criteria
criteria: setup ## Write docs/criteria.md from reports/latest, a whole run on a twin
	$(BIN)/python -m signoff.criteria

.PHONY: bench
bench: setup ## Measure against floors; one table and reports/bench.json
	$(BIN)/python -m bench $(ARGS)

.PHONY: lint
lint: setup ## ruff (lint and format) and mypy --strict, of the tests on a twin too
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

.PHONY: format
format: setup ## Let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: lock
lock: setup ## Pin the newest versions in requirements.lock
	$(BIN)/pip-compile --quiet --upgrade --extra dev --generate-hashes --strip-extras \
	  --allow-unsafe --no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
	  --no-header -o requirements.lock pyproject.toml

.PHONY: dead-man
dead-man: setup ## Kill the harness N times at random moments: make dead-man N=50
	CUTOVER_KILLS=$(or $(N),50) $(BIN)/pytest tests/twin/test_dead_man.py $(ARGS)

.PHONY: test-slow
test-slow: setup ## The sabotages that are too slow for every day
	CUTOVER_SLOW=1 $(BIN)/pytest tests/twin/test_other_ways.py $(ARGS)

.PHONY: docs
docs: setup ## Write the table of faults from the code
	$(BIN)/python -m chaos.docs

.PHONY: clean-cache
clean-cache: setup ## Remove engine, images and downloads: the cold start of a new machine
	$(BIN)/python -m fixtures.engine clean-cache
