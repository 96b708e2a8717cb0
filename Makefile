# `make` lists what there is. Each target sets the machine up first where that is needed, and only then.

PYTHON ?= python3
VENV := .venv
HERE := $(VENV)/bin/python

# Stages say `python`: it is the one of .venv. The sources of this folder come first, also where .venv is a link to that of
# another clone.
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export PYTHONPATH := $(CURDIR)/src
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help repro test lint mutants bench lock setup

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' Makefile
	@echo "PYTHON=python3.12 chooses the interpreter of a new $(VENV)."

repro: setup  ## set-up, then the whole study, then its table; what has not changed is not run again
	@$(HERE) -m pixelprune repro
	@$(HERE) -m pixelprune results

test: setup  ## every test; needs no network after the set-up
	@$(HERE) -m pytest -n auto --dist loadscope --no-loadscope-reorder

lint: setup  ## ruff and mypy
	@$(HERE) -m ruff check
	@$(HERE) -m ruff format --check
	@$(HERE) -m mypy

mutants: setup  ## one fault at a time into the sources: the tests must notice each
	@$(HERE) tests/mutants.py

# One subject's failure must not cost the others: each replaces its own entries, and the last line tells who failed.
# fast_ensemble measures aa_standard_adversarial, too.
BENCH := pgd20 apgd_ce100 aa_standard_natural fast_ensemble aa_masked max_ensemble \
	smoothgrad50 corruptions training scaling

bench: setup  ## ours beside other libraries: benchmarks/results.json, RESULTS.md; TRAIN=1: trains the ResNet-18s first
	@cmp -s benchmarks/requirements.lock $(VENV)/bench.lock || { \
	  $(HERE) -m pip install -q --no-deps -r benchmarks/requirements.lock && cp benchmarks/requirements.lock $(VENV)/bench.lock; }
	@cd benchmarks && ../$(HERE) -m common.models $(if $(TRAIN),train)
	@$(HERE) benchmarks/peers.py
	@failed=; for subject in $(BENCH); do $(HERE) benchmarks/$$subject.py || failed="$$failed $$subject"; done; \
	  test -z "$$failed" || { echo "failed:$$failed"; exit 1; }

# The lock holds all platforms and no torch build of a kind: pip brings the CUDA packages of the build that it chooses.
UV := $(HERE) -m uv pip compile -q --universal --no-emit-index-url --no-annotate --no-header \
	--extra dev --extra s3 --extra ssh pyproject.toml

lock: setup  ## requirements.lock from pyproject.toml; UPGRADE=1 for the newest releases
	@$(HERE) -m pip install -q uv
	@$(UV) $(if $(UPGRADE),--upgrade) -o $(VENV)/all.lock
	@$(UV) $(if $(UPGRADE),--upgrade) -o requirements.lock \
	  $$(grep -oE '^(nvidia-[a-z0-9-]+|cuda-[a-z]+|triton)' $(VENV)/all.lock | sort -u | sed 's/^/--no-emit-package /')
	@echo "requirements.lock: $$(wc -l < requirements.lock) lines"

# Current where .venv holds the lock that it was made from; the copy is made last, so that a broken set-up is made again.
setup:  ## only the set-up
	@cmp -s requirements.lock $(VENV)/requirements.lock && $(HERE) -c '' 2> /dev/null || sh tools/setup.sh "$(PYTHON)"
