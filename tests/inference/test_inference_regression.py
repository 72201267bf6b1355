from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import aigenbench as ab
from aigenbench.cli import main
from aigenbench.engine.exporting import export
from aigenbench.inference.artefact import read_info
from aigenbench.inference.detector import Detector
from aigenbench.inference.formats.runtimes import runtime
from aigenbench.inference.regression import labelled, labelled_rows, regress


@pytest.fixture(scope="session")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two reals and two fakes, one more that cannot be read, and a file that is no picture."""
    root = tmp_path_factory.mktemp("cases")
    rng = np.random.default_rng(0)
    for label in ("real", "fake/Some Generator"):
        (root / label).mkdir(parents=True)
        for i in range(2):
            Image.fromarray(rng.integers(0, 255, (40, 50, 3), np.uint8)).save(root / label / f"{i}.png")
    (root / "real" / "broken.png").write_bytes((root / "real" / "0.png").read_bytes()[:60] + b"\0" * 40)
    (root / "real" / "notes.txt").write_text("no picture")
    return root


@pytest.fixture(scope="session")
def rounded(experiment: ab.Experiment, small_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The detector with int8 weights, as ONNX and as a program."""
    folder = tmp_path_factory.mktemp("rounded") / "detector"
    return export(experiment, folder, formats=("onnx", "program"), weights="int8", cases=small_dataset)


def test_cases_are_named_and_labelled_by_their_folders(cases: Path, small_dataset: Path) -> None:
    found = labelled(cases)
    assert [(Path(case.name).name, case.generated) for case in found] == [
        ("0.png", True),
        ("1.png", True),
        ("0.png", False),
        ("1.png", False),
        ("broken.png", False),
    ]
    rows = labelled_rows(small_dataset, most=6)
    assert [case.generated for case in rows].count(True) == 3
    assert len(rows) == 6
    assert isinstance(rows[0].picture(), bytes)
    with pytest.raises(ab.InputError, match="has no pictures below folders named real, fake, generated"):
        labelled(cases / "fake")


def test_a_release_beside_itself_and_beside_another(detector: Detector, exported: Path, cases: Path) -> None:
    same = regress(detector, Detector.load(exported, "cpu"), labelled(cases))
    assert (same.changes, same.largest, same.shift, same.unreadable, same.cases) == ((), 0.0, 0.0, 1, 5)
    other = Detector.load(exported, "cpu")
    logits = detector.logits([case.picture() for case in labelled(cases)[:4]])
    low, high = float(logits.min()) - 1, float(logits.max()) + 1
    # the earlier release calls all generated, the later one all real
    object.__setattr__(detector.point, "low", low - 1)
    object.__setattr__(detector.point, "high", low)
    object.__setattr__(other.point, "low", high)
    object.__setattr__(other.point, "high", high + 1)
    found = regress(detector, other, labelled(cases))
    assert [change.better for change in found.changes] == [False, False, True, True]
    assert {(change.before.verdict.word, change.after.verdict.word) for change in found.changes} == {
        ("generated", "real")
    }


def test_the_command_lists_changes(
    exported: Path, rounded: Path, cases: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["detector", "regress", str(exported), str(exported), str(cases), "--device", "cpu"]) == 0
    assert "5 pictures, 0 verdicts changed, 0 for the worse" in capsys.readouterr().out
    main(["detector", "regress", str(exported), str(rounded), str(cases), "--json"])
    assert 0 < json.loads(capsys.readouterr().out)["largest_logit_shift"] < 0.5


def test_eight_bits_are_a_quarter_and_their_cost_is_told(exported: Path, rounded: Path) -> None:
    sizes = [(folder / "model.safetensors").stat().st_size for folder in (exported, rounded)]
    assert sizes[1] < 0.45 * sizes[0]
    costs = read_info(rounded).formats["int8"]
    assert costs["pictures"] > 10
    assert costs["interval"][0] <= costs["auroc_shift"] <= costs["interval"][1]
    assert "int8" in (rounded / "README.md").read_text()


@pytest.mark.parametrize("name", ["onnx", "program"])
def test_other_runtimes_give_the_same_logits(name: str, rounded: Path, cases: Path) -> None:
    pictures = [case.picture() for case in labelled(cases)[:4]]
    expected = Detector.load(rounded, "cpu").logits(pictures)
    found = Detector.load(rounded, "cpu", runtime=runtime(name)).logits(pictures)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_formats_that_are_not_there(exported: Path, experiment: ab.Experiment, tmp_path: Path) -> None:
    with pytest.raises(ab.InputError, match=r"has no model\.onnx; export the detector with --format onnx"):
        Detector.load(exported, "cpu", runtime=runtime("onnx"))
    with pytest.raises(ab.InputError, match="runtime: expected torch, onnx, program, found 'onx'"):
        runtime("onx")
    for options, said in (
        ({"formats": ["onx"]}, "format: expected onnx or program, found 'onx'"),
        ({"weights": "int8"}, "name labelled pictures with --cases"),
        ({"weights": "int4"}, "weights: expected float32 or int8"),
        ({"cases": tmp_path}, "leave them out"),
    ):
        with pytest.raises(ab.InputError, match=said):
            export(experiment, tmp_path / "detector", **options)
    assert list(tmp_path.iterdir()) == []


def test_an_altered_network_is_refused_in_every_format(rounded: Path, tmp_path: Path) -> None:
    copy = tmp_path / "detector"
    shutil.copytree(rounded, copy)
    data = bytearray((copy / "model.onnx").read_bytes())
    data[-1] ^= 1
    (copy / "model.onnx").write_bytes(data)
    with pytest.raises(ab.InputError, match=r"model\.onnx is not the file that was exported"):
        Detector.load(copy, "cpu", runtime=runtime("onnx"))
