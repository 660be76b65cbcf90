# Everything that a person does here is a target; `make help` lists them.
# Each target sets up what it needs: Python tools go, pinned, into .venv/, and the stamp file in each
# environment is newer than its list of requirements when nothing is to be done.

PYTHON ?= python3
ARCH ?= arm64
ENV ?= default

CLOUD := .venv/cloud/bin/python
SAM := .venv/sam/bin/sam
LOCAL := infra/local

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

# ---------------------------------------------------------------- the local cloud

.PHONY: up
up: .venv/cloud/installed .venv/sam/installed ## Start the local cloud with the stack deployed, in the background
	@$(CLOUD) $(LOCAL)/cloud.py up

.PHONY: down
down: .venv/cloud/installed ## Stop the local cloud
	@$(CLOUD) $(LOCAL)/cloud.py down

.PHONY: status
status: .venv/cloud/installed ## Say what of the local cloud runs
	@$(CLOUD) $(LOCAL)/cloud.py status

.PHONY: demo
demo: .venv/cloud/installed .venv/sam/installed ## Play the whole story on the local cloud
	@$(CLOUD) $(LOCAL)/demo.py

# Compiled before, so that the picture shows the demo and not cargo. make down before, so that it shows the start.
.PHONY: recording
recording: compiled .venv/cloud/installed .venv/sam/installed .venv/docs/installed ## Record the demo as docs/demo.svg
	@.venv/docs/bin/python $(LOCAL)/recording.py docs/demo.svg

# ---------------------------------------------------------------- checks

.PHONY: test
test: lint clippy flows ## Check everything: format, lint, unit, contract and whole-flow tests, templates

.PHONY: lint
lint: .venv/cloud/installed .venv/sam/installed need-cargo
	cargo fmt --all --check
	.venv/sam/bin/cfn-lint template.yaml infra/*.yaml
	AWS_DEFAULT_REGION=us-east-1 SAM_CLI_TELEMETRY=0 $(SAM) validate --lint --template-file template.yaml
	$(CLOUD) -m unittest discover -s $(LOCAL)

# Always the whole workspace: for a part of it cargo picks other features, and compiles the AWS SDK once more.
.PHONY: clippy
clippy: need-cargo
	cargo clippy --workspace --all-targets -- --deny warnings

.PHONY: compiled
compiled: need-cargo
	cargo build --workspace --all-targets

.PHONY: flows
flows: .venv/cloud/installed .venv/sam/installed need-cargo
	$(CLOUD) $(LOCAL)/cloud.py during cargo test --workspace

.PHONY: audit
audit: need-cargo ## Check the dependencies: licences, bans, sources, advisories, unused ones (needs the network)
	@command -v cargo-deny >/dev/null || cargo install --locked cargo-deny@0.20.2
	@command -v cargo-machete >/dev/null || cargo install --locked cargo-machete@0.9.2
	cargo deny check
	cargo machete

# ---------------------------------------------------------------- measuring

.PHONY: bench
bench: .venv/cloud/installed need-cargo ## Measure the release build, and write target/bench.json (the build takes about ten minutes)
	cargo build --release $(FUNCTIONS:%=--package %)
	cargo build --workspace --all-targets
	@mkdir -p target/bench
	@for name in $(FUNCTIONS); do \
	  rm -rf target/bench/$$name && mkdir -p target/bench/$$name && cp target/release/$$name target/bench/$$name/bootstrap \
	    && $(ZIP) target/bench/$$name || exit 1; done
	target/debug/bench target/bench target/bench.json

# ---------------------------------------------------------------- AWS

BUILD_FLAGS_arm64 := --arm64
BUILD_FLAGS_x86_64 := --x86-64
FUNCTIONS := $(notdir $(patsubst %/,%,$(wildcard functions/*/)))

# Packs a folder into a zip beside it.
ZIP := $(CLOUD) -c 'import sys, shutil; shutil.make_archive(sys.argv[1], "zip", sys.argv[1])'

# The template takes the folder target/lambda/<name>; the zip beside it is for other tools.
.PHONY: build
build: need-cargo need-architecture .venv/build/installed .venv/cloud/installed ## Build the functions for Lambda (ARCH=arm64 or x86_64)
	PATH="$(CURDIR)/.venv/build/bin:$$PATH" cargo lambda build --release $(BUILD_FLAGS_$(ARCH)) $(FUNCTIONS:%=--package %)
	@for name in $(FUNCTIONS); do \
	  $(ZIP) target/lambda/$$name \
	    && echo "target/lambda/$$name.zip" || exit 1; done

.PHONY: deploy
deploy: build .venv/sam/installed ## Build, then deploy one environment of samconfig.toml (ENV=default)
	$(SAM) deploy --template-file template.yaml --config-file $(CURDIR)/samconfig.toml --config-env $(ENV)

# ---------------------------------------------------------------- tools

.PHONY: need-architecture
need-architecture:
	@test -n "$(BUILD_FLAGS_$(ARCH))" || { echo "ARCH is arm64 or x86_64, not $(ARCH)" >&2; exit 1; }

.PHONY: need-cargo
need-cargo:
	@command -v cargo >/dev/null || { echo "cargo is missing: install the Rust toolchain, then run make again" >&2; exit 1; }

# $(1): the environment's name; $(2): what it holds and how long it takes to install.
define python_environment
.venv/$(1)/installed: $(LOCAL)/requirements-$(1).txt $(wildcard $(LOCAL)/constraints-$(1).txt)
	@$(PYTHON) -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	  || { echo "$(PYTHON) is missing, has no venv module or is older than Python 3.11: install it, or name another one with make PYTHON=python3.12" >&2; exit 1; }
	@echo "Installing $(2) into .venv/$(1) ..."
	@$(PYTHON) -m venv --clear .venv/$(1)
	@.venv/$(1)/bin/python -m pip install --quiet --no-compile --disable-pip-version-check \
	  --requirement $(LOCAL)/requirements-$(1).txt $(addprefix --constraint ,$(wildcard $(LOCAL)/constraints-$(1).txt)) \
	  || { echo "could not install .venv/$(1): see above; is the Python package registry reachable?" >&2; exit 1; }
	@touch $$@
endef
$(eval $(call python_environment,cloud,the local cloud: MiniStack and moto (one or two minutes)))
$(eval $(call python_environment,sam,the AWS SAM CLI and cfn-lint (one or two minutes)))
$(eval $(call python_environment,build,cargo-lambda and its cross compiler (one or two minutes)))
$(eval $(call python_environment,docs,the AWS CLI and a terminal emulator (less than a minute)))

# The flow test of the documented commands calls the AWS CLI.
flow flows: .venv/docs/installed
