# Two commands on a fresh machine: `make repro`, `make test`. Below each in the README: what it does, in plain commands.

PYTHON ?= python3
SUITE ?=
export DVC_NO_ANALYTICS := true
# Hundreds of processes are started here: each would compile the same modules again.
unexport PYTHONDONTWRITEBYTECODE

# `dvc` runs the stages through the shell, which must find this environment's python first.
activate = PATH="$(CURDIR)/.venv/bin:$$PATH"

.PHONY: repro test check clean

repro: .venv/installed
ifneq ($(SUITE),)
	$(activate) python -m weighbridge use "$(SUITE)"
endif
	$(activate) python -m weighbridge repro
	$(activate) python -m weighbridge runs

test: .venv/installed-test
	$(activate) python -m pytest --numprocesses logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder

check: .venv/installed-test
	$(activate) python -m ruff check .
	$(activate) python -m ruff format --check .
	$(activate) python -m mypy
	$(activate) python -m pytest tests/test_architecture.py

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --constraint constraints.txt --editable ".[all]"
	touch .venv/installed

.venv/installed-test: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --constraint constraints.txt --editable ".[all,test]"
	touch .venv/installed .venv/installed-test

clean:
	rm -rf .venv data/timings dvc_plots
