"""Runs small experiments in children, and kills them at chosen events."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

FILE_OPERATIONS = ("open", "os.mkdir", "os.rename", "os.remove")

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
    """Counts what happens in a child: optimizer steps, evaluated batches, every file operation; and acts.

    The file operations are those below ``experiments_data``: opening, making a folder, renaming, removing (counted
    before they happen), fsync, and renaming once more when it is done.

    Args:
        kill_at: the event at which the child kills itself.
        signal_at: (event, signal): at which it signals itself.
        whole_group: signal the workers too.
        fail_at: (event, error number): at which the operating system fails.
        files_only: count file operations alone.
    """

    def __init__(
        self,
        kill_at: int | None = None,
        signal_at: tuple[int, int] | None = None,
        whole_group: bool = False,
        fail_at: tuple[int, int] | None = None,
        files_only: bool = False,
    ) -> None:
        self.count = 0
        self.kill_at, self.signal_at, self.whole_group, self.fail_at = kill_at, signal_at, whole_group, fail_at
        self.files_only = files_only

    def __call__(self) -> None:
        self.count += 1
        if self.whole_group and self.count == 1:
            os.setpgid(0, 0)
        if self.signal_at is not None and self.count == self.signal_at[0]:
            (os.killpg if self.whole_group else os.kill)(
                os.getpgrp() if self.whole_group else os.getpid(), self.signal_at[1]
            )
        if self.fail_at is not None and self.count == self.fail_at[0]:
            raise OSError(self.fail_at[1], os.strerror(self.fail_at[1]), "made to fail")
        if self.count == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def install(self) -> None:
        """Count from now on; only ever called in a child."""
        from aigenbench.training.window.collect import OutputCollector
        from aigenbench.training.window.keeper import WindowKeeper

        if not self.files_only:
            _after(WindowKeeper, "on_train_batch_end", self)
            _after(OutputCollector, "on_validation_batch_end", self)
        _after(os, "fsync", self)
        _after(Path, "replace", self)
        # the interpreter announces every other operation, whatever library asks for it
        sys.addaudithook(self._announced)

    def _announced(self, operation: str, arguments: tuple[Any, ...]) -> None:
        if operation in FILE_OPERATIONS and "experiments_data" in str(arguments[0]):
            self()


class SignalledAt(Events):
    """Counts the batches of a window's training or evaluation, or those embedded; signals its own process at one."""

    def __init__(self, what: str, window: int, batches: int, number: int) -> None:
        super().__init__()
        self.what, self.window, self.batches, self.number = what, window, batches, number

    def install(self) -> None:
        from aigenbench.training.features.embedding import _BlockWriter
        from aigenbench.training.window.collect import OutputCollector
        from aigenbench.training.window.keeper import WindowKeeper

        owner, name = {
            "training": (WindowKeeper, "on_train_batch_end"),
            "evaluation": (OutputCollector, "on_validation_batch_end"),
            "embedding": (_BlockWriter, "on_validation_batch_end"),
        }[self.what]
        original = getattr(owner, name)

        def wrapped(callback: Any, trainer: Any, module: Any, *rest: Any, **more: Any) -> None:
            if self.what == "embedding" or module.stage.window == self.window:
                self.count += 1
                if self.count == self.batches:
                    signal.raise_signal(self.number)
            original(callback, trainer, module, *rest, **more)

        setattr(owner, name, wrapped)


def _after(owner: Any, name: str, event: Callable[[], None]) -> None:
    original = getattr(owner, name)

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        event()
        return result

    setattr(owner, name, wrapped)


def run(folder: Path, argv: list[str], events: Events | None = None, command: str = "fit") -> tuple[int, int]:
    """Run a command in a child with ``folder`` as its working directory.

    Returns:
        Its exit code (negative: the signal that ended it), and how many events it counted.
    """
    return Child(folder, argv, events, command).result()


