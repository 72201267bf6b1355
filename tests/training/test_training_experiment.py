"""An experiment's folder: a start that did nothing holds no place, and a changed config leaves its trace."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aigenbench.config.experiment import ExperimentInfo
from aigenbench.config.folder import CHANGES_FILE, CONFIG_FILE
from aigenbench.config.resolved import ResolvedConfig
from aigenbench.errors import InputError
from aigenbench.protocol.timeline import PUBLISHED
from aigenbench.training.resume import lock
from aigenbench.training.resume.folder import (
    ExperimentFolder,
    config_changes,
    held,
    open_experiment,
)
from aigenbench.training.resume.lock import locked
from aigenbench.training.resume.state import SavedCheckpoint, WindowState, write_state


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def config(lr: float, **more: Any) -> ResolvedConfig:
    return ResolvedConfig({"model": {"lr": lr}, "trainer": more})


def opened(lr: float, allow_change: bool = False, **more: Any) -> ExperimentFolder:
    experiment = open_experiment(ExperimentInfo(experiment_id="x"), config(lr, **more), allow_change)
    with held(experiment, config(lr, **more), allow_change):
        return experiment


def recorded(experiment: ExperimentFolder) -> ResolvedConfig:
    return ResolvedConfig.from_file(experiment.folder / CONFIG_FILE)


def begin(experiment: ExperimentFolder, window: int, state: WindowState) -> None:
    experiment.window_folder(window).mkdir(exist_ok=True)
    write_state(experiment.window_folder(window), state)


FINISHED = WindowState(epochs=1, evaluated=1, final=SavedCheckpoint("final.ckpt", ""))


def test_a_start_that_came_to_no_checkpoint_begins_anew_with_another_config() -> None:
    first = opened(1.0)
    window = first.window_folder(0)
    window.mkdir()
    for name in ("run.json", "metrics.csv", "logged.json", "events.out.tfevents.1"):
        (window / name).write_text("{}")
    (first.folder / "tracking.json").write_text("{}")
    second = opened(2.0)
    assert recorded(second)["model"]["lr"] == 2.0
    assert [path.name for path in window.iterdir()] == ["events.out.tfevents.1"]
    assert sorted(path.name for path in second.folder.iterdir()) == [CONFIG_FILE, "lock.json", "window_0"]
    assert not (second.folder / CHANGES_FILE).exists()


@pytest.mark.parametrize("what", ["state", "checkpoint"])
def test_a_run_that_came_to_a_checkpoint_keeps_its_config(what: str) -> None:
    experiment = opened(1.0)
    if what == "state":
        begin(experiment, 0, WindowState(steps=2))
    else:
        experiment.window_folder(0).mkdir()
        (experiment.window_folder(0) / "epoch_000_step_00000002.ckpt").write_text("")
    with pytest.raises(InputError, match=r"experiment_x exists with another config \(model\.lr: 1\.0 -> 2\.0\)"):
        opened(2.0)
    assert recorded(experiment)["model"]["lr"] == 1.0


def test_the_config_of_a_run_that_is_about_to_begin_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "BEAT_SECONDS", 0.1)
    experiment = opened(1.0)
    with locked(experiment.folder), pytest.raises(InputError):
        opened(2.0)
    assert recorded(experiment)["model"]["lr"] == 1.0


def test_a_change_that_is_allowed_leaves_its_trace() -> None:
    experiment = opened(1.0)
    begin(experiment, 0, FINISHED)
    begin(experiment, 1, WindowState(steps=3))
    opened(2.0, allow_change=True, **{f"key_{i}": i for i in range(12)})
    begin(experiment, 1, FINISHED)
    opened(3.0, allow_change=True)
    first, second = config_changes(experiment.folder)
    assert first["changes"][0] == "model.lr: 1.0 -> 2.0"
    named = {line.partition(":")[0] for line in first["changes"]}
    assert {f"trainer.key_{i}" for i in range(12)} <= named, "all of them, not only those that the log shows"
    assert (first["windows_finished"], second["windows_finished"]) == ([0], [0, 1])
    assert first["date"].endswith("+00:00")
    assert recorded(experiment)["model"]["lr"] == 3.0
    # the same once more is no change
    opened(3.0, allow_change=True)
    assert len(config_changes(experiment.folder)) == 2


def test_a_damaged_trace_is_told_and_kept() -> None:
    experiment = opened(1.0)
    begin(experiment, 0, FINISHED)
    for text in ("[", "{}"):
        (experiment.folder / CHANGES_FILE).write_text(text)
        with pytest.raises(InputError, match=r"config_changes\.json"):
            opened(2.0, allow_change=True)
        assert (experiment.folder / CHANGES_FILE).read_text() == text
        assert recorded(experiment)["model"]["lr"] == 1.0


def test_windows_are_those_of_the_prefix() -> None:
    experiment = ExperimentFolder("e", Path("e"), "[w]_")
    for name in ("[w]_10", "[w]_9", "[w]_x", "w_1", "window_0"):
        (Path("e") / name).mkdir(parents=True)
    (Path("e") / "[w]_3").write_text("")
    assert sorted(experiment.window_folders()) == [9, 10]


def fail(experiment: ExperimentFolder, *written: str) -> None:
    for name in written:
        (experiment.folder / name).parent.mkdir(exist_ok=True)
        (experiment.folder / name).write_text("{}")
    with pytest.raises(InputError), held(experiment, config(1.0), False):
        raise InputError("an image cannot be read")


def test_a_start_that_fails_leaves_nothing_of_its_own() -> None:
    experiment = opened(1.0)
    fail(experiment, "window_0/run.json", "window_0/config.yaml", "tracking.json")
    assert not experiment.folder.exists()
    numbered = open_experiment(ExperimentInfo(), config(1.0))
    fail(numbered)
    assert open_experiment(ExperimentInfo(), config(1.0)).name == numbered.name == "experiment_0"


@pytest.mark.parametrize("name", ["window_0/state.json", "window_0/metrics.csv", "notes.txt", "window_0/a.ckpt"])
def test_what_else_is_there_stays(name: str) -> None:
    experiment = opened(1.0)
    fail(experiment, name)
    assert (experiment.folder / name).is_file()


def test_a_folder_of_an_earlier_start_stays() -> None:
    opened(1.0)
    again = opened(1.0)
    assert not again.is_new
    fail(again)
    assert (again.folder / CONFIG_FILE).is_file()


def test_the_record_of_a_later_window_holds_the_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    from types import SimpleNamespace as Made

    import torch

    from aigenbench.training.window import runtime

    experiment = opened(1.0)
    begin(experiment, 0, FINISHED)
    opened(2.0, allow_change=True)
    trainer: Any = Made(
        is_global_zero=True, world_size=1, precision="32", strategy=Made(root_device=torch.device("cpu"))
    )
    setup: Any = Made(
        fingerprint="f",
        detector=torch.nn.Linear(1, 1),
        inputs=Made(config=config(2.0)),
        images="i",
        info=Made(strategy=None),
        plan=Made(timeline=PUBLISHED, training=Made(choice=None)),
        features=None,
        off_protocol=(),
        training_fingerprint=str,
        pipeline=Made(source=Made(path=Path())),
    )
    runtime.record_run(experiment.window_folder(1), setup, Made(steps=1, window=1), trainer)  # type: ignore[arg-type]
    record = json.loads((experiment.window_folder(1) / "run.json").read_text())
    assert [change["changes"] for change in record["config_changes"]] == [["model.lr: 1.0 -> 2.0"]]


def test_a_further_heads_folder_stays_where_the_run_has_begun() -> None:
    run, head = opened(1.0), open_experiment(ExperimentInfo(experiment_id="run_head"), config(1.0))
    with pytest.raises(InputError), held(run, config(1.0), False), held(head, config(1.0), False, run):
        raise InputError("an image cannot be read")
    assert not run.folder.exists()
    assert not head.folder.exists()

    run, head = opened(1.0), open_experiment(ExperimentInfo(experiment_id="run_head"), config(1.0))
    begin(run, 0, FINISHED)
    with pytest.raises(InputError), held(run, config(1.0), False), held(head, config(1.0), False, run):
        raise InputError("an image cannot be read")
    assert head.folder.is_dir()
