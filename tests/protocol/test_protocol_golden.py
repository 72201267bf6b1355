"""Selections equal those of the benchmark's own published code."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from aigenbench.protocol.pairing import evaluation_set
from aigenbench.protocol.timeline import PUBLISHED
from aigenbench.protocol.windows import generator_windows, select_training_rows

CASES = {"A_more_real": "columns_A_more_real.json", "D_val_equal": "columns_D_val_equal.json"}


def columns(golden_files: Path, case: str, split: str) -> np.ndarray:
    names = json.loads((golden_files / CASES[case]).read_text())[split]
    return np.array([PUBLISHED.ids[name] for name in names])


@pytest.fixture(scope="module")
def golden(golden_files: Path) -> dict:
    return json.loads((golden_files / "selection.json").read_text())


def test_windows(golden_files: Path) -> None:
    expected = json.loads((golden_files / "windows_generators.json").read_text())
    assert [list(names) for names in generator_windows(PUBLISHED, 4)] == expected


@pytest.mark.parametrize("case", CASES)
def test_ids(golden: dict, case: str) -> None:
    assert list(PUBLISHED.id_to_name) == golden[case]["generator_id_to_name"]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("benchmark_type", ["cumulative", "continual_learning"])
def test_training_rows(golden_files: Path, golden: dict, case: str, benchmark_type: str) -> None:
    selection = select_training_rows(
        columns(golden_files, case, "train"), PUBLISHED, generator_windows(PUBLISHED, 4), benchmark_type
    )
    expected = golden[case][f"windows_{benchmark_type}"]
    assert len(selection.own) == len(expected) == 9
    for k in range(9):
        assert selection.rows(k).tolist() == expected[k]


@pytest.mark.parametrize(("case", "subset"), [("A_more_real", 0), ("A_more_real", 120), ("A_more_real", 0.4)])
def test_evaluation_set(golden_files: Path, golden: dict, case: str, subset: float) -> None:
    expected = golden[case][f"val_subset_{subset}"]
    chosen = evaluation_set(columns(golden_files, case, "validation"), subset or None)
    assert chosen.ids.tolist() == expected["ordered_ids"]
    pairs = {str(i): g for i, g in zip(chosen.ids.tolist(), chosen.pairing.tolist(), strict=True) if g >= 0}
    assert pairs == expected["real_id_to_generator_id"]


def test_an_exactly_balanced_split_is_taken_whole(golden_files: Path) -> None:
    ids = columns(golden_files, "D_val_equal", "validation")
    chosen = evaluation_set(ids)
    assert sorted(chosen.ids.tolist()) == list(range(len(ids)))
