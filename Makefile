# make demo | test | check | bench. Each sets up what it needs in .venv; a second run is quick.
# Override on the command line: PYTHON3=python3.12, VENV=.venv-other, TORCH="torch==2.13.0".

VENV ?= .venv
PYTHON3 ?= python3
OUT ?= out/demo

python := $(VENV)/bin/python
pip := $(python) -m pip install -qq --no-compile --disable-pip-version-check --constraint constraints.txt

# The CPU build of PyTorch saves several GB of CUDA libraries; where the package index has none
# (macOS needs none, its normal build is CPU-only), the plain release serves as well.
TORCH ?= torch==2.13.0+cpu
TORCH_ELSEWHERE := torch==2.13.0

DEMO_CLIP ?= examples/clips/crying_to_laughing.mp4
# A person and a creature with ARKit controls, and a person with the MakeHuman set.
DEMO_AVATARS ?= ada basil elsa

.PHONY: help demo test test-all fuzz check format bench sheets clean

help:
	@echo "make demo   install, animate a real clip on three avatars, say where the files are"
	@echo "make test   install what is missing, run the tests"
	@echo "make fuzz   all damaged files, several minutes; a sample of them runs with make test"
	@echo "make check  format, lint, types, import contracts (what CI runs before the tests)"
	@echo "make bench  speed and quality beside the peers"
	@echo "make sheets contact sheets of CLIPS: the input above, avatars below"

# --- environment -------------------------------------------------------------------------------

$(VENV)/.created:
	@for candidate in $(PYTHON3) python3.13 python3.12 python3.11; do \
	    if $$candidate -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	        $$candidate -m venv $(VENV) && $(python) -m pip --version >/dev/null && touch $@ && exit 0; \
	        echo "make: $$candidate cannot make a virtual environment with pip;" \
	             "on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; \
	    fi; \
	done; \
	if command -v uv >/dev/null 2>&1; then \
	    uv venv --quiet --seed --python 3.12 $(VENV) && touch $@ && exit 0; \
	fi; \
	echo "make: freeavatar needs Python 3.11 or newer; none found" \
	     "(name one with: make PYTHON3=/path/to/python3.11)" >&2; exit 1

$(VENV)/.installed: $(VENV)/.created pyproject.toml constraints.txt
	@echo "make: installing freeavatar into $(VENV) (about a minute)"
	@$(pip) --editable .
	@$(VENV)/bin/freeavatar --version
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	@echo "make: installing what training and tests need"
	@$(pip) "$(TORCH)" 2>/dev/null || $(pip) "$(TORCH_ELSEWHERE)"
	@$(pip) --editable ".[train,dev,live,usd]"
	@touch $@

# --- what people run ---------------------------------------------------------------------------

demo: $(VENV)/.installed
	@$(VENV)/bin/freeavatar animate "$(DEMO_CLIP)" $(DEMO_AVATARS:%=--avatar %) \
	    --out "$(OUT)" --overwrite

test: $(VENV)/.installed-dev
	@OMP_NUM_THREADS=1 $(python) -m pytest -n 2 -m "not slow and not network and not gpu"

test-all: $(VENV)/.installed-dev
	@OMP_NUM_THREADS=1 $(python) -m pytest -n 2

fuzz: $(VENV)/.installed-dev
	@OMP_NUM_THREADS=1 $(python) -m pytest tests/fuzz -m slow -n 2

check: $(VENV)/.installed-dev
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports

format: $(VENV)/.installed-dev
	@$(VENV)/bin/ruff format .
	@$(VENV)/bin/ruff check --fix .

manual: $(VENV)/.installed-dev
	@$(python) recipes/write_manual.py

bench: $(VENV)/.installed-dev
	@$(MAKE) --no-print-directory -C benchmarks PYTHON="$(abspath $(python))"

# CLIPS: videos or folders of them.
CLIPS ?= examples/clips

sheets: $(VENV)/.installed
	@OMP_NUM_THREADS=1 $(python) recipes/sheets.py $(CLIPS) $(DEMO_AVATARS:%=--avatar %)

clean:
	@rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
