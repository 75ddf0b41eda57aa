# Enjoliver's commands. `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
PYTHON ?= python3
VENV := .venv/bin
# Further arguments of pytest: make test-sqlite ARGS="-k scheduler -x"
ARGS ?=
# make lab FILE=my-lab.yaml; further words of manage.py lab up in ARGS
FILE ?=
CHECKS := lint types imports docs migrations openapi-check

.DEFAULT_GOAL := help
.PHONY: help setup setup-run setup-test setup-lab setup-lab-vm run demo agent \
	lab lab-down lab-test lab-vm-test test test-sqlite test-postgres search rollout-proof \
	check $(CHECKS) generate bench clean

help: ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

setup: setup-test ## make this machine ready for everything below

setup-run: ## … for run and demo only
	@$(PYTHON) -m tools.set_up run

setup-test: ## … for run, demo, test and check
	@$(PYTHON) -m tools.set_up test

setup-lab: ## … and for a lab of containers
	@$(PYTHON) -m tools.set_up lab

setup-lab-vm: ## … and for a lab of virtual machines
	@$(PYTHON) -m tools.set_up lab-vm

run: setup-run ## the engine alone, in the foreground; Ctrl-C stops it
	@exec $(VENV)/python manage.py run

demo: setup-run ## the engine and five simulated machines, with a story
	@exec $(VENV)/python manage.py demo

agent: ## the agent as a program for the machines, in dist/
	@exec $(PYTHON) -m tools.build_agent

lab: setup-lab ## machines that really boot, as root; FILE=topology.yaml, else two containers
	@exec $(VENV)/python manage.py lab up $(if $(FILE),--file $(FILE)) $(ARGS)

lab-down: ## remove that lab
	@exec $(VENV)/python manage.py lab down $(ARGS)

lab-test: setup-lab ## the lab's tests, as root: network, containers, five machines all the way
	@exec $(VENV)/pytest -q -m "lab and not vm" $(ARGS)

lab-vm-test: setup-lab-vm ## the lab's tests with virtual machines, as root
	@exec $(VENV)/pytest -q -m "lab and vm" $(ARGS)

test: setup-test ## all tests, on SQLite and on PostgreSQL with Redis
	@exec $(VENV)/python -m tools.run_tests sqlite postgres -- $(ARGS)

test-sqlite: setup-test ## all tests on SQLite
	@exec $(VENV)/python -m tools.run_tests sqlite -- $(ARGS)

test-postgres: setup-test ## those that touch the database, on PostgreSQL with Redis
	@exec $(VENV)/python -m tools.run_tests postgres -- $(ARGS)

search: setup-test ## tests of properties with examples nobody has seen yet; some minutes
	@$(VENV)/pytest -q --hypothesis-profile=search -m hypothesis $(ARGS)
	@MODEL_EXAMPLES=20 HOSTILE_EXAMPLES=100 $(VENV)/pytest -q --hypothesis-profile=search \
		lifecycle/tests/model tests/http/test_hostile_bytes.py $(ARGS)

rollout-proof: setup-test ## a thousand machines roll under policies, with faults; SQLite, then PostgreSQL
	@PROOF_MACHINES=1000 $(VENV)/python -m tools.run_tests sqlite -- tests/e2e/test_rollout_proof.py -s $(ARGS)
	@PROOF_MACHINES=1000 $(VENV)/python -m tools.run_tests postgres -- tests/e2e/test_rollout_proof.py -s $(ARGS)

check: setup-test ## everything that CI looks at besides the tests
	@exec $(PYTHON) -m tools.run_checks $(CHECKS)

lint: ## style: ruff's rules and its format
	@$(VENV)/ruff check --no-cache . && $(VENV)/ruff format --no-cache --check .

types: ## types: mypy, strict
	@$(VENV)/mypy .

imports: ## which part may import which
	@$(VENV)/lint-imports

docs: ## generated documents are up to date, links lead somewhere
	@$(VENV)/python manage.py settings_docs --check
	@$(VENV)/python manage.py states_docs --check
	@$(VENV)/python manage.py values docs | diff docs/cluster-values.md - || \
		{ echo "docs/cluster-values.md is out of date: run \`make generate\`."; exit 1; }
	@$(PYTHON) -m tools.check_links

migrations: ## the migrations say what the models say
	@$(VENV)/python manage.py makemigrations --check --dry-run

openapi-check: ## docs/openapi.yaml is what the code says
	@$(VENV)/python -m tools.openapi --check

generate: ## write the generated documents: settings, cluster values, OpenAPI
	@$(VENV)/python manage.py settings_docs
	@$(VENV)/python manage.py states_docs
	@$(VENV)/python manage.py values docs --write
	@$(VENV)/python -m tools.openapi

bench: setup-test ## rates and costs, as ratios in the same run
	@exec $(VENV)/python -m bench

clean: ## remove what set-up and tests made; the state directory stays
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	@# Go's module folders are read-only.
	@if [ -d .cache ]; then chmod -R u+w .cache && rm -rf .cache; fi
	find . -name __pycache__ -type d -not -path './var/*' -prune -exec rm -rf {} +
