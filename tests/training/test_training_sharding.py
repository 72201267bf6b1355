"""FSDP on two processes of the CPU: the results and files of any other run."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from training_harness import SignalledAt, arguments, outcome, run, run_together

VIT = """
import torch
from torch import nn
from aigenbench.models import ModelFactoryRegistry
from aigenbench.models.probe import Classifier


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(12)
        self.attention = nn.MultiheadAttention(12, 2, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(12, 24), nn.GELU(), nn.Linear(24, 12))

    def forward(self, x):
        y = self.norm(x)
        return x + self.mlp(x + self.attention(y, y, y, need_weights=False)[0])


class Backbone(nn.Module):
    num_features = 12

    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(3, 12, 8, stride=8)
        self.blocks = nn.ModuleList(Block() for _ in range(3))

    def forward(self, images):
        x = self.patches(images).flatten(2).transpose(1, 2)
        for block in self.blocks:
            x = block(x)
        return x.mean(1)


def make_vit(model_name, pretrained=True, **kwargs):
    if model_name == "small_tune":
        return nn.Sequential(Backbone(), nn.Linear(12, kwargs["num_classes"]))
    if model_name == "small_probe":
        return Classifier(Backbone(), kwargs["num_classes"], frozen=True, name="small")
    return None


ModelFactoryRegistry().register_model_factory("small", make_vit)
"""


def vit(dataset: Path, folder: Path, strategy: str, accumulate: int, *more: str) -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "small.py").write_text(VIT)
    return arguments(
        dataset,
        folder,
        f"--import={folder / 'small.py'}",
        "--model.model_name=small_tune",
        "--data.train_batch_size=2",
        "--data.eval_batch_size=2",
        f"--trainer.strategy={strategy}",
        f"--trainer.accumulate_grad_batches={accumulate}",
        "--trainer.precision=64-true",
        "--trainer.max_epochs=2",
        "--trainer.gradient_clip_val=0.5",
        "--model.optimizer.class_path=torch.optim.AdamW",
        *more,
    )


@pytest.fixture(scope="module")
def two(made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made.default(tmp_path_factory.mktemp("data") / "two", generators=2, fakes_each=6)


@pytest.fixture(scope="module")
def alone(two: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("alone")
    assert run(folder, vit(two, folder, "auto", 6))[0] == 0, (folder / "log.txt").read_text()[-3000:]
    return folder


def read(path: Path) -> dict:
    return torch.load(path, weights_only=True)


def assert_same_results(one: Path, other: Path) -> None:
    for k in range(2):
        a, b = (folder / "experiments_data/experiment_x" / f"window_{k}" for folder in (one, other))
        ours, theirs = (read(window / "final.ckpt")["state_dict"] for window in (a, b))
        assert ours.keys() == theirs.keys()
        assert all(type(theirs[name]) is torch.Tensor for name in theirs)
        assert all(theirs[name].shape == ours[name].shape for name in ours)
        assert max((ours[name] - theirs[name]).abs().max().item() for name in ours) < 1e-9
        rows, others = (np.load(window / "predictions_validate_all.npz") for window in (a, b))
        assert np.array_equal(rows["fused_identifiers"], others["fused_identifiers"])
        assert np.abs(rows["fused_logits"] - others["fused_logits"]).max() < 1e-6


@pytest.mark.slow
def test_sharded_runs_end_like_one_process_also_when_killed(two: Path, alone: Path, tmp_path: Path) -> None:
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    results = run_together(undisturbed, vit(two, undisturbed, "fsdp", 3))
    assert [code for code, _ in results] == [0, 0], (undisturbed / "log.txt").read_text()[-3000:]
    assert_same_results(alone, undisturbed)

    # the first process kills itself in the second epoch of window 1, at the second of three parts of its third step;
    # the other fails
    argv = vit(two, killed, "fsdp", 3)
    kill = SignalledAt("training", 1, 12 + 6 + 2, signal.SIGKILL)
    assert run_together(killed, argv, events={0: kill})[0][0] == -signal.SIGKILL
    saved = sorted((killed / "experiments_data/experiment_x/window_1").glob("epoch_*.ckpt"))
    record = read(saved[-1])
    shapes = [tuple(tensor.shape) for tensor in record["state_dict"].values()]
    moments = [tuple(state["exp_avg"].shape) for state in record["optimizers"][0]["state"].values()]
    assert shapes == moments, "whole tensors, in the optimizer's own format"
    by_one = tmp_path / "by_one"
    shutil.copytree(killed, by_one)
    assert [code for code, _ in run_together(killed, argv)] == [0, 0], (killed / "log.txt").read_text()[-3000:]
    assert outcome(killed) == outcome(undisturbed)

    # the weights evaluated again, whole in each process
    again = run_together(undisturbed, vit(two, undisturbed, "fsdp", 3), command="validate")
    assert [code for code, _ in again] == [0, 0], (undisturbed / "log.txt").read_text()[-3000:]
    assert (undisturbed / "log.txt").read_text().count("reproduced, logits differ by at most") == 2

    # and one process goes on where the sharded ones were killed
    assert run(by_one, vit(two, by_one, "auto", 6, "--allow_config_change"))[0] == 0
    assert "window 1 of 0..1, epoch 1 of 0..1: going on after optimizer step 2" in (by_one / "log.txt").read_text()
    assert_same_results(alone, by_one)


@pytest.mark.slow
def test_a_probe_is_trained_sharded_with_its_backbone_whole(two: Path, tmp_path: Path) -> None:
    one, sharded = tmp_path / "one", tmp_path / "sharded"
    probe = ("--model.model_name=small_probe", "--trainer.precision=32-true")
    assert run(one, vit(two, one, "auto", 6, *probe))[0] == 0, (one / "log.txt").read_text()[-3000:]
    # 3, 3 and 2 of the 8 images: an evaluation batch less for the last process
    codes = [code for code, _ in run_together(sharded, vit(two, sharded, "fsdp", 2, *probe), processes=3)]
    assert codes == [0, 0, 0], (sharded / "log.txt").read_text()[-3000:]
    a, b = (read(f / "experiments_data/experiment_x/window_1/final.ckpt") for f in (one, sharded))
    assert set(b["state_dict"]) == {"model.head.weight", "model.head.bias"}
    assert a["backbone"] == b["backbone"]
    assert all((a["state_dict"][n] - b["state_dict"][n]).abs().max() < 1e-5 for n in a["state_dict"])


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--trainer.strategy=fsdp", "--model.model_name=tiny_tune"], "for models without BatchNorm"),
        (["--trainer.strategy=fsdp_cpu_offload"], "write strategy: fsdp"),
        (["--trainer.strategy=fsdp", "--trainer.precision=16-mixed"], "use bf16-mixed"),
    ],
)
def test_what_cannot_be_sharded_is_told_in_one_line(two: Path, tmp_path: Path, more: list[str], said: str) -> None:
    code, _ = run(tmp_path, vit(two, tmp_path, "auto", 6, *more))
    log = (tmp_path / "log.txt").read_text()
    assert code == 2, log[-3000:]
    assert said in log
    assert "Traceback" not in log
