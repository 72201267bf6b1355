from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

import aigenbench as ab
from aigenbench.cli import main
from aigenbench.engine.sweep.cells import make_cells
from aigenbench.engine.sweep.file import read_sweep

PAGE = (Path(__file__).parents[2] / "docs" / "sweeps.md").read_text(encoding="utf-8")
SHIPPED = "sweeps/paper_baselines.yaml"
SEARCH = "search: {trials: 2, space: {model.optimizer.lr: [0.1, 0.2]}}\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["sweep", *arguments]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    return said.err.splitlines()[-1]


def test_the_plan_of_the_papers_sweep_needs_no_weights_and_no_data(here, capsys):
    assert main(["sweep", SHIPPED, "--dry-run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{SHIPPED}: experiments in experiments_data/paper_baselines"
    assert len([line for line in lines if re.match(r"[0-9a-f]{12}  ", line)]) == 12
    assert next(line for line in lines if line.startswith("12 cells")).split()[2:4] == ["69,120,000", "7,776,000"]
    assert list(here.iterdir()) == []


def test_an_array_has_a_task_a_cell(here, capsys):
    assert main(["sweep", SHIPPED, "--dry-run", "--slurm", "--partition=p", "--gres=gpu:1", "--time=8:00:00"]) == 0
    script = capsys.readouterr().out
    assert "#SBATCH --array=0-11%12" in script
    assert "#SBATCH --partition=p" in script
    names = [cell.name for cell in make_cells(read_sweep(SHIPPED), False)]
    variants = re.findall(r"--config=(\S+?)[ )]", next(line for line in script.splitlines() if "variants=" in line))
    assert variants == [f"{here}/experiments_data/paper_baselines/cells/{name}.yaml" for name in names]
    assert list(here.iterdir()) == []


def test_what_cannot_be_is_refused_in_a_line(here, capsys):
    Path("search.yaml").write_text(SEARCH)
    assert "goes with --slurm" in refused(capsys, SHIPPED, "--partition=p")
    assert "--retries must be a whole number of at least 0" in refused(capsys, SHIPPED, "--retries=-1")
    assert "did you mean '--dry-run'" in refused(capsys, SHIPPED, "--dry-rum")
    assert "no config file 'none.yaml'" in refused(capsys, "none.yaml")
    assert list(here.iterdir()) == [here / "search.yaml"]


def test_the_trials_of_a_search_are_no_array(here, capsys):
    pytest.importorskip("optuna")
    Path("search.yaml").write_text(
        "base: {configs: [benchmark_pipelines/base_benchmark_sliding_windows.yaml, "
        f"dinov2/dinov2_probe_crop.yaml]}}\n{SEARCH}"
    )
    assert main(["sweep", "search.yaml", "--dry-run", "--slurm"]) == 2
    assert "follow from each other: they are no array" in capsys.readouterr().err


def test_the_table_of_what_is_not_begun(here, capsys):
    assert main(["sweep", SHIPPED, "--table"]) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith(("RN50", "ViT", "dinov2"))]
    assert len(rows) == 12
    assert all(re.search(r"42  not begun  [0-9a-f]{12}$", row) for row in rows)


def test_the_pages_examples_are_sweeps(here):
    ordinary, search = re.findall(r"```yaml\n(.*?)```", PAGE, re.S)
    file = read_sweep(yaml.safe_load(ordinary))
    assert len(make_cells(file, False)) == 2 * 2 * 3
    assert read_sweep(yaml.safe_load(search)).search.trials == 20


def test_a_call_logs_the_plan_and_returns_the_table(here, caplog):
    caplog.set_level("INFO", "aigenbench")
    table = ab.sweep(SHIPPED, folder=here / "s", dry_run=True)
    assert "12 cells" in caplog.text
    assert [row.state for row in table.rows] == ["not begun"] * 12
    assert table.keys == ("config",)
