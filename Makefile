# The study's commands; `make help` lists them.
.POSIX:

PYTHON = python3
PARAMS = report/params/paper.yml
OUT =
VECTORS =
DATA_DIR =
DATA =
LOCATION =
PORT = 8000
IMAGES =
WEIGHTS =
ORDER =
K = 100
TARGET = overlap=0.99
LICENSE =
UPGRADE =

BIN = .venv/bin
STUDY = $(BIN)/python -m neighborhood_drift
# The lock binds the packages and also what pip fetches to build hnswlib, which has no wheel. (Which of the
# two variables reaches the build depends on pip's version.)
# An older pip would run setup.py itself, in a folder where it does not find the lock: hence PEP 517 for all.
INSTALL = PIP_USE_PEP517=1 PIP_CONSTRAINT=requirements.lock PIP_BUILD_CONSTRAINT=requirements.lock \
	PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install

.PHONY: help env report run render quick tune lab notebooks embed serve test check bench bench-serve lock clean

help: ## list the targets and the variables
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile
	@printf '%s\n' '' 'Variables, as in `make report VECTORS=mine.npy`:' \
	'  PARAMS   file with the parameters of a run (now $(PARAMS))' \
	'  VECTORS  your own vectors, which get a paper of their own: .npy, .npz, or a folder that `make embed` made' \
	'  DATA_DIR folder with further data sets, such as fashion-mnist/, on which measurements are repeated' \
	'  OUT      folder that gets the result (empty: report; other vectors or metric: a folder of their name in runs)' \
	'  DATA     vectors that `make serve` searches: a name or a path (empty: the bundled sample)' \
	'  LOCATION collection that `make serve` serves, where it keeps what is changed' \
	'  PORT     port of `make serve` (now $(PORT))' \
	'  IMAGES   images to embed: a folder, a zip file, or the name of a data set' \
	'  K        neighbors that `make tune` is asked for (now $(K))' \
	'  TARGET   what it has to reach (now $(TARGET)); `.venv/bin/python -m neighborhood_drift tune --help` lists others' \
	'  WEIGHTS  file with the weights of ResNet-50 (empty: downloaded by torchvision)' \
	'  ORDER    JSON file with the names of the base and the query images' \
	'  LICENSE  license of the weights, kept beside the vectors' \
	'  PYTHON   the Python that makes .venv (now $(PYTHON))'

env: .venv/base.stamp ## make .venv, the environment of every other target, with the locked versions

report: .venv/engines.stamp ## the paper: run the notebooks that are not up to date, then render HTML and PDF
	$(STUDY) report --params $(PARAMS) $(VECTORS:%=-p vectors=%) $(DATA_DIR:%=--data-dir %) $(OUT:%=--out %)

run: .venv/engines.stamp ## run the notebooks that are not up to date
	$(STUDY) run --params $(PARAMS) $(VECTORS:%=-p vectors=%) $(DATA_DIR:%=--data-dir %) $(OUT:%=--out %)

render: .venv/engines.stamp ## render HTML and PDF from the last run
	$(STUDY) render $(OUT:%=--out %)

quick: .venv/engines.stamp ## the paper from the small parameters, into runs/quick
	$(STUDY) report --params report/params/quick.yml --out runs/quick

tune: .venv/engines.stamp ## the smallest ef that reaches TARGET for K neighbors on VECTORS, with its guarantee
	@test -n "$(VECTORS)" || { echo 'Name the vectors, as in `make tune VECTORS=mine.npy K=100 TARGET=overlap=0.99`.' >&2; exit 1; }
	$(STUDY) tune --vectors $(VECTORS) --k $(K) --target $(TARGET)

lab: .venv/engines.stamp ## open the notebooks in JupyterLab; saving keeps .ipynb and .py paired
	$(BIN)/jupyter lab --ServerApp.root_dir=. --LabApp.default_url=/lab/tree/notebooks

