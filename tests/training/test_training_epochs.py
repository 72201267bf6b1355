"""A window of several epochs is one training to a user's schedules and callbacks, killed or not."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from training_harness import Events, arguments, outcome, run

USERS = """
import json
from pathlib import Path

import torch
from lightning.pytorch import Callback

from aigenbench.training import BaseDeepfakeDetectionModel


class Cosine(BaseDeepfakeDetectionModel):
    def configure_optimizers(self):
        optimizer = self.optimizer_factory(list(self.parameters()))
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)
        self.log("mean_loss", loss, on_step=False, on_epoch=True, batch_size=len(batch.labels))
        return loss

    def validation_step(self, batch, batch_idx):
        output = super().validation_step(batch, batch_idx)
        self.log("own/loss", output.losses.mean(), batch_size=len(output.losses))
        return output


class Remembers(Callback):
    # what it has seen over the window, which a resumed run must not see twice or miss

    def __init__(self):
        self.seen = []

    def note(self, what, trainer):
        monitored = {k: float(v) for k, v in trainer.callback_metrics.items() if k in ("mean_loss", "own/loss")}
        self.seen.append([what, trainer.current_epoch, trainer.global_step, sorted(monitored.items())])

    def on_train_epoch_start(self, trainer, module):
        self.note("epoch starts", trainer)

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        self.note(f"batch {batch_idx} of {trainer.num_training_batches}", trainer)

    def on_validation_end(self, trainer, module):
        self.note("evaluated " + str(round(float(trainer.callback_metrics["validate/growing/auroc"]), 6)), trainer)

    def on_train_epoch_end(self, trainer, module):
        self.note("epoch ends", trainer)

    def on_train_end(self, trainer, module):
        # past the harness's count of files
        folder = Path(trainer.default_root_dir)
        (folder / "seen.csv").write_text("\\n".join(json.dumps(one) for one in self.seen))

    def state_dict(self):
        return {"seen": [list(one) for one in self.seen]}

    def load_state_dict(self, state):
        self.seen = state["seen"]
"""

CALLBACKS = """
trainer:
  max_epochs: 3
  callbacks:
    - class_path: EarlyStopping
      init_args: {monitor: own/loss, patience: 5}
    - class_path: ModelCheckpoint
      init_args: {monitor: mean_loss, save_top_k: 2}
    - class_path: LearningRateMonitor
      init_args: {logging_interval: step}
    - class_path: users.Remembers
"""


@pytest.fixture(scope="module")
def three(made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three generators, a window each."""
    return made.default(tmp_path_factory.mktemp("data") / "three", generators=3, fakes_each=8)


def command(dataset: Path, folder: Path, *more: str) -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "users.py").write_text(USERS)
    (folder / "callbacks.yaml").write_text(CALLBACKS)
    users = [f"--import={folder / 'users.py'}", f"--config={folder / 'callbacks.yaml'}"]
    return arguments(dataset, folder, "--model.class_path=users.Cosine", *users, *more)


def everything(folder: Path) -> dict[str, Any]:
    """The outcome, and what callbacks keep in the files they write."""
    result = outcome(folder)
    for path in sorted(folder.glob("experiments_data/*/window_*/checkpoints/*.ckpt")):
        content = torch.load(path, weights_only=True)
        states = {key: state for key, state in content["callbacks"].items() if "ModelCheckpoint" not in key}
        result[f"{path.relative_to(folder)} callbacks"] = repr((states, content["epoch"], content["global_step"]))
    return result


def log(folder: Path) -> str:
    return (folder / "log.txt").read_text()


@pytest.fixture(scope="module")
def undisturbed(three: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], int, Path]:
    """What a run leaves that nothing disturbed, how many events it had, and its folder."""
    folder = tmp_path_factory.mktemp("undisturbed")
    code, events = run(folder, command(three, folder))
    assert code == 0, log(folder)[-3000:]
    return everything(folder), events, folder


def test_epochs_are_one_training(undisturbed: tuple[dict[str, Any], int, Path]) -> None:
    _, _, folder = undisturbed
    window = folder / "experiments_data/experiment_x/window_1"
    seen = (window / "seen.csv").read_text()
    assert [f'["epoch starts", {e}, {8 * e}' in seen for e in range(4)] == [True, True, True, False]
    assert seen.count("epoch starts") == seen.count("epoch ends") == seen.count("evaluated") == 3
    assert seen.count("batch 15 of 16") == 3
    lines = [line.split(",") for line in (window / "metrics.csv").read_text().splitlines()]
    rates = [float(value) for _, name, value in lines if "lr-SGD" in name]
    assert len(rates) == 48, "once for each part of an accumulation"
    assert rates == sorted(rates, reverse=True), "one fall over the whole window"
    assert rates[0] > 0.045
    assert rates[-1] < 0.005
    assert len(list((window / "checkpoints").glob("*.ckpt"))) == 2, "save_top_k"
    steps = [step for step, name, _ in lines if name == "validate/growing/auroc"]
    assert steps == ["20", "28", "36"], "of the second window, before which 12 steps were made"


