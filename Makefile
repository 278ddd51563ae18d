# From a fresh clone to a served index and a benchmark report: `make run`.
# Relative DATA and WORK are relative to the folder make is called in.

.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c

# The folder of this file, by the shell: make takes a path with spaces for several.
ROOT := $(shell cd "$$(dirname -- "$$(echo "$(MAKEFILE_LIST)" | sed 's/^ *//')")" && pwd)
VENV := $(ROOT)/.venv
# What has to be installed, by extras: what runs needs no test tools.
SERVE := installed-pipeline,serve,edge,gguf
DEV := installed-dev,edge,gguf
STACK_TOOLS := installed-stack,edge,gguf
DOCS := installed-docs
PYTHON ?= python3
PORT ?= 3000
DATA ?=
# What a new workspace starts with: pretrained, or tiny (trained from scratch, nothing to fetch).
PRESET ?= pretrained
# More options of `make stack`, e.g. STACK="--query-port 8001".
STACK ?=
# More options of `make load`, e.g. LOAD="--soak 600".
LOAD ?=
WORK ?= $(ROOT)
WORKSPACE := $(if $(filter /%,$(WORK)),$(WORK),$(CURDIR)/$(WORK))

# DVC's stages and Dagster's steps find `rabtriever` here.
export PATH := $(VENV)/bin:$(PATH)
export VIRTUAL_ENV := $(VENV)
run dev workspace: export DAGSTER_HOME := $(WORKSPACE)/.dagster_home
run dev workspace: export RABTRIEVER_WORKSPACE := $(WORKSPACE)

# The longest files first, or one core ends alone with them.
PARALLEL := -n auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder

.PHONY: help run dev stack test test-slow year load check generated docs workspace browser models

help:  ## Show this list.
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)$$/  make \1\t\2/p' "$(ROOT)/Makefile" | expand -t 20
	@echo
	@echo "  make run DATA=my-dataset WORK=my-work   your data (BEIR layout), a workspace of its own"
	@echo "  make dev PORT=3001                      another port"

run: workspace  ## Install, run every step on the demo or on DATA, print the benchmark.
	@cd "$(ROOT)" && since=$$(date +%s) && { python -m dagster_project.launch full_pipeline || python -m dagster_project.last_failure "$$since"; }
	@rabtriever report --workspace "$(WORKSPACE)"

dev: workspace  ## Open the Dagster UI on PORT (3000).
	@python -c 'import socket; s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(("127.0.0.1", $(PORT)))' 2>/dev/null \
		|| { echo "error: port $(PORT) is taken: choose another one, e.g. make dev PORT=3001" >&2; exit 1; }
	@cd "$(ROOT)" && dg dev --port $(PORT)

stack: $(STACK_TOOLS) models  ## Run a whole deployment here: PostgreSQL, Dagster, query service.
	@cd "$(ROOT)" && python -m deployments.native.stack --workspace "$(WORKSPACE)" --webserver-port $(PORT) $(STACK) $(if $(DATA),--data "$(if $(filter /%,$(DATA)),$(DATA),$(CURDIR)/$(DATA))")

test: $(DEV) browser  ## Run the fast tests.
	@cd "$(ROOT)" && OMP_NUM_THREADS=1 python -m pytest tests/e2e tests/dagster_project tests -m "not slow" $(PARALLEL)

test-slow: $(DEV)  ## Run the tests that take minutes.
	@cd "$(ROOT)" && python -m pytest -m slow

year: $(DEV)  ## Live through twelve versions of DATA in a new WORK: killed, damaged, rolled back.
	@cd "$(ROOT)" && python -m tests.year "$(if $(filter /%,$(DATA)),$(DATA),$(CURDIR)/$(DATA))" "$(WORKSPACE)"

load: $(DEV)  ## Put load on the query service of WORK: clients, promotions, memory.
	@cd "$(ROOT)" && python -m tests.load "$(WORKSPACE)" $(LOAD)

check: $(DEV)  ## Lint, formatting, types.
	@cd "$(ROOT)" && ruff check . && ruff format --check . && mypy

generated: $(DEV)  ## Write what is made from code: params.yaml, dvc.yaml, versions, reference pages.
	@cd "$(ROOT)" && python -m rabtriever_core.config.params_file params.yaml
	@cd "$(ROOT)" && python -m rabtriever_core.dvc.pipeline
	@cd "$(ROOT)" && python -m rabtriever_core.stages.code_versions
	@cd "$(ROOT)" && python -m rabtriever_core.stages.settings_reference docs/reference/settings.md
	@cd "$(ROOT)" && python -m docs.generators.commands docs/reference/commands.md
	@cd "$(ROOT)" && python -m docs.generators.http_api docs/reference/http-api.md

docs: $(DOCS)  ## Build the documentation into site/.
	@cd "$(ROOT)" && NO_MKDOCS_2_WARNING=1 mkdocs build --strict

# The search page is tested in a real one.
browser:
	@for name in "$${CHROMIUM:-chromium}" chromium chromium-browser google-chrome google-chrome-stable; do \
		if command -v "$$name" >/dev/null; then exit 0; fi; \
	done; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null; \
	else \
		echo "error: the tests of the search page need Chromium: sudo apt-get install chromium, or name one in CHROMIUM" >&2; exit 1; \
	fi

workspace: $(SERVE)
	@rabtriever init "$(WORKSPACE)" $(if $(DATA),--data "$(DATA)") --preset $(PRESET)
	@python -m dagster_project.home "$$DAGSTER_HOME"

# What a new workspace starts with; `rabtriever init` fetches it by itself.
models: $(SERVE)
	@[ "$(PRESET)" = tiny ] || { rabtriever fetch-model smollm2 && rabtriever fetch-model minilm; }

# pyproject.toml is not newer than the stamp when these extras are installed. The stamp is no target, for
# its path may hold spaces.
installed-%:
	@[ -e "$(VENV)/.installed-$*" ] && ! [ "$(ROOT)/pyproject.toml" -nt "$(VENV)/.installed-$*" ] || { \
		cd "$(ROOT)" && set -x && $(PYTHON) -m venv .venv \
		&& .venv/bin/python -m pip install --quiet --disable-pip-version-check -e '.[$*]' \
		&& touch ".venv/.installed-$*"; }
