# Each target makes .venv first, when it is missing, or when pyproject.toml or requirements/ has changed.
PYTHON ?= $(firstword $(foreach name,python3.13 python3.12 python3.11 python3,$(shell $(name) -c 'import sys; sys.version_info >= (3, 11) and print("$(name)")' 2>/dev/null)))
BIN = .venv/bin
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check

# Python keeps bytecode, even where the environment forbids it (as images often do): else each process of the tests, and each
# command that they start, compiles the code and the tests again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: console-pictures console-docs run test test-fast test-rest coverage test-models lint faults bench bench-plot bench-check bench-gpu train-sentiment board docs lock clean

# LIVE=coffee,pizza follows these words on Bluesky; SOURCES=sources.yaml listens to the sources of this file.
run: .venv/run.stamp ; @$(if $(SOURCES),EARSHOT_SOURCES="$(SOURCES)" )$(BIN)/earshot up $(if $(SOURCES),--no-sample) $(if $(LIVE),--live "$(LIVE)")

# Tests run in this many processes, each with servers of its own: they mostly wait. 0: in one, as pytest does by itself.
PROCESSES ?= 3
BESIDE = -n $(PROCESSES) --dist loadfile --no-loadscope-reorder

test: .venv/dev.stamp ; @$(BIN)/python -m pytest $(BESIDE) -m "not faults and not look"

# The tests that start no server and take no long time.
FAST = -n $(PROCESSES) --dist worksteal -m "not stack and not faults and not slow and not look"
test-fast: .venv/dev.stamp ; @$(BIN)/python -m pytest $(FAST)

# The others of make test.
test-rest: .venv/dev.stamp ; @$(BIN)/python -m pytest $(BESIDE) -m "(stack or slow) and not faults and not look"

# The branches that the fast tests take; the floor is in pyproject.toml.
coverage: .venv/dev.stamp
	@mkdir -p build/coverage && $(BIN)/coverage erase
	@$(BIN)/coverage run -m pytest $(FAST)
	@$(BIN)/coverage combine --quiet && $(BIN)/coverage report

# The extra `models` brings torch (some GB): any Hugging Face model, a GPU, training.
test-models: .venv/models.stamp ; @$(BIN)/python -m pytest tests/processors/sentiment/test_torch.py tests/processors/sentiment/test_recipe.py

lint: .venv/dev.stamp ; @$(BIN)/ruff check && $(BIN)/ruff format --check && $(BIN)/mypy && $(BIN)/python .ci/budgets.py

# Every page of the console in Chromium, filled, empty and failing, three widths and both schemes: PNGs, and what axe says of them.
console-pictures: .venv/dev.stamp
	@rm -rf build/pictures && mkdir -p build/pictures
	@PICTURES="$(CURDIR)/build/pictures" $(BIN)/python -m pytest -m look tests/console

# The pictures of docs/console.md.
console-docs: .venv/dev.stamp ; @DOCS_PICTURES="$(CURDIR)/docs/pictures" $(BIN)/python -m pytest -m look tests/console/test_docs_pictures.py

faults: .venv/dev.stamp ; @$(BIN)/python -m pytest -m faults

bench: .venv/dev.stamp ; @$(BIN)/python -m benchmarks

bench-plot: .venv/dev.stamp ; @$(BIN)/python -m benchmarks.plot

bench-check: .venv/dev.stamp ; @$(BIN)/python -m benchmarks.check

bench-gpu: .venv/models.stamp ; @$(BIN)/python -m benchmarks.sentiment_gpu

# The recorded data, by the folder that holds sentiment/, stream/ and platforms/.
DATA ?= ../shared/data
train-sentiment: .venv/training.stamp ; @$(BIN)/python -m pipeline.processors.sentiment.training $(DATA)

# What is made from pipeline/monitoring/metrics.py: the Grafana board, and the table in docs/metrics.md.
board: .venv/dev.stamp ; @$(BIN)/python -m deploy.grafana.board && $(BIN)/python -m deploy.metrics_table

# docs/settings.md, from the settings' models, and docs/cli.md, from --help.
docs: .venv/dev.stamp ; @$(BIN)/python -m deploy.reference

clean: ; @rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info

# requirements/: what pyproject.toml allows, resolved, pinned and with hashes; a file for each extra.
lock: .venv/dev.stamp ; @$(PIP) 'uv>=0.13,<1' && $(BIN)/python .ci/lock.py

.venv/run.stamp: EXTRAS = embedded
.venv/dev.stamp: EXTRAS = embedded dev
.venv/models.stamp: EXTRAS = embedded dev models
.venv/training.stamp: EXTRAS = embedded dev models training
.venv/%.stamp: pyproject.toml $(wildcard requirements/*.txt)
	@test -n "$(PYTHON)" || { echo "Earshot needs Python 3.11 or newer: install it, or name it (make PYTHON=/path/to/python3.12)" >&2; exit 1; }
	@echo "Installing Earshot and what it needs into .venv (once, a minute or two) ..."
	@test -x $(BIN)/pip || $(PYTHON) -m venv .venv
	@$(PIP) --require-hashes $(foreach extra,base $(EXTRAS),-r requirements/$(extra).txt)
	@$(PIP) --no-deps --no-build-isolation -e .
	@touch $@
