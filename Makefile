# make run     start the registry: http://localhost:4000, data in ./data
# make test    the quick suite, and its wall time
# make lint    style and types
# make bench   the compiled functions beside their twins, then NORA beside other registries
# make clean   remove what was built; ./data stays
# make constraints   the versions that all of these install, anew: the newest that fit
#
# Needs Python 3.11 or newer, and a C compiler for the compiled speedups (without one: pure Python).

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
JOBS ?= auto
ARGS ?=

# What is installed, to the version. Empty: the newest that pyproject.toml allows.
CONSTRAINTS ?= constraints.txt

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
INSTALL := $(PIP) install $(if $(CONSTRAINTS),--constraint $(CONSTRAINTS))
QUICK := not slow and not full and not live and not client
# A module stays together: its tests share a server. What the interpreter compiles is kept: else each of the
# servers that tests start would compile all of NORA.
PYTEST := env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m pytest -n $(JOBS) --dist loadscope
SPEEDUPS := $(wildcard nora/_speedups/*.pyx nora/_speedups/*.pxd nora/_speedups/*.h)

.PHONY: run test lint bench clean build develop constraints

run: build
	$(BIN)/nora serve

test: develop
	@start=$$(date +%s); $(PYTEST) -m "$(QUICK)" $(ARGS); status=$$?; \
	echo "make test: $$(($$(date +%s) - start)) s"; exit $$status

lint: develop
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict

bench: develop
	@mkdir -p benches/results
	$(BIN)/python -m pytest benches/micro --benchmark-only --benchmark-quiet \
		--benchmark-json=benches/results/micro.json $(ARGS)
	$(BIN)/python -m benches.micro.table benches/results/micro.json
	$(BIN)/python -m benches.registries

clean:
	for source in $(wildcard nora/_speedups/*.pyx); do rm -f "$${source%.pyx}.c" "$${source%.pyx}.html"; done
	find nora -name '*.so' -delete
	find nora tests benches -name __pycache__ -prune -exec rm -rf {} +
	rm -rf $(VENV) build dist *.egg-info .coverage* htmlcov .mypy_cache .ruff_cache .pytest_cache .hypothesis

# The stamps: the environment, the development tools, and the package with its compiled modules.

build: $(VENV)/.built
develop: $(VENV)/.developed build

$(VENV)/.created:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) --upgrade 'pip>=25.1'
	touch $@

$(VENV)/.built: $(VENV)/.created pyproject.toml $(CONSTRAINTS) setup.py nora/__init__.py $(SPEEDUPS)
	$(INSTALL) --group build
	$(INSTALL) --no-build-isolation --editable .
	touch $@

$(VENV)/.developed: $(VENV)/.created pyproject.toml $(CONSTRAINTS)
	$(INSTALL) --group dev
	touch $@

# One list for all groups and every Python that is supported; markers where they differ. No address is in it.
constraints: $(VENV)/.created
	$(PIP) install --upgrade uv
	{ echo '# Made by `make constraints` out of pyproject.toml: what the commands of the Makefile and CI install.'; \
	  $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-header --no-annotate \
	    --group dev --group clients pyproject.toml; } >constraints.new
	mv constraints.new constraints.txt
