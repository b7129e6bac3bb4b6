# `make demo` and `make test` each do all of their own set-up; see README.md.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
EVERYTHING := $(VENV)/.everything-installed
TUNED := runs/embryo-63x/embryo-63x/model.json
MEASURED := ../shared/data

LOWEST := .venv-lowest
TESTS ?= tests

.PHONY: demo test lowest coverage lint docs clean bench fidelity any-objective several-planes neurons

demo: $(STAMP)
	$(BIN)/napari-deepz demo --output deepz-demo

test: $(EVERYTHING) lint docs
	sh .ci/display-packages
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile

# Apart from `make test`, which it would slow down by half.
coverage: $(EVERYTHING)
	sh .ci/display-packages
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile --cov --cov-report term $(TESTS)

# `make lowest TESTS=tests/io` runs some of them.
lowest: $(EVERYTHING)
	sh .ci/display-packages
	sh .ci/lowest $(BIN)/uv $(LOWEST) $(TESTS)

bench: $(EVERYTHING)
	$(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt --group bench
	mkdir -p runs
	$(BIN)/python -m pytest benchmarks --timeout 0 -W ignore --benchmark-json runs/bench.json
	$(BIN)/python -m benchmarks.performance runs/bench.json
	$(BIN)/python -m benchmarks.history

fidelity: $(EVERYTHING) $(if $(wildcard $(MEASURED)/celegans_embryo_*.ome.tif),$(TUNED))
	$(BIN)/python -m benchmarks.fidelity --real $(MEASURED)
	$(BIN)/python -m benchmarks.history

any-objective: $(EVERYTHING)
	$(BIN)/python -m benchmarks.any_objective $(MEASURED)

several-planes: $(EVERYTHING)
	$(BIN)/python -m benchmarks.several_planes $(MEASURED)

neurons: $(EVERYTHING)
	$(BIN)/python -m benchmarks.neurons

$(TUNED): | $(EVERYTHING)
	$(BIN)/python training/embryo_parts.py $(MEASURED)
	$(BIN)/napari-deepz train training/embryo-63x.toml \
		$(if $(wildcard runs/embryo-63x/checkpoint.pt),--resume)

lint: $(EVERYTHING)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/deptry --no-ansi src

# The site, in site/. A link that leads nowhere ends it.
docs: $(EVERYTHING)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

docs/command_line.md: $(wildcard src/napari_deepz/cli/*.py) | $(EVERYTHING)
	$(BIN)/typer napari_deepz.cli utils docs --name napari-deepz --title "Command line" --output $@

$(STAMP): pyproject.toml constraints.txt .ci/install
	sh .ci/install $(PYTHON) $(VENV)
	touch $@

$(EVERYTHING): $(STAMP)
	sh .ci/install $(PYTHON) $(VENV) everything
	touch $@

clean:
	rm -rf $(VENV) $(LOWEST) deepz-demo site
