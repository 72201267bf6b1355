"""What a config does to images is the same whatever their labels say, or is found."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import pytest

import aigenbench as ab
from aigenbench.cli import main
from aigenbench.curation.audit.auditing import Audit
from small_run import PIPELINE

SMALL = "small_cnn/small_cnn_tune_resize.yaml"
NUMBERS = count()

DETECTOR = """
import numpy as np
import torch
from aigenbench.training import BaseDeepfakeDetectionModel

class Detector(BaseDeepfakeDetectionModel):
    def on_after_batch_transfer(self, batch, dataloader_idx):
        images = batch.images.clone()
        {body}
        return batch._replace(images=images)
"""
SAMPLES = """
from aigenbench.data import AIGenBenchPipeline
from aigenbench.data.samples.dataset import TrainingSamples

class Worse(TrainingSamples):
    def __getitem__(self, key):
        sample = super().__getitem__(key)
        return sample._replace(crops=[crop[::-1].copy() for crop in sample.crops]) if sample.label else sample

class Pipeline(AIGenBenchPipeline):
    def training_samples(self, *arguments):
        made = super().training_samples(*arguments)
        made.__class__ = Worse
        return made
"""
ORIGINAL = """
from algorithms.base_model import BaseDeepfakeDetectionModel

class Detector(BaseDeepfakeDetectionModel):
    def on_after_batch_transfer(self, batch, dataloader_idx):
        x, y, *rest = batch
        return (x + 0.1 * y.view(-1, 1, 1, 1), y, *rest)
"""


def audited(dataset: Path, tmp_path: Path, code: str = "", **classes: str) -> Audit:
    module = own_module(tmp_path, code)
    config = {section: {"class_path": f"{module.stem}.{name}"} for section, name in classes.items()}
    return ab.audit(dataset, configs=[PIPELINE, SMALL, config], imports=[str(module)])


def own_module(folder: Path, code: str) -> Path:
    """A file of a name that no other test has imported."""
    path = folder / f"own_{next(NUMBERS)}.py"
    path.write_text(code)
    return path


def steps(found: Audit) -> dict[str, str]:
    return {one.kind: one.text for one in found.findings if one.kind.endswith("_steps")}


def test_the_benchmarks_own_steps_know_no_labels(small_dataset: Path, tmp_path: Path) -> None:
    assert steps(audited(small_dataset, tmp_path)) == {}


def test_samples_that_depend_on_the_label(small_dataset: Path, tmp_path: Path) -> None:
    found = audited(small_dataset, tmp_path, SAMPLES, data="Pipeline")
    assert found.has_errors
    assert list(steps(found)) == ["label_dependent_steps"]
    assert (
        "train samples come out otherwise where their label is another (Pipeline's samples)" in found.findings[0].text
    )
    assert {split for ((split, _),) in found.findings[0].images} == {"train"}
    assert len(found.findings[0].images) == 48


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("images[batch.labels[batch.crop_to_image] == 0] //= 2", "label_dependent_steps"),
        # seldom, and by luck
        (
            "images[(batch.labels[batch.crop_to_image] == 1) & (torch.rand(len(images)) < 0.2)] //= 2",
            "label_dependent_steps",
        ),
        ("images[batch.generator_ids[batch.crop_to_image] == 2] //= 2", "label_dependent_steps"),
        ("images[torch.rand(len(images)) < 0.5] //= 2", ""),
        # of no seed: nothing can be said of labels
        ("images //= 1 + int(np.random.default_rng().integers(2))", "unrepeatable_steps"),
    ],
)
def test_hooks_on_batches(small_dataset: Path, tmp_path: Path, body: str, kind: str) -> None:
    found = steps(audited(small_dataset, tmp_path, DETECTOR.format(body=body), model="Detector"))
    assert list(found) == [kind] * bool(kind)
    assert all("(Detector's hooks on batches)" in text for text in found.values())


def test_a_detector_of_the_originals_contract(small_dataset: Path, tmp_path: Path) -> None:
    assert list(steps(audited(small_dataset, tmp_path, ORIGINAL, model="Detector"))) == ["label_dependent_steps"]


def test_a_timeline_is_a_file_as_elsewhere(small_dataset: Path) -> None:
    with pytest.raises(ab.InputError, match="timeline: no file"):
        ab.audit(small_dataset, timeline="nowhere.csv")


@pytest.mark.slow
def test_the_command(small_dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["data", "audit", str(small_dataset), "--workers", "1", "--config", PIPELINE, "--config"]
    main([*command, SMALL])
    assert "samples come out otherwise" not in capsys.readouterr().out
    module = own_module(tmp_path, SAMPLES)
    own = tmp_path / "own.yaml"
    own.write_text(f"model:\n  model_name: small_cnn_tune\ndata:\n  class_path: {module.stem}.Pipeline\n")
    assert main([*command, str(own), "--import", str(module)]) == 1
    said = capsys.readouterr().out
    assert said.startswith("error    ")
    assert "(Pipeline's samples)" in said
    assert main([*command, "missing.yaml"]) == 2
    assert main(["data", "audit", str(small_dataset), "--import", "missing.py"]) == 2
    assert "import missing.py: no config is given" in capsys.readouterr().err
