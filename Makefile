# make lab    set everything up and open JupyterLab on the course
# make test   set everything up and run all tests and all notebooks
# make bench  measure learning and speed (some hours, can be interrupted); writes build/bench/report.md
# make assets train the agent that the notebooks load, and draw the README's figure again
# make notebooks  run every notebook and store its outputs
#
# make lab TORCH_INDEX=...   take torch from a CPU-only index (see the README)
PYTHON ?= python3
TORCH_INDEX ?=
VENV := .venv
BIN := $(VENV)/bin
# The second run finds these two stamps and does nothing, so it starts in seconds.
READY := $(VENV)/.ready
BENCH_READY := $(VENV)/.bench-ready
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# JupyterLab asks whether it may look for news and updates; the course works without a network.
# In a container one is often root, which Jupyter refuses unless told.
AS_ROOT := $(if $(filter 0,$(shell id -u)),--allow-root)
LAB_SETTINGS := $(VENV)/share/jupyter/lab/settings
QUIET := {"@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": false}}

.PHONY: lab test bench assets notebooks clean

lab: $(READY)
	$(BIN)/jupyter lab --notebook-dir=. $(AS_ROOT) notebooks/00_play_in_a_dream.ipynb

test: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest tests
	rm -f build/test_answers*.json  # your own answers are neither read nor changed
	DREAMER_LEDGER=$(CURDIR)/build/test_answers.json $(BIN)/python -m pytest --nbval-lax --nbval-current-env --nbval-cell-timeout=120 notebooks

bench: $(BENCH_READY)
	$(BIN)/python tests/benchmarks/run.py --keep

assets: $(READY)
	$(BIN)/python -m dreamer_core.viz.assets

notebooks: $(READY)
	DREAMER_LEDGER=$(CURDIR)/build/no_answers.json $(BIN)/jupyter nbconvert --to notebook --execute --inplace --ExecutePreprocessor.timeout=120 --ExecutePreprocessor.store_widget_state=False notebooks/*.ipynb

$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; name one with: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(if $(TORCH_INDEX),$(BIN)/python -m pip install --quiet --index-url $(TORCH_INDEX) $$(grep '^torch==' requirements.txt))
	$(BIN)/python -m pip install --quiet --requirement requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable . || $(BIN)/python -m pip install --quiet --no-deps --editable .
	mkdir -p $(LAB_SETTINGS)
	echo '$(QUIET)' > $(LAB_SETTINGS)/overrides.json
	touch $(READY)

$(BENCH_READY): $(READY)
	$(BIN)/python -m pip install --quiet --editable '.[bench,mujoco]'
	touch $(BENCH_READY)

clean:
	rm -rf $(VENV) build
