"""The result does not depend on how many processes share the work."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from training_harness import Events, arguments, run, run_together

pytestmark = pytest.mark.slow

# no BatchNorm, no dropout: nothing that sees a device's share of the batch alone
PLAIN = """
from torch import nn
from aigenbench.models import ModelFactoryRegistry


def make_plain(model_name, pretrained=True, **kwargs):
    if model_name != "plain_tune":
        return None
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2), nn.Tanh(), nn.AdaptiveAvgPool2d(3), nn.Flatten(),
        nn.Linear(36, kwargs["num_classes"]),
    )


ModelFactoryRegistry().register_model_factory("plain", make_plain)
"""


STEPS = 20
"""Of the second window: 4 an epoch."""


def plain(dataset: Path, folder: Path, devices: int) -> list[str]:
    """An overall batch of 12, however it is shared out."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "plain_model.py").write_text(PLAIN)
    return arguments(
        dataset,
        folder,
        f"--import={folder / 'plain_model.py'}",
        "--model.model_name=plain_tune",
        "--data.train_batch_size=2",
        f"--trainer.accumulate_grad_batches={6 // devices}",
        f"--trainer.strategy={'ddp' if devices > 1 else 'auto'}",
        "--trainer.precision=64-true",
        f"--trainer.max_epochs={STEPS // 4}",
        f"--trainer.check_val_every_n_epoch={STEPS // 4}",
    )


class RecordsSamples(Events):
    """Writes down the samples of every optimizer step: image id and sum of pixels, a line a sample."""

    def __init__(self, rank: int) -> None:
        super().__init__()
        self.rank = rank

    def install(self) -> None:
        from aigenbench.training.window.keeper import WindowKeeper

        original, path = WindowKeeper.on_train_batch_start, Path(f"samples_{self.rank}.csv").absolute()

        def wrapped(keeper, trainer, module, batch, batch_idx) -> None:
            original(keeper, trainer, module, batch, batch_idx)
            sums = batch.images.double().sum(dim=(1, 2, 3)).tolist()
            with path.open("a") as lines:
                for image, total in zip(batch.image_ids.tolist(), sums, strict=True):
                    lines.write(f"{keeper.plan.window},{trainer.current_epoch},{keeper.done},{image},{total:.6f}\n")

        WindowKeeper.on_train_batch_start = wrapped


def fitted(folder: Path, dataset: Path, devices: int) -> Path:
    argv, recorders = plain(dataset, folder, devices), {rank: RecordsSamples(rank) for rank in range(devices)}
    if devices == 1:
        codes = [run(folder, argv, recorders[0])[0]]
    else:
        codes = [code for code, _ in run_together(folder, argv, devices, events=recorders)]
    assert codes == [0] * devices, (folder / "log.txt").read_text()[-3000:]
    return folder


def samples(folder: Path) -> list[str]:
    """The samples of all processes, by step."""
    return sorted(line for path in folder.glob("samples_*.csv") for line in path.read_text().splitlines())


def window(folder: Path, k: int) -> Path:
    return folder / "experiments_data" / "experiment_x" / f"window_{k}"


def weights(of_window: Path) -> dict[str, torch.Tensor]:
    return torch.load(of_window / "final.ckpt", weights_only=True)["state_dict"]


def assert_same_rows(one: Path, other: Path) -> None:
    rows, others = (np.load(folder / "predictions_validate_all.npz") for folder in (one, other))
    for name in ("fused_identifiers", "fused_labels", "fused_generator_ids", "crop_identifiers", "pairing"):
        assert np.array_equal(rows[name], others[name]), name
    assert len(set(rows["fused_identifiers"].tolist())) == len(rows["fused_identifiers"])
    assert np.abs(rows["fused_logits"] - others["fused_logits"]).max() < 1e-6


@pytest.fixture(scope="module")
def dataset(made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made.default(tmp_path_factory.mktemp("data") / "two", generators=2, fakes_each=6)


@pytest.fixture(scope="module")
def alone(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fitted(tmp_path_factory.mktemp("alone"), dataset, 1)


@pytest.mark.parametrize("devices", [2, 3])
def test_training_does_not_depend_on_the_number_of_processes(
    dataset: Path, alone: Path, tmp_path: Path, devices: int
) -> None:
    spread = fitted(tmp_path, dataset, devices)
    # 12 samples of each of 10 and 20 optimizer steps
    assert len(samples(alone)) == 12 * (STEPS // 2 + STEPS)
    assert samples(spread) == samples(alone)
    for k in range(2):
        a, b = weights(window(alone, k)), weights(window(spread, k))
        assert all(a[name].dtype == torch.float64 for name in a)
        assert all((a[name] - b[name]).abs().max() < 1e-9 for name in a)
        assert_same_rows(window(alone, k), window(spread, k))


@pytest.mark.parametrize("devices", [1, 2, 3])
def test_one_checkpoint_evaluated_by_several_processes_gives_the_same_rows(
    dataset: Path, alone: Path, tmp_path: Path, devices: int
) -> None:
    shutil.copytree(alone / "experiments_data", tmp_path / "experiments_data")
    # in float32, and in batches of other sizes: 3, 3 and 2 images for three processes
    argv = [*plain(dataset, tmp_path, devices), "--trainer.precision=32-true", "--data.eval_batch_size=2"]
    if devices == 1:
        codes = [run(tmp_path, argv, command="validate")[0]]
    else:
        codes = [code for code, _ in run_together(tmp_path, argv, devices, command="validate")]
    assert codes == [0] * devices, (tmp_path / "log.txt").read_text()[-3000:]
    for k in range(2):
        # another precision is another setting, whose results are kept apart
        (kept,) = tmp_path.glob(f"experiments_data/experiment_x/evaluations/config_*/window_{k}")
        assert_same_rows(window(alone, k), kept)


def test_two_windows_of_two_processes_that_the_run_starts_itself(dataset: Path, alone: Path, tmp_path: Path) -> None:
    # an id chosen by the first process, which the one that it starts must share
    argv = [a for a in plain(dataset, tmp_path, 2) if "experiment_id" not in a] + ["--trainer.devices=2"]
    done = subprocess.run(
        [sys.executable, "-m", "aigenbench", "fit", *argv],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stderr.count("optimizer steps in") == 2 * STEPS // 4, "one process speaks"
    assert [path.name for path in (tmp_path / "experiments_data").iterdir()] == ["experiment_0"]
    (tmp_path / "experiments_data" / "experiment_0").rename(tmp_path / "experiments_data" / "experiment_x")
    for k in range(2):
        a, b = weights(window(alone, k)), weights(window(tmp_path, k))
        assert all((a[name] - b[name]).abs().max() < 1e-9 for name in a)
        assert_same_rows(window(alone, k), window(tmp_path, k))
