"""Several processes stop together, and go on as if nothing had happened."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import numpy as np
import pytest
from training_harness import Events, arguments, outcome, run_together

from aigenbench.training.processes import RANK_VARIABLES, is_first_process, largest

EVALUATED = 12
"""Images; with a batch of 1, six batches for each of two processes."""


class SignalledAt(Events):
    """Signals its process when it has done a number of batches of a window's training or evaluation."""

    def __init__(self, what: str, window: int, batches: int, number: int) -> None:
        super().__init__()
        self.what, self.window, self.batches, self.number = what, window, batches, number

    def install(self) -> None:
        from aigenbench.training.collect import OutputCollector
        from aigenbench.training.keeper import EpochKeeper

        super().install()
        owner, name = {
            "training": (EpochKeeper, "on_train_batch_end"),
            "evaluation": (OutputCollector, "on_validation_batch_end"),
        }[self.what]
        original, done = getattr(owner, name), 0

        def wrapped(callback, trainer, module, *rest, **more) -> None:
            nonlocal done
            if module.stage.window == self.window:
                done += 1
                if done == self.batches:
                    signal.raise_signal(self.number)
            original(callback, trainer, module, *rest, **more)

        setattr(owner, name, wrapped)


def pair(dataset: Path, folder: Path, *more: str) -> list[str]:
    return arguments(dataset, folder, "--data.train_batch_size=2", "--data.eval_batch_size=1", *more)


@pytest.fixture(scope="module")
def three(made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made.default(tmp_path_factory.mktemp("data") / "three", generators=3, fakes_each=4)


@pytest.fixture(scope="module")
def undisturbed(three: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, list[int]]:
    """What two processes leave that nothing disturbed, and how many events each had."""
    folder = tmp_path_factory.mktemp("undisturbed")
    results = run_together(folder, pair(three, folder))
    assert [code for code, _ in results] == [0, 0], (folder / "log.txt").read_text()[-3000:]
    return outcome(folder), [count for _, count in results]


def state(folder: Path, window: int) -> dict:
    path = folder / "experiments_data" / "experiment_x" / f"window_{window}" / "state.json"
    return json.loads(path.read_text())


@pytest.mark.parametrize("variable", RANK_VARIABLES)
def test_who_is_first(monkeypatch, variable: str) -> None:
    for name in RANK_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    assert is_first_process()
    monkeypatch.setenv(variable, "0")
    assert is_first_process()
    monkeypatch.setenv(variable, "1")
    assert not is_first_process()


def test_one_process_agrees_with_itself() -> None:
    assert largest(7) == 7


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_a_signal_to_one_process_stops_all_at_the_same_step(
    three: Path, undisturbed: tuple[dict, list[int]], tmp_path: Path, rank: int
) -> None:
    argv = pair(three, tmp_path)
    # after the third part of a batch, one optimizer step is done and the second under way
    results = run_together(tmp_path, argv, events={rank: SignalledAt("training", 1, 3, signal.SIGUSR1)})
    log = (tmp_path / "log.txt").read_text()
    assert [code for code, _ in results] == [128 + signal.SIGUSR1, 0], log[-3000:]
    assert "Traceback" not in log + (tmp_path / "log_1.txt").read_text()
    assert "stopped by SIGUSR1" in log
    assert state(tmp_path, 1)["steps"] == 2
    assert [code for code, _ in run_together(tmp_path, argv)] == [0, 0]
    assert outcome(tmp_path) == undisturbed[0]


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_a_signal_ends_an_evaluation_of_several_processes_at_once(
    three: Path, undisturbed: tuple[dict, list[int]], tmp_path: Path, rank: int
) -> None:
    argv = pair(three, tmp_path)
    counted = undisturbed[1][1]
    # the last evaluation: the first of six batches at the process that does not write; in the second, it stops
    first = counted - EVALUATED // 2 + 1
    results = run_together(tmp_path, argv, events={rank: SignalledAt("evaluation", 2, 2, signal.SIGTERM)})
    log = (tmp_path / "log.txt").read_text()
    assert [ended for ended, _ in results] == [128 + signal.SIGTERM, 0], log[-3000:]
    assert "Traceback" not in log + (tmp_path / "log_1.txt").read_text()
    assert results[1][1] == first, "no further batch was evaluated"
    assert state(tmp_path, 2)["evaluated"] == 0
    assert [ended for ended, _ in run_together(tmp_path, argv)] == [0, 0]
    assert outcome(tmp_path) == undisturbed[0]


@pytest.mark.slow
def test_a_loss_that_is_no_number_in_one_process_is_told_once_with_all_images(three: Path, tmp_path: Path) -> None:
    more = ["--model.optimizer.init_args.lr=1e30", "--model.scheduler=null"]
    results = run_together(tmp_path, pair(three, tmp_path, *more))
    log = (tmp_path / "log.txt").read_text()
    assert results[0][0] == 2, log[-3000:]
    assert log.count("the loss is not a finite number") == 1
    ids = np.array(json.loads(log.partition("image ids ")[2].partition(")")[0]))
    assert len(ids) == 8, "two parts of two images from each process, 8 in all"
    assert "not a finite number" not in (tmp_path / "log_1.txt").read_text()
