"""Whatever file operation fails, a run says so in one line, and goes on once it can."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from training_harness import Events, arguments, outcome, run


@pytest.fixture(scope="module")
def two(made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two generators, a window each."""
    return made.default(tmp_path_factory.mktemp("data") / "two", generators=2, fakes_each=4)


@pytest.fixture(scope="module")
def undisturbed(two: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, int]:
    """What a run leaves that nothing disturbed, and how many file operations it had."""
    folder = tmp_path_factory.mktemp("undisturbed")
    code, operations = run(folder, one_window(two, folder), Events(files_only=True))
    assert code == 0, (folder / "log.txt").read_text()[-3000:]
    return outcome(folder), operations


def one_window(dataset: Path, folder: Path) -> list[str]:
    """The life of a window, from the choice of its folder to its evaluation."""
    return arguments(dataset, folder, "--experiment_info.sliding_windows_definition.current_window=0")


KILL = 0
"""Stands among the error numbers for a kill."""


def check_fault(two: Path, files: dict, folder: Path, number: int, fault: int) -> bool:
    """Let one file operation fail, or kill the run there; the same command must go on. Whether the fault was told."""
    events = Events(kill_at=number, files_only=True) if fault == KILL else None
    ended, _ = run(folder, one_window(two, folder), events or Events(fail_at=(number, fault), files_only=True))
    log = (folder / "log.txt").read_text()
    if fault == KILL:
        assert ended == -signal.SIGKILL
    else:
        assert ended in (0, 2), log[-3000:]
        assert "Traceback" not in log
        if ended == 2:
            (line,) = [line for line in log.splitlines() if line.startswith("aigenbench: error:")]
            assert os.strerror(fault) in line
        assert not list(folder.rglob("*.tmp*")), "a writer that could has removed its temporary file"
    assert run(folder, one_window(two, folder))[0] == 0, (folder / "log.txt").read_text()[-3000:]
    assert outcome(folder) == files, f"after fault {fault} at file operation {number}"
    records = [json.loads(path.read_text()) for path in folder.rglob("run.json")]
    assert records
    assert all(record["seconds"] > 0 for record in records)
    shutil.rmtree(folder)
    return ended == 2


def every_fault(operations: int) -> list[tuple[int, int]]:
    """(file operation, fault) of a run."""
    return [(number, fault) for number in range(1, operations + 1) for fault in (KILL, errno.ENOSPC, errno.EIO)]


@pytest.mark.slow
def test_file_operations_of_a_windows_life_may_fail(two: Path, undisturbed: tuple[dict, int], tmp_path: Path) -> None:
    files, operations = undisturbed
    faults = every_fault(operations)
    chosen = np.random.default_rng(0).choice(len(faults), len(faults) // 10, replace=False)
    told = sum(check_fault(two, files, tmp_path / str(i), *faults[i]) for i in chosen)
    assert told >= len(chosen) // 3


@pytest.mark.campaign
def test_every_file_operation_of_a_windows_life_may_fail(
    two: Path, undisturbed: tuple[dict, int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files, operations = undisturbed
    faults = every_fault(operations)
    told = sum(check_fault(two, files, tmp_path / str(i), *fault) for i, fault in enumerate(faults))
    with capsys.disabled():
        print(  # noqa: T201 - the campaign's count
            f"\n{operations} file operations, {len(faults)} faults, {told} told in a line, all resumed to equal results"
        )


def test_a_full_disk_is_told_by_torchs_writer_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from aigenbench.training.resume import checkpoints

    real_open = Path.open

    def full(path: Path, mode: str = "r", *rest: object, **more: object) -> object:
        return open("/dev/full", mode) if mode == "wb" else real_open(path, mode, *rest, **more)  # noqa: PTH123

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(OSError, match="No space left on device"):
        checkpoints.save(tmp_path / "a.ckpt", {"weights": torch.zeros(100_000)})
    assert not (tmp_path / "a.ckpt").exists()


def test_a_folder_that_cannot_be_made_is_told(two: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    where = tmp_path / "file" / "below"
    code, _ = run(tmp_path, arguments(two, tmp_path, f"--experiment_info.experiments_data_folder={where}"))
    assert code == 2
    assert "cannot make a folder" in (tmp_path / "log.txt").read_text()


def test_an_infinite_loss_names_the_step_and_the_images(two: Path, tmp_path: Path) -> None:
    code, _ = run(tmp_path, arguments(two, tmp_path, "--model.optimizer.init_args.lr=1e30", "--model.scheduler=null"))
    log = (tmp_path / "log.txt").read_text()
    assert code == 2, log[-3000:]
    assert re.search(r"the loss is not a finite number in window \d, epoch 0, optimizer step \d+ \(image ids \[", log)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], None]]:
    """Puts a file system of its own under ``experiments_data``; called again, changes its options."""
    place, mounted = tmp_path / "experiments_data", False

    def mount(options: str) -> None:
        nonlocal mounted
        place.mkdir(exist_ok=True)
        again = "remount," if mounted else ""
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", again + options, "tmpfs", str(place)], capture_output=True)
        if done.returncode:
            pytest.skip("may not mount a file system here")
        mounted = True

    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root may mount a file system")
    yield mount
    if mounted:
        subprocess.run(["umount", str(place)], check=True)


def told(folder: Path) -> str:
    """The one line in which the last run said what went wrong."""
    log = (folder / "log.txt").read_text()
    assert "Traceback" not in log
    return [line for line in log.splitlines() if line.startswith("aigenbench: error:")][-1]


@pytest.mark.slow
@pytest.mark.parametrize("size", [12, 28, 44])
def test_a_disk_that_is_full_and_then_is_not(
    two: Path, undisturbed: tuple[dict, int], tmp_path: Path, small_disk: Callable[[str], None], size: int
) -> None:
    small_disk(f"size={size}k")
    code, _ = run(tmp_path, one_window(two, tmp_path))
    assert code == 2, (tmp_path / "log.txt").read_text()[-3000:]
    assert os.strerror(errno.ENOSPC) in told(tmp_path)
    small_disk("size=10m")
    assert run(tmp_path, one_window(two, tmp_path))[0] == 0, (tmp_path / "log.txt").read_text()[-3000:]
    assert outcome(tmp_path) == undisturbed[0]


@pytest.mark.slow
def test_a_folder_that_may_only_be_read(
    two: Path, undisturbed: tuple[dict, int], tmp_path: Path, small_disk: Callable[[str], None]
) -> None:
    small_disk("size=10m")
    argv = one_window(two, tmp_path)
    assert run(tmp_path, argv, Events(kill_at=undisturbed[1] // 2, files_only=True))[0] == -signal.SIGKILL
    small_disk("ro")
    assert run(tmp_path, argv)[0] == 2, (tmp_path / "log.txt").read_text()[-3000:]
    assert os.strerror(errno.EROFS) in told(tmp_path)
    small_disk("rw")
    assert run(tmp_path, argv)[0] == 0, (tmp_path / "log.txt").read_text()[-3000:]
    assert outcome(tmp_path) == undisturbed[0]
