# On a fresh machine with Python 3.11 or newer, make and a compiler: `make audit` or `make test`, nothing before them.
PYTHON ?= python3
VENV ?= .venv
# Two processes of one thread each: more threads than cores make small networks many times slower.
RUN := $(VENV)/bin/python
READY := $(VENV)/.ready

.PHONY: audit test bench lint docs notebook fixtures baselines clean

audit: $(READY)  ## audit the reference targets and write reports/
	OMP_NUM_THREADS=1 $(RUN) -m cnnaudit audit --report reports -n2

test: $(READY)  ## test cnnaudit itself, the examples in its docstrings included
	OMP_NUM_THREADS=1 $(RUN) -m pytest tests/ cnnaudit/ --doctest-modules -n 2

bench: $(READY)  ## time the methods relative to a reference workload and compare with baselines/
	@mkdir -p .benchmarks
	$(RUN) -m pytest suites/benchmarks/ -p no:xdist -p no:randomly --benchmark-json=.benchmarks/run.json
	$(RUN) -m cnnaudit.benchmarking gate .benchmarks/run.json

lint: $(READY)  ## style and types
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

docs: $(READY)  ## build the documentation site into docs/_build/html, without network; a warning is an error
	COLUMNS=100 $(RUN) -m sphinx -W --keep-going -q -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

notebook: $(READY)  ## run the notebook of the documentation again
	$(RUN) docs/notebooks/make.py

fixtures: $(READY)  ## train the reference models again
	$(RUN) -m cnnaudit.training.fixtures

baselines: $(READY)  ## measure the null distributions behind the tolerances again
	$(RUN) -m cnnaudit calibrate

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache

# The stamp is written last, so an interrupted installation is done again.
$(READY): pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "cnnaudit needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@echo "Setting up $(VENV): a few minutes and about 6 GB, once."
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check --constraint requirements.lock --editable '.[dev]'
	@touch $(READY)
