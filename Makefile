# Everything builds .venv first where it must: from requirements.lock, through uv installed into it.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: quickstart test test-slow check bench campaign clean

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

check: .venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv
	$(BIN)/python benchmarks/report.py --run

campaign: .venv
	$(BIN)/python -m pytest -m campaign

.venv: .venv/.installed

.venv/.installed: requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet uv
	VIRTUAL_ENV=$(CURDIR)/.venv $(BIN)/uv pip sync --quiet --compile-bytecode requirements.lock
	VIRTUAL_ENV=$(CURDIR)/.venv $(BIN)/uv pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis dist build
