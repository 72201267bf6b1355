"""Real pictures and real weights: an exported detector gives validate's scores with the mandatory steps off.

AIGENBENCH_REAL_WEIGHTS names a folder with ``openai_clip_vitb16.safetensors`` and ``mobilenet_v2-b0353104.pth``.
"""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import pytest
from inference_harness import FEW

import aigenbench as ab
from aigenbench.engine.exporting import export
from aigenbench.inference.detector import Detector
from aigenbench.inference.formats.runtimes import runtime
from aigenbench.inference.selftest import check
from aigenbench.inference.serve.looks import Looker
from small_run import PIPELINE

FAKES = ("CycleGAN", "StarGAN", "ProGAN", "BigGAN")
EACH = 3

pytestmark = pytest.mark.slow


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "index.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def slice_of_real(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few pictures of four generators, and as many real ones, linked into a folder with an index."""
    source = shared / "realslice"
    if not source.is_dir():
        pytest.skip(f"no folder {source}")
    folder = tmp_path_factory.mktemp("slice")
    rows, taken = rows_of(source), []
    for split in ("train", "validation"):
        for name in FAKES:
            taken += [row for row in rows if row["split"] == split and row["generator"] == name][:EACH]
        taken += [row for row in rows if row["split"] == split and row["label"] == "real"][: EACH * len(FAKES)]
    for row in taken:
        target = folder / row["path"]
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((source / row["path"]).read_bytes())
    with (folder / "index.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["path", "label", "generator", "split"], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(taken)
    return folder


@pytest.mark.parametrize(
    ("model", "file", "strategy"),
    [
        ("openai/ViT-B/16_probe", "openai_clip_vitb16.safetensors", "resize"),
        ("openai/ViT-B/16_probe", "openai_clip_vitb16.safetensors", "crop"),
        ("openai/ViT-B/16_probe", "openai_clip_vitb16.safetensors", "multicrop"),
        ("openai/ViT-B/16_tune", "openai_clip_vitb16.safetensors", "resize"),
        ("torchvision/mobilenet_v2_probe", "mobilenet_v2-b0353104.pth", "resize"),
        ("torchvision/mobilenet_v2_tune", "mobilenet_v2-b0353104.pth", "crop"),
        ("torchvision/mobilenet_v2_tune", "mobilenet_v2-b0353104.pth", "multicrop"),
    ],
)
def test_scores_are_those_of_validate(
    model: str, file: str, strategy: str, slice_of_real: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = Path(os.environ.get("AIGENBENCH_REAL_WEIGHTS", "nowhere"), file)
    if not weights.is_file():
        pytest.skip(f"AIGENBENCH_REAL_WEIGHTS names no folder with {file}")
    changes = {
        "dataset_path": slice_of_real,
        "data.class_path": "inference_harness.AsTheyAre",
        "model.model_name": model,
        "model.model_args": {"weights": str(weights)},
        "model.model_input_size": 224,
        "model.evaluation_cropping_strategy": strategy,
        "model.optimizer.init_args.lr": 1e-4,
        "experiment_info.experiments_data_folder": str(tmp_path),
    }
    experiment = ab.fit(PIPELINE, overrides=FEW | changes)
    predictions = experiment.predictions(0)
    folder = export(experiment, tmp_path / "detector", formats=("onnx", "program"))
    detector = Detector.load(folder, "cpu", num_workers=1)
    files = [slice_of_real / row["path"] for row in rows_of(slice_of_real) if row["split"] == "validation"]
    pictures = [files[row] for row in predictions.fused_identifiers]
    logits = detector.logits(pictures)
    assert predictions.fused_logits is not None
    difference = float(np.abs(logits - predictions.fused_logits).max())
    with capsys.disabled():
        print(f"\n{model} {strategy}: {len(logits)} pictures, largest difference of a logit {difference:.2g}")  # noqa: T201
    assert difference < 1e-5
    assert check(detector).passed
    looker = Looker([str(folder)], "cpu", 16, 1)
    ((name, _),) = ((one["id"], one) for one in looker.described)
    served = [looker.look(path.read_bytes(), [name], False, "off")["detectors"][0]["logit"] for path in pictures[:4]]
    np.testing.assert_allclose(served, logits[:4], atol=1e-5)
    for form in ("onnx", "program"):
        other = Detector.load(folder, "cpu", runtime=runtime(form)).logits(pictures)
        moved = float(np.abs(other - predictions.fused_logits).max())
        with capsys.disabled():
            print(f"{form}: largest difference {moved:.2g}")  # noqa: T201
        assert moved < 1e-3
