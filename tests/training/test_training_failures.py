"""Lost processes and a clock that jumps."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest
from training_harness import Events, SignalledAt, _after, arguments, outcome, run, run_together

from aigenbench.config.imports import import_file
from aigenbench.errors import InputError
from aigenbench.training.processes.collectives import handed_out
from aigenbench.training.processes.failures import failures_told


class KillsAWorker(Events):
    """Kills a worker of the data loader at the first batch of a training or an evaluation, as the kernel may."""

    def __init__(self, where: str) -> None:
        super().__init__()
        self.where = where

    def __call__(self) -> None:
        super().__call__()
        if self.count == 1:
            workers = [child for child in multiprocessing.active_children() if child.daemon]
            os.kill(workers[0].pid or 0, signal.SIGKILL)
            time.sleep(1)

    def install(self) -> None:
        from aigenbench.training.window.collect import OutputCollector
        from aigenbench.training.window.keeper import WindowKeeper

        if self.where == "training":
            _after(WindowKeeper, "on_train_batch_end", self)
        else:
            _after(OutputCollector, "on_validation_batch_end", self)


class JumpingClock(Events):
    """The clock of the wall leaps to and fro by months at every look."""

    def install(self) -> None:
        super().install()
        real, looks = time.time, 0

        def jumping() -> float:
            nonlocal looks
            looks += 1
            return real() + (-1) ** looks * 1e7

        time.time = jumping


@pytest.fixture(scope="module")
def two(made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made.default(tmp_path_factory.mktemp("data") / "two", generators=2, fakes_each=6)


@pytest.fixture(scope="module")
def undisturbed(two: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, int]:
    folder = tmp_path_factory.mktemp("undisturbed")
    code, events = run(folder, arguments(two, folder))
    assert code == 0, (folder / "log.txt").read_text()[-3000:]
    return outcome(folder), events


@pytest.mark.slow
@pytest.mark.parametrize("where", ["training", "evaluation"])
def test_a_worker_killed_for_memory_is_told_and_the_run_goes_on(
    two: Path, undisturbed: tuple[dict, int], tmp_path: Path, where: str
) -> None:
    argv = arguments(two, tmp_path, "--data.num_workers=2", "--data.eval_batch_size=1")
    code, _ = run(tmp_path, argv, KillsAWorker(where))
    log = (tmp_path / "log.txt").read_text()
    assert code == 2, log[-3000:]
    assert "Traceback" not in log
    (line,) = [line for line in log.splitlines() if line.startswith("aigenbench: error:")]
    assert "was killed, most likely by the system for want of memory; try fewer data.num_workers" in line
    assert run(tmp_path, argv)[0] == 0
    undisturbed_files = {name: value for name, value in undisturbed[0].items() if name.endswith(".ckpt")}
    assert {name: value for name, value in outcome(tmp_path).items() if name.endswith(".ckpt")} == undisturbed_files


@pytest.mark.slow
def test_a_clock_that_jumps_changes_nothing(two: Path, undisturbed: tuple[dict, int], tmp_path: Path) -> None:
    files, events = undisturbed
    argv = arguments(two, tmp_path, "--experiment_info.checkpoint_every_n_minutes=1")
    code, counted = run(tmp_path, argv, JumpingClock())
    assert code == 0, (tmp_path / "log.txt").read_text()[-3000:]
    assert counted == events, "no checkpoint more or less"
    assert outcome(tmp_path) == files


@pytest.mark.slow
def test_a_process_that_is_left_alone_says_so_in_a_line(two: Path, tmp_path: Path) -> None:
    argv = arguments(two, tmp_path, "--data.train_batch_size=2")
    results = run_together(tmp_path, argv, events={1: SignalledAt("training", 0, 2, signal.SIGKILL)})
    log = (tmp_path / "log.txt").read_text()
    assert [code for code, _ in results] == [2, -signal.SIGKILL], log[-3000:]
    assert "another of the run's processes ended" in log
    assert "Traceback" not in log


def test_other_errors_pass() -> None:
    with pytest.raises(RuntimeError, match="shape mismatch"), failures_told():
        raise RuntimeError("shape mismatch")
    with pytest.raises(InputError, match="worker"), failures_told():
        raise RuntimeError("DataLoader worker (pid 17) is killed by signal: Killed. ")


def test_errors_of_users_code_name_its_line(tmp_path: Path) -> None:
    module = tmp_path / "mine.py"
    module.write_text("def hook():\n    return None.pictures\n")
    hook = import_file(module).hook
    told = rf"your code failed: AttributeError: .*'pictures' \({module}:2\)"
    with pytest.raises(InputError, match=told), failures_told():
        handed_out(hook)  # one of ours that calls what it is given
    of_worker = (
        "Caught ValueError in DataLoader worker process 0.\nOriginal Traceback (most recent call last):\n"
        f'  File "/x/site-packages/torch/fetch.py", line 52, in fetch\n  File "{module}", line 2, in hook\n'
        "ValueError: no such colour\n"
    )
    told = rf"your code failed: ValueError: no such colour \({module}:2\)"
    with pytest.raises(InputError, match=told), failures_told():
        raise ValueError(of_worker)
