"""Two runs in one folder, however they came there: it ends as one that nothing disturbed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from training_harness import Child, Events, SignalledAt, arguments, outcome, run, start_together

EXPERIMENT = Path("experiments_data/experiment_x")


class Soon(Events):
    """A minute passes in a second; the run may be told to stand still at an event, as by Ctrl-Z."""

    def __init__(self, still_at: int | None = None) -> None:
        super().__init__(signal_at=None if still_at is None else (still_at, signal.SIGSTOP))

    def install(self) -> None:
        from aigenbench.training.resume import lock

        lock.STALE_SECONDS, lock.BEAT_SECONDS = 1.0, 0.2
        super().install()


class CopiesInTwoParts(Events):
    """Copies the run's folder while it is in use: some of the files at an event, the others later."""

    def __init__(self, at: int, later: int, target: Path) -> None:
        super().__init__()
        self.at, self.later, self.target = at, later, target

    def __call__(self) -> None:
        super().__call__()
        if self.count in (self.at, self.later):
            for path in sorted(p for p in Path("experiments_data").rglob("*") if p.is_file()):
                first = hash_of(path) % 2 == 0
                if first == (self.count == self.at) and path.exists():
                    (self.target / path).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(path, self.target / path)


def hash_of(path: Path) -> int:
    return sum(str(path).encode())


