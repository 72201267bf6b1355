"""Runs small experiments in forked children, and kills them at chosen events."""

from __future__ import annotations

import hashlib
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

# everything slow is imported before a child is forked
import aigenbench.cli.fit
import aigenbench.training.commands
import aigenbench.training.loop
from aigenbench.training.collect import OutputCollector
from aigenbench.training.keeper import EpochKeeper

FACTORY = '''
from torch import nn
from algorithms.model_factory_registry import ModelFactoryRegistry


def make_tiny(model_name: str, pretrained: bool = True, **kwargs):
    """A network with everything a resume could get wrong: BatchNorm, dropout, a bias."""
    if model_name != "tiny_tune":
        return None
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(),
        nn.Dropout(0.3), nn.Linear(16, kwargs["num_classes"]),
    )


ModelFactoryRegistry().register_model_factory("tiny", make_tiny)
'''


def arguments(dataset: Path, folder: Path, *more: str) -> list[str]:
    """The command line of a small experiment: a window a generator, no progress bar, a checkpoint every 2 steps."""
    factory = folder / "tiny_model.py"
    folder.mkdir(parents=True, exist_ok=True)
    factory.write_text(FACTORY)
    return [
        "--config=benchmark_pipelines/base_benchmark_sliding_windows.yaml",
        f"--import={factory}",
        "--model.model_name=tiny_tune",
        "--model.model_input_size=24",
        "--model.optimizer.init_args.lr=0.05",
        f"--dataset_path={dataset}",
        "--data.train_batch_size=4",
        "--data.eval_batch_size=8",
        "--data.num_workers=0",
        "--data.augmentation_factor=2",
        "--trainer.accumulate_grad_batches=2",
        "--trainer.accelerator=cpu",
        "--trainer.logger=false",
        "--trainer.log_every_n_steps=1",
        "--experiment_info.experiment_id=x",
        "--experiment_info.checkpoint_every_n_steps=2",
        "--experiment_info.sliding_windows_definition.n_generators_per_window=1",
        *more,
    ]


class Events:
    """Counts what happens in a child: optimizer steps, evaluated batches, every stage of every write."""

    def __init__(self, kill_at: int | None = None, act: Callable[[int], None] | None = None) -> None:
        self.count, self.kill_at, self.act = 0, kill_at, act

    def __call__(self) -> None:
        self.count += 1
        if self.act is not None:
            self.act(self.count)
        if self.count == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def install(self) -> None:
        """Count from now on; only ever called in a child."""
        _after(EpochKeeper, "on_train_batch_end", self)
        _after(OutputCollector, "on_validation_batch_end", self)
        _after(os, "fsync", self)
        for name in ("replace", "unlink"):
            _before(Path, name, self)
            _after(Path, name, self)


def _after(owner: Any, name: str, event: Callable[[], None]) -> None:
    original = getattr(owner, name)

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        event()
        return result

    setattr(owner, name, wrapped)


def _before(owner: Any, name: str, event: Callable[[], None]) -> None:
    original = getattr(owner, name)

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        event()
        return original(*args, **kwargs)

    setattr(owner, name, wrapped)


def run(folder: Path, argv: list[str], events: Events | None = None, command: str = "fit") -> tuple[int, int]:
    """Run a command in a forked child with ``folder`` as its working directory.

    Returns:
        Its exit code (negative: the signal that ended it), and how many events it counted.
    """
    folder.mkdir(parents=True, exist_ok=True)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(read)
            os.chdir(folder)
            with (folder / "log.txt").open("a") as log:
                os.dup2(log.fileno(), 1)
                os.dup2(log.fileno(), 2)
            sys.stdout = os.fdopen(1, "w", buffering=1)
            sys.stderr = os.fdopen(2, "w", buffering=1)
            os.environ.pop("AIGENBENCH_EXPERIMENT_ID", None)
            torch.set_num_threads(1)
            events = events or Events()
            events.install()
            code = aigenbench.cli.main([command, *argv])
            os.write(write, str(events.count).encode())
        except BaseException:  # noqa: BLE001 - nothing may leave the child but its exit code
            traceback.print_exc()
        os._exit(code)
    os.close(write)
    with os.fdopen(read) as pipe:
        counted = pipe.read()
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), int(counted or 0)


def outcome(folder: Path) -> dict[str, Any]:
    """Everything a finished experiment leaves that must not depend on what happened on the way."""
    result: dict[str, Any] = {}
    for path in sorted((folder / "experiments_data" / "experiment_x").rglob("*")):
        if path.suffix in (".npz", ".csv"):
            result[str(path.relative_to(folder))] = hashlib.sha256(path.read_bytes()).hexdigest()
        elif path.suffix == ".ckpt":
            weights = torch.load(path, weights_only=True)["state_dict"]
            result[str(path.relative_to(folder))] = {k: v.numpy().tobytes() for k, v in weights.items()}
    return result
