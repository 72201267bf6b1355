# Everything builds .venv first where it must: from requirements.lock, through uv installed into it.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: quickstart test test-slow test-transformers check bench campaign coverage fuzz lowest lock clean

# on a processor, the samples' workers need the cores more than torch's threads do
QUICKSTART := experiments_data/experiment_quickstart

quickstart: .venv
	test -d demo_data || $(BIN)/aigenbench demo-data demo_data
	OMP_NUM_THREADS=1 $(BIN)/aigenbench fit --config benchmark_pipelines/base_benchmark_sliding_windows.yaml \
	    --config small_cnn/small_cnn_tune_resize.yaml --dataset_path demo_data \
	    --trainer.accelerator cpu --experiment_info.experiment_id quickstart
	$(BIN)/aigenbench score $(QUICKSTART) --plot $(QUICKSTART)/curves.png

test: .venv
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow and not campaign"

test-slow: .venv
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "slow and not campaign"

# transformers slows every start where it is installed: its tests have it beside .venv, not in it
test-transformers: .venv
	VIRTUAL_ENV=$(CURDIR)/.venv $(BIN)/uv pip install --quiet --no-deps --target .transformers \
	    transformers==5.24.0 tokenizers==0.23.3
	PYTHONPATH=.transformers $(BIN)/python -m pytest tests/inference/test_inference_external.py

check: .venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv
	$(BIN)/python benchmarks/report.py --run

campaign: .venv
	$(BIN)/python -m pytest -m campaign

# 20,000 damaged and hostile files over all doors of tests/fuzz
fuzz: .venv
	$(BIN)/python tests/fuzz/run.py --n 20000

# the share of lines that the quick tests run, as far as the processes are started and not forked
coverage: .venv
	$(BIN)/python -m coverage erase
	$(BIN)/python -m coverage run -m pytest -n 2 --dist worksteal -m "not slow and not campaign"
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report --skip-covered --skip-empty

# the quick tests with the lowest versions that pyproject.toml allows
lowest:
	test -x .venv-lowest/bin/python || $(PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/python -m pip install --quiet uv
	VIRTUAL_ENV=$(CURDIR)/.venv-lowest .venv-lowest/bin/uv pip install --quiet --resolution lowest-direct --editable .
	VIRTUAL_ENV=$(CURDIR)/.venv-lowest .venv-lowest/bin/uv pip install --quiet hypothesis pytest pytest-xdist submitit
	.venv-lowest/bin/python -m pytest -n 2 --dist worksteal -W default -m "not slow and not campaign"

# versions that the lock has are kept; --upgrade-package NAME takes a newer one
lock:
	test -x $(BIN)/uv || { $(PYTHON) -m venv .venv && $(BIN)/python -m pip install --quiet uv; }
	$(BIN)/uv pip compile --quiet pyproject.toml --group dev --universal --generate-hashes --no-header --no-annotate \
	    --output-file requirements.lock

.venv: .venv/.installed

.venv/.installed: requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet uv
	VIRTUAL_ENV=$(CURDIR)/.venv $(BIN)/uv pip sync --quiet --compile-bytecode requirements.lock
	VIRTUAL_ENV=$(CURDIR)/.venv $(BIN)/uv pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

clean:
	rm -rf .venv .venv-lowest .transformers .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage dist build
