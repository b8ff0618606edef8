# make lab    set everything up and open JupyterLab on the course
# make test   set everything up and run all tests and all notebooks
# make bench  make the studies of learning and measure the speed, and write RESULTS.md and the README's table: a day of two cores; stopped
#             at any moment, the same command goes on where it was
# make assets train the agents that the notebooks load, and draw the README's figure again
# make mutants  break the core in every way of tests/mutants/table.py, one at a time, and see whether the tests notice (an hour or two);
#               writes build/mutants/report.md; make mutants ONLY="rssm.py" tries those of one file, row or word
# make notebooks  run every notebook and store its outputs
# make teaching   write the teacher's pages in teaching/ anew
# make slides     slides of every notebook, in build/slides; they open without a network
# make handout  write build/handout: the folder for students, without outputs, and the assignments for nbgrader
# make wheel  write build/wheel: the package with all that notebooks load, so that a single notebook runs wherever it is installed
# make links  after the repository's address in pyproject.toml has changed: write it into the notebooks' first cells and the README
# make book   write the site into site/: the dream in a browser, all notebooks as they are stored, exercises, results, the code
#
# make lab TORCH_INDEX=...   take torch from a CPU-only index (see the README)
# make test JOBS=4           on four cores instead of two; JOBS=0 runs everything in turn, in one process
PYTHON ?= python3
TORCH_INDEX ?=
JOBS ?= 2
VENV := .venv
# Every tool is called as a module: the scripts beside python name the folder they were made in.
RUN := $(VENV)/bin/python -m
# One file of tests, or one notebook, stays in one process: what it makes once serves all of it.
PYTEST := $(RUN) pytest -n $(JOBS) --dist loadscope
# Only a cell or a kernel that hangs meets this limit, in seconds: on a busy machine they may take many times their own.
PATIENCE := 600
# The second run finds these two stamps and does nothing, so it starts in seconds.
READY := $(VENV)/.ready
BENCH_READY := $(VENV)/.bench-ready
BOOK_READY := $(VENV)/.book-ready
STUDIES := suite suite_long readings departures units paper paper_less pixels pixels_less
# Not so in a folder that was copied or moved, or whose python is gone: the package and python are found by their full paths.
ifneq ($(shell test -x $(VENV)/bin/python && cat $(READY) 2>/dev/null),$(CURDIR))
.PHONY: $(READY)
endif
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Jupyter, IPython, matplotlib and pip keep files at these places of HOME. If one cannot be written, .venv keeps them all.
PLACES := . .jupyter .ipython .matplotlib .config .config/matplotlib .cache .cache/matplotlib .cache/pip \
	.local .local/share .local/share/jupyter .local/share/jupyter/runtime Library/Jupyter Library/Caches
define CAN_WRITE
cd "$${HOME:-/nowhere}" 2>/dev/null && for place in $(PLACES); do test ! -e $$place || test -w $$place || exit 1; done && echo yes
endef
ifneq ($(shell $(CAN_WRITE)),yes)
export JUPYTER_CONFIG_DIR := $(CURDIR)/$(VENV)/home/jupyter/config
export JUPYTER_DATA_DIR := $(CURDIR)/$(VENV)/home/jupyter/data
export JUPYTER_RUNTIME_DIR := $(CURDIR)/$(VENV)/home/jupyter/runtime
export IPYTHONDIR := $(CURDIR)/$(VENV)/home/ipython
export MPLCONFIGDIR := $(CURDIR)/$(VENV)/home/matplotlib
export PIP_CACHE_DIR := $(CURDIR)/$(VENV)/home/pip
endif
# JupyterLab asks whether it may look for news and updates; the course works without a network.
# In a container one is often root, which Jupyter refuses unless told.
AS_ROOT := $(if $(filter 0,$(shell id -u)),--allow-root)
LAB_SETTINGS := $(VENV)/share/jupyter/lab/settings
QUIET := {"@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": false}}

.PHONY: lab test bench mutants assets notebooks teaching slides handout wheel links book clean

lab: $(READY)
	$(RUN) jupyterlab --notebook-dir=. $(AS_ROOT) notebooks/00_play_in_a_dream.ipynb

test: $(READY)
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(PYTEST) tests
	rm -f build/test_answers*.json  # your own answers are neither read nor changed
	DREAMER_LEDGER="$$PWD/build/test_answers.json" $(PYTEST) --nbval-lax --nbval-current-env --nbval-cell-timeout=$(PATIENCE) --nbval-kernel-startup-timeout=$(PATIENCE) notebooks

bench: $(BENCH_READY)
	@# A study ends with 1 where runs failed: its report names them, and the rest is worth having.
	for study in $(STUDIES); do $(RUN) dreamer_core.study studies/$$study.yaml --out build/studies/$$study || test $$? = 1 || exit 1; done
	$(VENV)/bin/python tests/benchmarks/speed.py
	$(VENV)/bin/python tests/benchmarks/results.py

mutants: $(READY)
	$(VENV)/bin/python tests/mutants/run.py $(if $(ONLY),"$(ONLY)")

assets: $(READY)
	$(RUN) dreamer_core.viz.assets

notebooks: $(READY)
	DREAMER_LEDGER="$$PWD/build/no_answers.json" $(RUN) nbconvert --to notebook --execute --inplace --ExecutePreprocessor.timeout=$(PATIENCE) --ExecutePreprocessor.startup_timeout=$(PATIENCE) --ExecutePreprocessor.store_widget_state=False notebooks/*.ipynb

teaching: $(READY)
	$(RUN) dreamer_core.classroom.teaching

slides: $(READY)
	$(RUN) pip install --quiet --editable '.[slides]'
	$(RUN) dreamer_core.classroom.slides

handout: $(READY)
	$(RUN) dreamer_core.classroom.handout --out build/handout

wheel: $(READY)
	@# What an earlier build left behind would go along.
	rm -rf build/lib build/wheel
	$(RUN) pip wheel --quiet --no-deps --no-build-isolation --wheel-dir build/wheel . || $(RUN) pip wheel --quiet --no-deps --wheel-dir build/wheel .

links: $(READY)
	$(RUN) dreamer_core.classroom.elsewhere

book: $(BOOK_READY)
	$(VENV)/bin/python book/sources.py build/book/source
	$(RUN) sphinx --fail-on-warning --keep-going --quiet --fresh-env --conf-dir book --doctree-dir build/book/trees build/book/source build/book/site
	rm -rf site
	mv build/book/site site
	@echo "written: open site/index.html in a browser"

$(READY): requirements.txt pyproject.toml
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; name one with: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@# Anew, too, where the last attempt stopped half-way.
	$(RUN) pip --version >/dev/null 2>&1 || "$(PYTHON)" -m venv --clear $(VENV)
	$(if $(TORCH_INDEX),$(RUN) pip install --quiet --index-url $(TORCH_INDEX) $$(grep '^torch==' requirements.txt))
	$(RUN) pip install --quiet --requirement requirements.txt
	$(RUN) pip install --quiet --no-deps --no-build-isolation --editable . || $(RUN) pip install --quiet --no-deps --editable .
	mkdir -p $(LAB_SETTINGS)
	echo '$(QUIET)' > $(LAB_SETTINGS)/overrides.json
	pwd -P > $(READY)

$(BENCH_READY): $(READY)
	$(RUN) pip install --quiet --editable '.[bench,mujoco]'
	touch $(BENCH_READY)

$(BOOK_READY): $(READY) book/requirements.txt
	$(RUN) pip install --quiet --requirement book/requirements.txt
	touch $(BOOK_READY)

clean:
	rm -rf $(VENV) build site
