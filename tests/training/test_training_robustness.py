"""A small experiment under two families of perturbations, begun, cut short and resumed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from training_harness import arguments, run

from aigenbench.evaluation.predictions.record import load_predictions

FAMILIES = ("--families", "social_network", "double_jpeg")
CELLS = {"social_network_plain", "social_network_sharpened", "double_jpeg_90_70", "double_jpeg_70_50"}


@pytest.fixture(scope="module")
def two(made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two generators, a window each."""
    return made.default(tmp_path_factory.mktemp("data") / "two", generators=2, fakes_each=4)


@pytest.fixture(scope="module")
def fitted(two: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fitted")
    code, _ = run(folder, arguments(two, folder))
    assert code == 0, (folder / "log.txt").read_text()[-3000:]
    return folder


def robustness(folder: Path, *more: str) -> tuple[int, str]:
    """Exit code, and what this call printed."""
    log = folder / "log.txt"
    before = len(log.read_text())
    code, _ = run(folder, ["experiments_data/experiment_x", *more], command="robustness")
    return code, log.read_text()[before:]


def test_a_window_under_two_families_resumed(fitted: Path) -> None:
    experiment = fitted / "experiments_data" / "experiment_x"
    code, told = robustness(fitted, "--windows", "0", *FAMILIES)
    assert code == 0, told
    assert "4 of 4 evaluations are left to run" in told
    written = sorted(experiment.glob("robustness/*/*/predictions_validate_all.npz"))
    assert {path.parts[-3] for path in written} == CELLS
    assert {path.parts[-2] for path in written} == {"window_0"}

    clean = load_predictions(experiment / "window_0" / "predictions_validate_all.npz")
    found = [load_predictions(path) for path in written]
    fingerprints = {p.protocol_fingerprint for p in found}
    assert len(fingerprints | {clean.protocol_fingerprint}) == 5
    for predictions in found:
        assert predictions.pairing_fingerprint == clean.pairing_fingerprint
        assert np.array_equal(predictions.identifier, clean.identifier)
        assert not np.array_equal(predictions.fused_logits, clean.fused_logits)
    rows = [line.split() for line in told.splitlines()]
    assert ["social_network", "clean", "0"] in [row[:3] for row in rows]
    assert ["double_jpeg", "70,", "50", "0"] in [row[:4] for row in rows]

    # one file is lost, one damaged, one of clean predictions that are no more
    before = {path: path.read_bytes() for path in written}
    written[0].unlink()
    written[1].write_bytes(before[written[1]][:-50])
    record = written[2].with_name("perturbation.json")
    record.write_text(json.dumps(json.loads(record.read_text()) | {"clean_sha256": "0" * 64}))
    code, told = robustness(fitted, "--windows", "0", *FAMILIES, "--num-workers", "1")
    assert code == 0, told
    assert "3 of 4 evaluations are left to run" in told
    assert {path: path.read_bytes() for path in written} == before


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--families", "jepg"], "no perturbation family 'jepg'"),
        (["--windows", "7"], "there is no window 7; windows are 0..1"),
        (["--windows", "x"], "--windows must be a whole number of at least 0, found 'x'"),
        (["--dataset-path", "nowhere"], "nowhere"),
    ],
)
def test_bad_input_is_one_line(fitted: Path, more: list[str], said: str) -> None:
    code, told = robustness(fitted, *more)
    assert code == 2
    assert said in told.splitlines()[-1]


def test_no_experiment_is_told(tmp_path: Path) -> None:
    code, _ = run(tmp_path, ["nothing"], command="robustness")
    assert code == 2
    assert "no nothing/config.yaml" in (tmp_path / "log.txt").read_text()


def test_another_data_set_is_refused(fitted: Path, made, tmp_path: Path) -> None:
    other = made.default(tmp_path / "other", generators=3)
    code, told = robustness(fitted, "--dataset-path", str(other), "--families", "crop")
    assert code == 2
    assert "the data set at dataset_path is another one than the experiment's" in told
