"""What the operating system may do to a run: told in one line, nothing lost, and the same command goes on."""

from __future__ import annotations

import ctypes
import os
import resource
import shutil
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from training_harness import Events, arguments, outcome, run

from aigenbench.protocol.timeline import PUBLISHED

EXPERIMENT = Path("experiments_data/experiment_x")


class When(Events):
    """Does something in the run's process at a batch of a window's training or evaluation."""

    def __init__(self, what: str, window: int, act: Callable[[], None]) -> None:
        super().__init__()
        self.what, self.window, self.act = what, window, act

    def install(self) -> None:
        from aigenbench.training.window.collect import OutputCollector
        from aigenbench.training.window.keeper import WindowKeeper

        owner, name = {
            "training": (WindowKeeper, "on_train_batch_end"),
            "evaluation": (OutputCollector, "on_validation_batch_end"),
        }[self.what]
        original = getattr(owner, name)

        def wrapped(callback: Any, trainer: Any, module: Any, *rest: Any, **more: Any) -> None:
            original(callback, trainer, module, *rest, **more)
            if module.stage.window == self.window and not self.count:
                self.count += 1
                self.act()

        setattr(owner, name, wrapped)


@pytest.fixture(scope="module")
def pictures(made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of pictures with an index: three generators, a window each."""
    folder = tmp_path_factory.mktemp("data") / "pictures"
    folder.mkdir()
    rng, lines = np.random.default_rng(0), ["path,label,generator,split,origin_dataset"]
    for i in range(48):
        name = "" if i % 2 else PUBLISHED.names[i // 2 % 3]
        (folder / f"{i}.png").write_bytes(made.encoded(made.image(rng, bool(name))))
        split = "train" if i < 30 else "validation"
        lines.append(f"{i}.png,{'fake' if name else 'real'},{name},{split},{'' if name else 'COCO'}")
    (folder / "index.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="module")
def undisturbed(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("undisturbed")
    code, _ = run(folder, arguments(pictures, folder))
    assert code == 0, (folder / "log.txt").read_text()[-3000:]
    return outcome(folder)


def told(folder: Path, of_workers: bool = False) -> str:
    """The one line in which a run said what went wrong; torch's workers may show what they met besides."""
    log = (folder / "log.txt").read_text()
    assert of_workers or "Traceback" not in log, log[-5000:]
    (line,) = [line for line in log.splitlines() if line.startswith("aigenbench: error:")]
    return line


def check_goes_on(folder: Path, argv: list[str], files: dict[str, Any]) -> None:
    code, _ = run(folder, argv)
    assert code == 0, (folder / "log.txt").read_text()[-3000:]
    assert outcome(folder) == files


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("what", ["training", "evaluation"])
def test_data_that_vanish(pictures: Path, undisturbed: dict[str, Any], tmp_path: Path, workers: int, what: str) -> None:
    data = tmp_path / "data"
    shutil.copytree(pictures, data)
    more = [f"--data.num_workers={workers}", "--data.eval_batch_size=2"]
    argv = arguments(data, tmp_path, *more)
    code, _ = run(tmp_path, argv, When(what, 1, partial(data.rename, tmp_path / "away")))
    assert code == 2, (tmp_path / "log.txt").read_text()[-3000:]
    assert ".png" in told(tmp_path)
    (tmp_path / "away").rename(data)
    # the batches of an evaluation are no part of its result here: their sums are float32's
    alone = tmp_path / "alone"
    assert run(alone, arguments(pictures, alone, *more))[0] == 0
    check_goes_on(tmp_path, argv, outcome(alone))


@pytest.mark.slow
@pytest.mark.parametrize(("window", "other"), [(1, 1), (1, 0), (2, 0)])
def test_a_windows_folder_that_is_removed(
    pictures: Path, undisturbed: dict[str, Any], tmp_path: Path, window: int, other: int
) -> None:
    argv = arguments(pictures, tmp_path)
    gone = tmp_path / EXPERIMENT / f"window_{other}"
    code, _ = run(tmp_path, argv, When("training", window, partial(shutil.rmtree, gone)))
    assert code == 2, (tmp_path / "log.txt").read_text()[-3000:]
    assert f"window_{other}" in told(tmp_path) or "was removed from" in told(tmp_path)
    check_goes_on(tmp_path, argv, undisturbed)


@pytest.mark.slow
def test_an_experiments_folder_that_is_removed(pictures: Path, undisturbed: dict[str, Any], tmp_path: Path) -> None:
    argv = arguments(pictures, tmp_path)
    code, _ = run(tmp_path, argv, When("training", 1, partial(shutil.rmtree, tmp_path / EXPERIMENT)))
    assert code == 2, (tmp_path / "log.txt").read_text()[-3000:]
    assert "was removed while a run was at work" in told(tmp_path)
    assert not (tmp_path / EXPERIMENT).exists()
    check_goes_on(tmp_path, argv, undisturbed)


def no_more_files() -> None:
    # numbers from this one on are refused
    lowest_free = os.dup(0)
    os.close(lowest_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("what", ["training", "evaluation"])
def test_file_handles_that_are_used_up(
    pictures: Path, undisturbed: dict[str, Any], tmp_path: Path, workers: int, what: str
) -> None:
    argv = arguments(pictures, tmp_path, f"--data.num_workers={workers}")
    code, _ = run(tmp_path, argv, When(what, 1, no_more_files))
    assert code == 2, (tmp_path / "log.txt").read_text()[-3000:]
    assert "Too many open files" in told(tmp_path, workers > 0)
    check_goes_on(tmp_path, argv, undisturbed)


class LittleSharedMemory(Events):
    """Gives the run, and nobody else, a ``/dev/shm`` of a few pages."""

    def __init__(self, kilobytes: int) -> None:
        super().__init__()
        self.size = f"size={kilobytes}k"

    def install(self) -> None:
        clone_new_mounts = 0x20000
        alone = ctypes.CDLL(None).unshare(clone_new_mounts) == 0
        commands = (["mount", "--make-rprivate", "/"], ["mount", "-t", "tmpfs", "-o", self.size, "tmpfs", "/dev/shm"])
        if not alone or any(subprocess.run(command, capture_output=True).returncode for command in commands):
            os._exit(77)


@pytest.mark.slow
@pytest.mark.parametrize("kilobytes", [8, 64])
def test_shared_memory_that_is_full(
    pictures: Path, undisturbed: dict[str, Any], tmp_path: Path, kilobytes: int
) -> None:
    argv = arguments(pictures, tmp_path, "--data.num_workers=2")
    code, _ = run(tmp_path, argv, LittleSharedMemory(kilobytes))
    if code == 77:
        pytest.skip("may not mount a file system here")
    assert code == 2, (tmp_path / "log.txt").read_text()[-3000:]
    assert "/dev/shm is full or too small" in told(tmp_path, True)
    check_goes_on(tmp_path, argv, undisturbed)
