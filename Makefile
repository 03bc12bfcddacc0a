# Everything runs from here, on a machine with nothing but python3 (3.11 or newer), make and the
# package registries. Each environment is made when first needed, from the one lock file; none mixes
# with another (pyproject.toml says why).

PYTHON ?= python3
ENV ?= dev
TESTS ?= tests
PROVIDER ?= fal
# How much of it, such as PROOF="matrix --every 5"; nothing means all of it.
PROOF ?=
MINUTES ?= 5
# Three processes for two cores, because the stacks mostly wait. A file stays on one of them, so a
# stack started by a module starts once; in the order of the folders, because the slow ones come
# first and small files fill the gaps at the end.
PYTEST_OPTIONS ?= -n 3 --dist loadfile --no-loadscope-reorder

export PYTHON
export UV_PYTHON_DOWNLOADS := never
export SAM_CLI_TELEMETRY := 0

UV_VERSION := 0.13.8
UV_HOME := .envs/uv
UV := $(UV_HOME)/bin/uv
UV_READY := $(UV_HOME)/$(UV_VERSION)
SYNC = $(UV) sync --quiet --locked --python $(UV_HOME)/bin/python
RUN := .venv/bin/
SAM := .envs/sam/bin/sam

DEV := .venv/.synced
STACK := $(DEV) .envs/emulator/.synced .envs/lambda/.synced .envs/lambda-media/.synced
SAM_READY := .envs/sam/.synced
CHECKOV_READY := .envs/checkov/.synced
# Runware's two official SDKs share an import name: contract tests run each in a place of its own.
SDKS := .envs/runware/.synced .envs/runware-legacy/.synced

TYPED = $(wildcard shared/clipmint functions local layers tests benchmarks docs/*.py)

.DEFAULT_GOAL := help
.PHONY: help demo up token test check proof soak build deploy openapi bench clean

help:  ## Show this
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(STACK)  ## Watch paid videos being made on this machine: make demo [PROVIDER=all|fal|runway|runware]
	$(RUN)python -m local.demo --provider $(PROVIDER)

up: $(STACK)  ## Start the local stack and keep it until Ctrl-C
	$(RUN)python -m local up

token: $(STACK)  ## Print a token the running stack accepts: make token NAME=ada [ADMIN=1]
	@$(RUN)python -m local token --user $(or $(NAME),demo) $(if $(ADMIN),--admin)

test: $(STACK) $(SAM_READY) $(SDKS)  ## Run every test; TESTS=tests/unit runs some
	$(RUN)pytest $(PYTEST_OPTIONS) $(TESTS)

check: $(STACK) $(SAM_READY) $(CHECKOV_READY)  ## Lint, types, template, state machine, imports, OpenAPI
	$(RUN)ruff check
	$(RUN)ruff format --check
	$(RUN)mypy $(TYPED)
	$(RUN)cfn-lint template.yaml
	$(SAM) validate --lint
	.envs/checkov/bin/checkov --config-file .checkov.yaml
	PYTHONPATH=shared $(RUN)lint-imports
	$(RUN)pytest -q tests/template/test_state_machine.py
	$(if $(wildcard docs/generate_openapi.py),$(RUN)python docs/generate_openapi.py --check)

proof: $(STACK)  ## Die at every side effect, do anything in any order, race; ends with violations: N
	PYTHONPATH=shared $(RUN)python -m tests.proof $(PROOF)

soak: $(STACK)  ## Users and faults of all sorts, for a while: make soak [MINUTES=5] [SEED=text]
	PYTHONPATH=shared $(RUN)python -m tests.proof.soak --minutes $(MINUTES) $(if $(SEED),--seed "$(SEED)")

build: $(UV_READY) $(SAM_READY)  ## Build functions and layers for Lambda into .aws-sam/build
	$(SAM) build

deploy: build  ## Deploy to AWS with your credentials: make deploy ENV=dev|prod
	$(SAM) deploy --config-env $(ENV)

openapi: $(DEV)  ## Write docs/openapi.json from the handlers
	$(RUN)python docs/generate_openapi.py

bench: $(STACK)  ## Measure against the budgets, and write docs/benchmarks.md; ends with over budget: N
	$(RUN)python -m benchmarks --write

clean:  ## Remove what was built, and the environments
	rm -rf .aws-sam .venv .envs out build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -type d -name __pycache__ -prune -exec rm -rf {} +

# ── Environments ─────────────────────────────────────────────────────────────────────────────────

$(UV_READY):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Clipmint needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1)." >&2; \
	  echo "Install one, or name it: make PYTHON=/path/to/python3.12 ..." >&2; exit 1; }
	$(PYTHON) -m venv --clear $(UV_HOME)
	$(UV_HOME)/bin/python -m pip install --quiet uv==$(UV_VERSION)
	@touch $@

$(DEV): uv.lock | $(UV_READY)
	$(SYNC)
	@touch $@

.envs/emulator/.synced: GROUPS := --only-group emulator
.envs/lambda/.synced: GROUPS := --only-group runtime
.envs/lambda-media/.synced: GROUPS := --only-group runtime --only-group media
.envs/sam/.synced: GROUPS := --only-group sam
.envs/checkov/.synced: GROUPS := --only-group checkov
.envs/runware/.synced: GROUPS := --only-group runware
.envs/runware-legacy/.synced: GROUPS := --only-group runware-legacy

.envs/%/.synced: uv.lock | $(UV_READY)
	UV_PROJECT_ENVIRONMENT=.envs/$* $(SYNC) $(GROUPS)
	@touch $@