def run_together(
    folder: Path,
    argv: list[str],
    processes: int = 2,
    nodes: int = 1,
    events: dict[int, Events] | None = None,
    command: str = "fit",
) -> list[tuple[int, int]]:
    """Run a command in processes that share its work, with the variables torchrun sets; their results by rank.

    A rank's output goes to ``log.txt`` (rank 0) or ``log_<rank>.txt``.
    """
    port = free_port()
    per_node = processes // nodes
    children = []
    for rank in range(processes):
        variables = {
            "RANK": rank,
            "LOCAL_RANK": rank % per_node,
            "GROUP_RANK": rank // per_node,
            "WORLD_SIZE": processes,
            "LOCAL_WORLD_SIZE": per_node,
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": port,
            "TORCHELASTIC_RUN_ID": "test",
        }
        more = [f"--trainer.devices={per_node}", f"--trainer.num_nodes={nodes}"]
        of_rank = (events or {}).get(rank)
        environment = {name: str(value) for name, value in variables.items()}
        children.append(Child(folder, [*argv, *more], of_rank, command, environment=environment))
    while any(child.process.is_alive() for child in children):
        time.sleep(0.02)
        if any(child.process.exitcode for child in children):
            # as torchrun does, end those that wait for one that failed
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline and any(child.process.is_alive() for child in children):
                time.sleep(0.02)
            for child in children:
                child.process.kill()
    return [child.result() for child in children]


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Child:
    """A command that runs in a child, which started at once."""

    def __init__(
        self,
        folder: Path,
        argv: list[str],
        events: Events | None = None,
        command: str = "fit",
        environment: dict[str, str] | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        # children are forked from a server that has imported what is slow and done nothing: torch, which other tests
        # use in this process, does not survive a fork
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["aigenbench.cli.fit", "aigenbench.training.loop.commands", "tensorboard"])
        self._read, write = context.Pipe(duplex=False)
        arguments = (folder, argv, events or Events(), command, write, environment or {})
        self.process = context.Process(target=_child, args=arguments)
        self.process.start()
        write.close()

    def result(self) -> tuple[int, int]:
        """Wait for its end: exit code (negative: the signal that ended it), and how many events it counted."""
        try:
            counted = self._read.recv()
        except EOFError:
            counted = 0
        self.process.join()
        assert self.process.exitcode is not None
        return self.process.exitcode, counted


def _child(
    folder: Path, argv: list[str], events: Events, command: str, write: Connection, environment: dict[str, str]
) -> None:
    import aigenbench.cli

    code = 1
    try:
        os.chdir(folder)
        os.environ.update(environment)
        rank = int(environment.get("RANK", 0))
        with (folder / (f"log_{rank}.txt" if rank else "log.txt")).open("a") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        sys.stdout = os.fdopen(1, "w", buffering=1)
        sys.stderr = os.fdopen(2, "w", buffering=1)
        os.environ.pop("AIGENBENCH_EXPERIMENT_ID", None)
        torch.set_num_threads(1)
        events.install()
        code = fit_from_python(argv) if command == "ab.fit" else aigenbench.cli.main([command, *argv])
        write.send(events.count)
    except BaseException:  # noqa: BLE001 - nothing may leave the child but its exit code
        traceback.print_exc()
    os._exit(code)


def fit_from_python(argv: list[str]) -> int:
    """What the arguments of ``fit`` say, as a call."""
    import aigenbench as ab
    from aigenbench.yaml_text import read_yaml

    given = [argument.removeprefix("--").partition("=")[::2] for argument in argv]
    overrides = {key: read_yaml(text, key) for key, text in given if key not in ("config", "import")}
    imports = [text for key, text in given if key == "import"]
    ab.fit(*(text for key, text in given if key == "config"), overrides=overrides | {"imports": imports})
    return 0


def outcome(folder: Path, experiment: str = "x") -> dict[str, Any]:
    """Everything a finished experiment leaves that must not depend on what happened on the way."""
    result: dict[str, Any] = {}
    for path in sorted((folder / "experiments_data" / f"experiment_{experiment}").rglob("*")):
        if path.suffix in (".npz", ".csv"):
            result[str(path.relative_to(folder))] = hashlib.sha256(path.read_bytes()).hexdigest()
        elif path.suffix == ".ckpt":
            # what callbacks of the config write may hold more than plain values
            weights = torch.load(path, weights_only="checkpoints" not in path.parts)["state_dict"]
            result[str(path.relative_to(folder))] = {k: v.numpy().tobytes() for k, v in weights.items()}
    return result