def killed_until_done(folder: Path, three: Path, seed: int, longest: int, *more: str) -> int:
    rng = np.random.default_rng(seed)
    for kills in range(1000):
        code, _ = run(folder, command(three, folder, *more), Events(kill_at=int(rng.integers(1, longest))))
        if code == 0:
            return kills
        assert code == -signal.SIGKILL, log(folder)[-3000:]
    raise AssertionError("the run does not come to its end")


@pytest.mark.slow
def test_killed_runs_end_alike(three: Path, undisturbed: tuple[dict[str, Any], int, Path], tmp_path: Path) -> None:
    files, events, _ = undisturbed
    assert killed_until_done(tmp_path, three, 0, events // 5) >= 6, "a tenth of the campaign"
    assert everything(tmp_path) == files


@pytest.fixture(scope="module")
def kills_of_campaign() -> list[int]:
    """Kills of every run of the campaign that ended with the undisturbed run's results."""
    return []


@pytest.mark.campaign
@pytest.mark.parametrize("seed", range(10))
def test_campaign_of_kills(
    three: Path,
    undisturbed: tuple[dict[str, Any], int, Path],
    tmp_path: Path,
    seed: int,
    kills_of_campaign: list[int],
) -> None:
    files, events, _ = undisturbed
    more = (f"--data.num_workers={seed % 2 * 2}",)
    kills = killed_until_done(tmp_path, three, 100 + seed, events // 5, *more)
    assert everything(tmp_path) == files
    kills_of_campaign.append(kills)


@pytest.mark.campaign
def test_the_campaign_had_sixty_kills(kills_of_campaign: list[int], capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(f"\n{sum(kills_of_campaign)} kills in {len(kills_of_campaign)} runs, all ended bit-identical")  # noqa: T201
    assert sum(kills_of_campaign) >= 60


@pytest.mark.slow
@pytest.mark.parametrize("at", [30, 55, 80])
def test_a_signal_stops_within_and_between_epochs(
    three: Path, undisturbed: tuple[dict[str, Any], int, Path], tmp_path: Path, at: int
) -> None:
    files, _, _ = undisturbed
    code, _ = run(tmp_path, command(three, tmp_path), Events(signal_at=(at, signal.SIGTERM)))
    assert code == 128 + signal.SIGTERM, log(tmp_path)[-3000:]
    assert run(tmp_path, command(three, tmp_path))[0] == 0
    assert everything(tmp_path) == files


def test_early_stopping_ends_a_window_and_its_last_weights_are_evaluated(three: Path, tmp_path: Path) -> None:
    early = tmp_path / "early.yaml"
    early.write_text(
        "trainer: {max_epochs: 5, check_val_every_n_epoch: 4, callbacks: [{class_path: EarlyStopping, init_args: "
        "{monitor: train/loss, patience: 1, min_delta: 100, check_on_train_epoch_end: true}}]}"
    )
    one = "--experiment_info.sliding_windows_definition.current_window=0"
    argv = arguments(three, tmp_path, f"--config={early}", one)
    assert run(tmp_path, argv)[0] == 0, log(tmp_path)[-3000:]
    assert log(tmp_path).count("optimizer steps") == 2
    window = tmp_path / "experiments_data/experiment_x/window_0"
    assert [path.name for path in sorted(window.glob("*step*.npz"))] == ["predictions_validate_step_00000008.npz"]
    assert run(tmp_path, [*argv, "--trainer.min_epochs=3", "--experiment_info.experiment_id=y"])[0] == 0
    assert log(tmp_path).count("optimizer steps") == 2 + 3


def test_what_is_monitored_but_not_logged_is_told(three: Path, tmp_path: Path) -> None:
    early = tmp_path / "early.yaml"
    early.write_text("trainer: {callbacks: [{class_path: EarlyStopping, init_args: {monitor: nothing}}]}")
    assert run(tmp_path, arguments(three, tmp_path, f"--config={early}"))[0] == 2
    assert "Traceback" not in log(tmp_path)
    assert "validate/<period>/<metric>" in log(tmp_path).splitlines()[-1]
