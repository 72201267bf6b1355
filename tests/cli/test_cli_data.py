from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aigenbench.cli import main


def shown(capsys: pytest.CaptureFixture[str], *argv: str) -> dict[str, Any]:
    assert main(["data", "windows", *argv]) == 0
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    return result


@pytest.mark.parametrize("case", ["A_more_real", "D_val_equal"])
def test_selections_of_a_columns_file_are_the_published_codes(
    golden_files: Path, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    golden = json.loads((golden_files / "selection.json").read_text())[case]
    printed = shown(capsys, str(golden_files / f"columns_{case}.json"), "--json", "--ids")
    assert [w["generators"] for w in printed["windows"]] == golden["windows_timeline"]
    assert [w["train_ids"] for w in printed["windows"]] == golden["windows_continual_learning"]
    assert [w["train_ids_cumulative"] for w in printed["windows"]] == golden["windows_cumulative"]
    if "val_subset_0" in golden:
        expected = golden["val_subset_0"]
        names = golden["generator_id_to_name"]
        assert printed["evaluation"]["ids"] == expected["ordered_ids"]
        pairs = {real: names[g] for real, g in expected["real_id_to_generator_id"].items()}
        assert printed["evaluation"]["pairing"] == pairs


@pytest.mark.parametrize("size", ["120", "0.4"])
def test_subsets(golden_files: Path, capsys: pytest.CaptureFixture[str], size: str) -> None:
    golden = json.loads((golden_files / "selection.json").read_text())["A_more_real"]
    printed = shown(capsys, str(golden_files / "columns_A_more_real.json"), "--ids", "--validation-subset-size", size)
    assert printed["evaluation"]["ids"] == golden[f"val_subset_{size}"]["ordered_ids"]


def test_a_table_for_readers(small_dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "windows", str(small_dataset), "--n-generators-per-window", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    assert lines[1].split()[:4] == ["w0", "16", "16", "4"]
    assert "CycleGAN (2017-03-30)" in lines[1]
    assert lines[-1].startswith("evaluation: 24 images; protocol fingerprint ")


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["nowhere"], "no folder nowhere"),
        (["DATA", "--benchmark-type", "cumulativ"], "did you mean 'cumulative'"),
        (["DATA", "--train-subset-size", "1"], "cannot hold"),
        (["DATA", "--timeline", "own.csv"], "no file own.csv"),
    ],
)
def test_bad_input(small_dataset: Path, capsys: pytest.CaptureFixture[str], argv: list[str], said: str) -> None:
    assert main(["data", "windows", *[str(small_dataset) if a == "DATA" else a for a in argv]]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert len([line for line in told.splitlines() if "error" in line]) == 1
