# Everything a newcomer needs: `make demo`, `make test`. Each sets up .venv by itself on a machine with Python and make.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# The tests start hundreds of processes, and each would compile all that it imports.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test recordings torture boot lint format bench bench-pools bench-spot bench-work mutants completions docs picture install-check release clean

help:  ## Show what there is to make
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

$(READY): pyproject.toml sandbox/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "gpuctl needs Python 3.11 or newer: make PYTHON=python3.12 ...")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { echo "venv is missing; on Debian: apt-get install python3-venv"; exit 1; }
	@echo "setting up $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ./sandbox -e '.[dev]'
	@touch $@

demo: $(READY)  ## Show the main job in the sandbox: run, provision, list, cost, terminate, statistics
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh scripts/demo.sh

test: $(READY)  ## Run the tests
	@$(BIN)/python -m pytest -q -n auto --dist worksteal

recordings: $(READY)  ## Fetch Microsoft's recordings of Azure's replies, for the tests that read them
	@$(BIN)/python scripts/fetch_recordings.py

torture: $(READY)  ## Break everything around gpuctl, print the scorecard and write docs/reliability.md (about 30 minutes)
	@PYTHONPATH=src:tests $(BIN)/python -m faults.scorecard --write docs/reliability.md

boot: $(READY)  ## Boot a Debian with the guard on it and see it power off in four ways (about 12 minutes, as root)
	@PYTHONPATH=src:tests $(BIN)/python -m boot

lint: $(READY)  ## Check style, types and the floors
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache >/dev/null || $(BIN)/lint-imports --no-cache

format: $(READY)  ## Put the code into shape
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: $(READY)  ## Measure speed against a hello-world and the AWS CLI, and the stores against each other, as ratios in one run
	@$(BIN)/python scripts/bench.py
	@$(BIN)/python scripts/bench_stores.py

bench-pools: $(READY)  ## Replay jobs against the policies of a pool (FILES="a.csv b.csv"), beside other autoscalers
	@$(BIN)/python scripts/bench_pools.py $(FILES)

bench-spot: $(READY)  ## Replay work with a deadline over spot traces (FILES="a.csv b.csv"), beside other rules
	@$(BIN)/python scripts/bench_spot.py $(FILES)

bench-work: $(READY)  ## Choose a GPU for 26 measured workloads by dollars per work, beside the cheapest hour and the fastest
	@$(BIN)/python scripts/bench_work.py

mutants: $(READY)  ## Break the safety core in a thousand places and count what its tests notice (minutes)
	@$(BIN)/python scripts/mutants.py --write docs/reliability.md

completions: $(READY)  ## Write completions/ anew
	@$(BIN)/python scripts/write_completions.py

docs: $(READY)  ## Write docs/reference.md, docs/fidelity.md and the man page anew
	@$(BIN)/python scripts/write_docs.py

picture: $(READY)  ## Draw docs/session.svg: a real session in the sandbox, as a terminal shows it
	@$(BIN)/python scripts/draw_session.py

install-check:  ## Type the README's install lines in fresh environments (about a minute)
	@$(PYTHON) scripts/check_install.py

release:  ## Build the wheel and the source distribution, check them, and run the main job from the wheel
	@$(PYTHON) scripts/release.py

clean:  ## Remove the venv and caches
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