@pytest.fixture(scope="module")
def three(made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three generators, a window each."""
    return made.default(tmp_path_factory.mktemp("data") / "three", generators=3, fakes_each=4)


@pytest.fixture(scope="module")
def undisturbed(three: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], int]:
    """What a run leaves that nothing disturbed, and how many events it had."""
    folder = tmp_path_factory.mktemp("undisturbed")
    code, events = run(folder, arguments(three, folder))
    assert code == 0, log_of(folder)[-3000:]
    return outcome(folder), events


def log_of(folder: Path) -> str:
    return (folder / "log.txt").read_text()


def results(files: dict[str, Any]) -> dict[str, Any]:
    """Weights and predictions among them."""
    return {name: value for name, value in files.items() if name.endswith((".ckpt", ".npz"))}


def wait_until_still(child: Child) -> None:
    deadline = time.monotonic() + 120
    state = Path(f"/proc/{child.process.pid}/stat")
    while state.read_text().rpartition(")")[2].split()[0] not in "Tt":
        assert child.process.is_alive()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def told(log: str) -> list[str]:
    return [line for line in log.splitlines() if line.startswith("aigenbench: error:")]


def check_loser(folder: Path, child: Child) -> None:
    assert has_lost(folder, child), log_of(folder)[-3000:]


def has_lost(folder: Path, child: Child) -> bool:
    """Whether a run ends because it lost its folder, in one line; else it ends well."""
    code, _ = child.result()
    log = log_of(folder)
    assert code in (0, 2), log[-3000:]
    assert "Traceback" not in log
    lines = told(log)
    assert len(lines) == (code == 2)
    assert all("was taken over by another run while this one stood still" in line for line in lines)
    return code == 2


def suspend_and_take_over(dataset: Path, folder: Path, at: int) -> bool:
    """Let a run stand still at an event, and the same command take over and end; whether the first then stops."""
    argv = arguments(dataset, folder)
    first = Child(folder, argv, Soon(at))
    wait_until_still(first)
    assert run(folder, argv, Soon())[0] == 0, log_of(folder)[-3000:]
    os.kill(first.process.pid or 0, signal.SIGCONT)
    return has_lost(folder, first)


@pytest.mark.slow
@pytest.mark.parametrize("part", [0.2, 0.55, 0.9])
def test_a_run_that_stood_still_stops_when_it_wakes(
    three: Path, undisturbed: tuple[dict[str, Any], int], tmp_path: Path, part: float
) -> None:
    files, events = undisturbed
    assert suspend_and_take_over(three, tmp_path, int(part * events))
    assert outcome(tmp_path) == files


@pytest.mark.campaign
def test_campaign_of_suspensions(
    three: Path, undisturbed: tuple[dict[str, Any], int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files, events = undisturbed
    chosen = range(3, events, 7)
    lost = 0
    for at in chosen:
        lost += suspend_and_take_over(three, tmp_path / str(at), at)
        assert outcome(tmp_path / str(at)) == files, f"suspended at event {at}"
        shutil.rmtree(tmp_path / str(at))
    with capsys.disabled():
        print(f"\n{len(chosen)} suspensions, {lost} lost the folder, all bit-identical")  # noqa: T201 - its count
    # before it is taken, and after it is given back, there is nothing to lose
    assert lost >= 0.9 * len(chosen)


@pytest.mark.slow
def test_two_runs_that_wake_in_turn(three: Path, undisturbed: tuple[dict[str, Any], int], tmp_path: Path) -> None:
    files, events = undisturbed
    argv = arguments(three, tmp_path)
    first = Child(tmp_path, argv, Soon(events // 4))
    wait_until_still(first)
    second = Child(tmp_path, argv, Soon(events // 3))
    wait_until_still(second)
    os.kill(first.process.pid or 0, signal.SIGCONT)
    check_loser(tmp_path, first)
    os.kill(second.process.pid or 0, signal.SIGCONT)
    assert second.result()[0] == 0, log_of(tmp_path)[-3000:]
    assert outcome(tmp_path) == files


@pytest.mark.slow
def test_two_processes_that_stood_still_stop_together(three: Path, tmp_path: Path) -> None:
    def together(folder: Path, *events: Events) -> list[Child]:
        argv = arguments(three, folder, "--data.train_batch_size=2")
        return start_together(folder, argv, events=dict(enumerate(events)))

    assert [child.result()[0] for child in together(tmp_path / "alone", Soon(), Soon())] == [0, 0]
    place = tmp_path / "shared"
    first = together(place, SuspendedAt("training", 1, 3), SuspendedAt("training", 1, 3))
    for child in first:
        wait_until_still(child)
    assert [child.result()[0] for child in together(place, Soon(), Soon())] == [0, 0], log_of(place)[-3000:]
    for child in first:
        os.kill(child.process.pid or 0, signal.SIGCONT)
    check_loser(place, first[0])
    assert first[1].result()[0] == 0
    assert "error" not in (place / "log_1.txt").read_text(), "told by the first process alone"
    assert outcome(place) == outcome(tmp_path / "alone")


class SuspendedAt(SignalledAt):
    """Stands still at a batch."""

    def __init__(self, what: str, window: int, batches: int) -> None:
        super().__init__(what, window, batches, signal.SIGSTOP)


@pytest.mark.slow
def test_a_lock_of_another_host_is_taken_over(
    three: Path, undisturbed: tuple[dict[str, Any], int], tmp_path: Path
) -> None:
    files, events = undisturbed
    argv = arguments(three, tmp_path)
    assert run(tmp_path, argv, Events(kill_at=events // 2))[0] == -signal.SIGKILL
    path = tmp_path / EXPERIMENT / "lock.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "host": "elsewhere"}))
    assert run(tmp_path, argv, Soon())[0] == 0, log_of(tmp_path)[-3000:]
    assert "on elsewhere; watching it for a minute" in log_of(tmp_path)
    assert outcome(tmp_path) == files


@pytest.mark.slow
@pytest.mark.parametrize(("at", "later"), [(0.15, 0.5), (0.45, 0.6), (0.3, 0.95), (0.7, 0.75)])
def test_a_folder_that_was_copied_while_in_use_goes_on(
    three: Path, undisturbed: tuple[dict[str, Any], int], tmp_path: Path, at: float, later: float
) -> None:
    files, events = undisturbed
    copy = tmp_path / "copy"
    copies = CopiesInTwoParts(int(at * events), int(later * events), copy)
    assert run(tmp_path / "run", arguments(three, tmp_path / "run"), copies)[0] == 0
    argv = arguments(three, copy)
    assert run(copy, argv, Soon())[0] == 0, log_of(copy)[-3000:]
    assert results(outcome(copy)) == results(files)
    assert run(tmp_path / "run", arguments(three, tmp_path / "run"))[0] == 0
    assert outcome(tmp_path / "run") == files


@pytest.mark.slow
def test_windows_of_two_runs_go_on_by_themselves(
    three: Path, undisturbed: tuple[dict[str, Any], int], tmp_path: Path
) -> None:
    files, _ = undisturbed
    argv = arguments(three, tmp_path)
    run(tmp_path, argv, SignalledAt("evaluation", 2, 1, signal.SIGKILL))
    experiment = tmp_path / EXPERIMENT
    # as when a run that had lost the folder wrote its record of a window once more
    path = experiment / "window_1" / "state.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps({**record, "evaluated": 0, "epochs": 0, "steps": 1, "final": None}))
    assert run(tmp_path, argv)[0] == 0, log_of(tmp_path)[-3000:]
    assert "is not of one run; moved to" in log_of(tmp_path)
    assert [path.name for path in (experiment / "set_aside").iterdir()] == ["window_2"]
    assert outcome(tmp_path) == files


@pytest.mark.slow
def test_a_window_that_cannot_be_read_is_trained_again(
    three: Path, undisturbed: tuple[dict[str, Any], int], tmp_path: Path
) -> None:
    files, _ = undisturbed
    argv = arguments(three, tmp_path)
    run(tmp_path, argv, SignalledAt("evaluation", 2, 1, signal.SIGKILL))
    experiment = tmp_path / EXPERIMENT
    for saved in (experiment / "window_2").glob("*.ckpt"):
        saved.write_bytes(b"damaged")
    (experiment / "window_1" / "final.ckpt").write_bytes(b"damaged")
    (experiment / "window_0" / "predictions_validate_all.npz").unlink()
    assert run(tmp_path, argv)[0] == 0, log_of(tmp_path)[-3000:]
    log = log_of(tmp_path)
    assert "no checkpoint in" in log
    assert "final.ckpt is damaged" in log
    assert sorted(path.name for path in (experiment / "set_aside").iterdir()) == ["window_1", "window_2"]
    assert results(outcome(tmp_path)) == results(files)


def test_starts_with_another_config_leave_a_run_alone_that_has_just_begun(
    three: Path, undisturbed: tuple[dict[str, Any], int], tmp_path: Path
) -> None:
    argv = arguments(three, tmp_path)
    first = Child(tmp_path, argv, SuspendedAt("training", 0, 1))
    wait_until_still(first)
    # its counter still rises in the eyes of another that looks only for a moment
    assert run(tmp_path, [*argv, "--model.optimizer.init_args.lr=0.1"], BeatsFor(tmp_path / EXPERIMENT))[0] == 2
    assert "is in use by process" in log_of(tmp_path)
    os.kill(first.process.pid or 0, signal.SIGCONT)
    assert first.result()[0] == 0, log_of(tmp_path)[-3000:]
    assert outcome(tmp_path) == undisturbed[0]


class BeatsFor(Soon):
    """Raises another's counter once, as that would."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def install(self) -> None:
        from aigenbench.training.resume import lock

        super().install()
        real = lock._stands_still

        def beaten(*args: Any) -> bool:
            path = self.folder / "lock.json"
            record = json.loads(path.read_text())
            path.write_text(json.dumps({**record, "beat": record["beat"] + 1}))
            return real(*args)

        lock._stands_still = beaten