notebooks: .venv/engines.stamp ## execute the committed notebooks anew from their .py
	$(BIN)/jupytext --quiet --to ipynb --update notebooks/*.py
	$(BIN)/jupyter nbconvert --log-level=WARN --to notebook --inplace --execute \
	--ExecutePreprocessor.record_timing=False notebooks/*.ipynb
	$(BIN)/jupytext --quiet --sync notebooks/*.ipynb

serve: .venv/serve.stamp ## the search service and its page, on the bundled sample, DATA, or a collection at LOCATION
	$(STUDY) serve $(LOCATION) $(DATA:%=--data %) $(DATA_DIR:%=--data-dir %) $(WEIGHTS:%=--weights %) --port $(PORT)

test: .venv/engines.stamp .venv/test.stamp .venv/encode.stamp .venv/serve.stamp ## all tests: package, doctests, then the committed notebooks with their outputs
	$(BIN)/python -m pytest -n 2
	$(BIN)/python -m pytest -n 2 --nbval --nbval-current-env --nbval-sanitize-with tests/nbval.cfg notebooks/*.ipynb

check: .venv/test.stamp ## ruff on modules, scripts and notebooks: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

bench: .venv/engines.stamp .venv/test.stamp ## print the table of speed and memory
	$(BIN)/python benchmarks/run.py

bench-serve: .venv/serve.stamp .venv/test.stamp ## the service under load and ten minutes' soak, changes beside searches (20 minutes)
	$(BIN)/python benchmarks/serve_load.py $(DATA_DIR:%=--data-dir %) $(OUT:%=--out %)
	$(BIN)/python benchmarks/collection_threads.py --seconds 60 $(OUT:%=--out %)

embed: .venv/encode.stamp ## vectors from IMAGES into OUT, with ResNet-50; how the bundled ones were made: data/README.md
	@test -n "$(IMAGES)" || { echo 'Name what to embed, as in `make embed IMAGES=pictures.zip OUT=runs/pictures`.' >&2; exit 1; }
	$(STUDY) embed --images $(IMAGES) $(WEIGHTS:%=--weights %) $(ORDER:%=--order %) $(LICENSE:%=--license %) $(OUT:%=--out %)

lock: ## write requirements.lock anew (maintainers; needs uv); UPGRADE=--upgrade takes newer versions
	printf '%s\n' pybind11 | uv pip compile --quiet --universal --python-version 3.11 --all-extras \
	--no-header --no-annotate --no-emit-index-url $(UPGRADE) pyproject.toml - -o requirements.lock

clean: ## remove what runs and tests made; the environment stays
	rm -rf runs build .pytest_cache .ruff_cache .hypothesis report/notebooks report/tables report/explorer report/cache \
	report/facts report/logs report/_variables.yml report/_output report/_freeze report/.quarto
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

# A stamp says that its packages are installed; it is older than a changed pyproject.toml or lock.
.venv/base.stamp: pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	echo 'The study needs Python 3.11 or newer: install it, or name it as in `make env PYTHON=python3.12`.' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	echo 'This Python makes no virtual environments: install its venv module (Debian, Ubuntu: python3-venv).' >&2; exit 1; }
	@printf '#include <Python.h>\n#include <vector>\n' | $(CXX) -x c++ -fsyntax-only \
	-I "$$($(PYTHON) -c 'import sysconfig; print(sysconfig.get_path("include"))')" - 2>/dev/null || { \
	echo 'hnswlib is compiled here: install a C++ compiler and the Python headers (Debian, Ubuntu: g++ and python3-dev; macOS: xcode-select --install).' >&2; exit 1; }
	$(PYTHON) -m venv .venv
# hnswlib without -march=native: two processors then compute the same last bits and build the same graph, which
# keeps the outputs in the notebooks comparable. At 2,048 dimensions that costs about a quarter of hnswlib's time.
# No cache: pip would take a build from another project that was made with -march=native.
	HNSWLIB_NO_NATIVE=1 $(INSTALL) --no-cache-dir hnswlib
	$(INSTALL) --editable .
	touch $@

# Annoy has no wheel either, and is compiled without -march=native for the same reason.
.venv/engines.stamp: .venv/base.stamp
	ANNOY_COMPILER_ARGS=-O3,-ffast-math,-fno-associative-math,-DANNOYLIB_MULTITHREADED_BUILD,-std=c++14 \
	$(INSTALL) --no-cache-dir --no-binary annoy --editable '.[engines]'
	touch $@

.venv/test.stamp: .venv/base.stamp
	$(INSTALL) --editable '.[test]'
	touch $@

.venv/encode.stamp: .venv/base.stamp
	$(INSTALL) --editable '.[encode]'
	touch $@

.venv/serve.stamp: .venv/base.stamp
	$(INSTALL) --editable '.[serve,stores]'
	touch $@
