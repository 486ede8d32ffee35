# The commands of the repository. Each does its own set-up; nothing has to be prepared.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: setup demo test check check-spec docs dev world bench bench-quick clean

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $(STAMP)

demo: setup
	BACKLANE_SIMULATED=1 $(BIN)/python -m examples.demo

test: setup
	$(BIN)/python -m pytest

check: setup
	$(BIN)/ruff format --check src tests tools examples benchmarks
	$(BIN)/ruff check src tests tools examples benchmarks
	$(BIN)/python tools/check_sizes.py
	$(BIN)/lint-imports
	$(BIN)/pyright
	$(BIN)/mypy --strict tests/typing_smoke.py
	$(BIN)/python tools/draw_docs.py --check

docs: setup
	$(BIN)/python tools/draw_docs.py

# The simulated world, as many seeds as wanted: make world SEEDS=10000
SEEDS ?= 1000
world: setup
	$(BIN)/python -m tests.world --seeds $(SEEDS)

# Does the simulator speak as an OpenAPI file says? make check-spec FILE=openapi.yaml
check-spec: setup
	$(BIN)/python tools/check_spec.py $(FILE)

bench: setup
	$(BIN)/python -m benchmarks

bench-quick: setup
	$(BIN)/python -m benchmarks --quick

dev: setup
	BACKLANE_APP=$${BACKLANE_APP:-examples.jobs:app} $(BIN)/backlane dev

clean:
	rm -rf .venv build .backlane
