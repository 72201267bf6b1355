"""Few weights train: checkpoints hold them alone, a killed run goes on, and what is exported is merged."""

from __future__ import annotations

import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from training_harness import Events, arguments, outcome, run

import aigenbench as ab
from aigenbench.engine.exporting import export
from aigenbench.inference.detector import Detector

KINDS = ("layernorm", "bias", "lora", "svd", "last_blocks")
TINY = ("--model.model_args.pretrained=false", "--model.model_input_size=160", "--data.augmentation_factor=1")


@pytest.fixture(scope="module")
def three(made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three generators, a window each."""
    return made.default(tmp_path_factory.mktemp("data") / "three", generators=3, fakes_each=4)


def trained(three: Path, folder: Path, finetune: str, model: str = "timm/test_vit_tune") -> dict:
    code, _ = run(
        folder, arguments(three, folder, *TINY, f"--model.model_name={model}", f"--model.finetune={finetune}")
    )
    assert code == 0, (folder / "log.txt").read_text()[-3000:]
    return outcome(folder)


def weights(folder: Path, window: int) -> dict[str, torch.Tensor]:
    path = next((folder / "experiments_data" / "experiment_x" / f"window_{window}").rglob("*final.ckpt"))
    record = torch.load(path, weights_only=True)
    assert record["backbone"]["name"] == "timm/test_vit"
    return record["state_dict"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_killed_run_ends_as_an_undisturbed_one(kind: str, three: Path, tmp_path: Path) -> None:
    expected = trained(three, tmp_path / "undisturbed", kind)
    first, last = (weights(tmp_path / "undisturbed", window) for window in (0, 2))
    assert all(name.startswith(("model.changes.", "model.head.")) for name in last)
    assert all(not torch.equal(first[name], last[name]) for name in last if "changes" in name), "windows train on"
    folder = tmp_path / "killed"
    argv = arguments(three, folder, *TINY, "--model.model_name=timm/test_vit_tune", f"--model.finetune={kind}")
    for kill_at in (60, 100, 80):
        assert run(folder, argv, Events(kill_at=kill_at))[0] == -signal.SIGKILL
    assert run(folder, argv)[0] == 0, (folder / "log.txt").read_text()[-3000:]
    assert outcome(folder) == expected


def test_lora_of_rank_0_is_the_probe(three: Path, tmp_path: Path) -> None:
    of_rank_0 = trained(three, tmp_path / "lora", "{lora: {rank: 0}}")
    probe = trained(three, tmp_path / "probe", "all", "timm/test_vit_probe")
    assert {name: value for name, value in of_rank_0.items() if "final" in name or "predictions" in name} == {
        name: value for name, value in probe.items() if "final" in name or "predictions" in name
    }


def test_what_is_exported_is_merged(three: Path, tmp_path: Path) -> None:
    trained(three, tmp_path, "{lora: {rank: 2, where: all}}")
    experiment = tmp_path / "experiments_data" / "experiment_x"
    own = ab.Detector.load(experiment, device="cpu", trust_imports=True)
    detector = Detector.load(export(experiment, tmp_path / "detector", trust_imports=True), "cpu")
    pictures = [np.random.default_rng(i).integers(0, 255, (170, 180, 3), np.uint8) for i in range(3)]
    np.testing.assert_allclose(detector.logits(pictures), own.logits(pictures), atol=1e-5)


def test_stored_features_are_of_a_frozen_backbone(three: Path, tmp_path: Path) -> None:
    argv = arguments(three, tmp_path, *TINY, "--model.model_name=timm/test_vit_tune", "--model.finetune=bias")
    code, _ = run(tmp_path, [*argv, "--data.features=cache"])
    assert code == 2
    assert "data.features: cache needs a frozen backbone" in (tmp_path / "log.txt").read_text()
