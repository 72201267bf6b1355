"""A run on a longer timeline goes on where a finished one ended."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from training_harness import Events, arguments, outcome, run, run_together

import aigenbench as ab
from aigenbench.data.demo import make_demo_data
from aigenbench.evaluation.predictions.experiment import load_experiment
from aigenbench.evaluation.predictions.record import load_predictions
from aigenbench.protocol.timeline import PUBLISHED

OWN = ["Alpha", "Beta", "Gamma", "Delta", "Epsilon"]
TIMELINE = "name: frontier\nversion: '1'\ngenerators:\n" + "".join(
    f"  {name}: 2025-0{month}-01\n" for month, name in enumerate(OWN, 1)
)
WINDOWS = "--experiment_info.sliding_windows_definition.n_generators_per_window=2"


def argv(data: Path, name: str, *more: str) -> list[str]:
    """A small run with windows of two generators."""
    given = [one for one in arguments(data, data.parent) if "n_generators_per_window" not in one]
    return [*given, WINDOWS, f"--experiment_info.experiment_id={name}", *more]


def extension(data: Path, folder: Path, *more: str) -> list[str]:
    (folder / "frontier.yaml").write_text(TIMELINE)
    return argv(data, "ext", "--timeline=frontier.yaml", "--experiment_info.extends=std", *more)


def done(folder: Path, given: list[str]) -> int:
    code, events = run(folder, given)
    assert code == 0, (folder / "log.txt").read_text()[-3000:]
    return events


def refused(folder: Path, given: list[str]) -> str:
    (folder / "log.txt").unlink(missing_ok=True)
    code, _ = run(folder, given)
    assert code == 2
    return (folder / "log.txt").read_text()


def of_windows(folder: Path, experiment: str) -> dict[str, Any]:
    """What the windows of an experiment come to, by file."""
    place = f"experiments_data/experiment_{experiment}/"
    found = {name.removeprefix(place): value for name, value in outcome(folder, experiment).items()}
    return {name: value for name, value in found.items() if name.startswith("window_")}


@pytest.fixture(scope="module")
def data(made: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six published generators and five others, with more reals than fakes."""
    names = [*PUBLISHED.names[:6], *OWN]
    splits = {"train": made.rows(names, 4, 50, 1), "validation": made.rows(names, 2, 24, 2)}
    return Path(made.write(tmp_path_factory.mktemp("data") / "all", splits))


@pytest.fixture(scope="module")
def place(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """A folder with a standard run and its extension, and how many events this had."""
    folder = tmp_path_factory.mktemp("runs")
    done(folder, argv(data, "std"))
    return folder, done(folder, extension(data, folder))


def test_only_the_new_windows_are_trained(place: tuple[Path, int]) -> None:
    folder, _ = place
    lines = (folder / "log.txt").read_text()
    experiment = folder / "experiments_data" / "experiment_ext"
    assert "windows 0..2 are those of experiments_data/experiment_std" in lines
    extended = load_experiment(experiment)
    assert extended.timeline[3:] == (("Alpha", "Beta"), ("Gamma", "Delta"), ("Epsilon",))
    assert extended.first.timeline == "frontier 1"
    assert extended.windows[2].period_generators("immediate_future", 2) == ("Alpha", "Beta")
    run_of = json.loads((experiment / "window_2" / "run.json").read_text())
    theirs = json.loads((folder / "experiments_data" / "experiment_std" / "window_2" / "run.json").read_text())
    assert run_of["timeline"] == {"name": "frontier", "version": "1"}
    assert run_of["seconds"] == theirs["seconds"]
    assert run_of["extended"]["protocol_fingerprint"] == theirs["protocol_fingerprint"]
    assert run_of["protocol_fingerprint"] == extended.first.protocol_fingerprint != theirs["protocol_fingerprint"]


def test_it_is_what_training_all_windows_gives(data: Path, place: tuple[Path, int]) -> None:
    folder, _ = place
    done(folder, argv(data, "whole", "--timeline=frontier.yaml"))
    extended, whole = of_windows(folder, "ext"), of_windows(folder, "whole")
    assert sum(name.endswith("final.ckpt") for name in whole) == 6
    assert {k: v for k, v in extended.items() if not k.endswith(".csv")} == {
        k: v for k, v in whole.items() if not k.endswith(".csv")
    }
    # the record in the weights is that of the longer timeline too
    sums = [
        [json.loads(path.read_text())["final"]["sha256"] for path in sorted(where.glob("window_*/state.json"))]
        for where in (folder / "experiments_data" / f"experiment_{name}" for name in ("ext", "whole"))
    ]
    assert sums[0] == sums[1]


@pytest.mark.slow
def test_a_strategy_goes_on_as_it_would_have(data: Path, tmp_path: Path) -> None:
    chosen = "--experiment_info.strategy={harmonic: {}, start: {weights: reset}, soup: {}, distillation: {}}"
    done(tmp_path, argv(data, "std", chosen))
    done(tmp_path, extension(data, tmp_path, chosen))
    done(tmp_path, argv(data, "whole", "--timeline=frontier.yaml", chosen))
    extended, whole = of_windows(tmp_path, "ext"), of_windows(tmp_path, "whole")
    assert sum(name.endswith("training_images.npz") for name in whole) == 6
    assert {k: v for k, v in extended.items() if not k.endswith(".csv")} == {
        k: v for k, v in whole.items() if not k.endswith(".csv")
    }
    assert "was configured otherwise (experiment_info.strategy" in refused(tmp_path, extension(data, tmp_path))
    herding = "--experiment_info.strategy={replay: {budget: 40, selection: herding}}"
    line = "experiment_info.extends: with experiment_info.strategy replay by features a run extends none"
    assert line in refused(tmp_path, extension(data, tmp_path, herding))


def test_both_headlines(place: tuple[Path, int]) -> None:
    root = place[0] / "experiments_data"
    standard, extended = ab.Experiment(root / "experiment_std"), ab.Experiment(root / "experiment_ext")
    scores, of_standard = extended.scores(), standard.scores()
    assert of_standard.standard_headline is None
    assert scores.standard_headline == of_standard.headline
    assert (scores.headline.windows, of_standard.headline.windows) == (5, 2)
    assert scores.timeline == "frontier 1"
    bounds, theirs = extended.intervals(replicates=50), standard.intervals(replicates=50)
    assert bounds.standard_headline == theirs.headline is not None
    assert bounds.headline != theirs.headline


def test_validate_finds_the_same(data: Path, place: tuple[Path, int]) -> None:
    folder, _ = place
    (folder / "log.txt").unlink()
    code, _ = run(folder, extension(data, folder), command="validate")
    log = (folder / "log.txt").read_text()
    assert code == 0, log
    assert log.count("reproduced, logits differ by at most 0") == 6


@pytest.mark.slow
def test_killed_and_continued(data: Path, place: tuple[Path, int], tmp_path: Path) -> None:
    folder, events = place
    shutil.copytree(folder / "experiments_data" / "experiment_std", tmp_path / "experiments_data" / "experiment_std")
    rng, kills = np.random.default_rng(0), 0
    while True:
        at = int(rng.integers(1, events // 5)) if kills else 12
        code, _ = run(tmp_path, extension(data, tmp_path), Events(kill_at=at))
        if code == 0:
            break
        assert code == -signal.SIGKILL, (tmp_path / "log.txt").read_text()[-3000:]
        kills += 1
    assert kills > 3
    assert outcome(tmp_path, "ext") == outcome(folder, "ext")


@pytest.mark.slow
def test_further_reals_leave_the_old_windows_their_own(tmp_path: Path) -> None:
    (tmp_path / "frontier.yaml").write_text(TIMELINE)
    make_demo_data(tmp_path / "demo", 4, 4, 2)
    make_demo_data(tmp_path / "more", 4, 4, 2, timeline=tmp_path / "frontier.yaml")
    done(tmp_path, argv(tmp_path / "demo", "std"))
    done(tmp_path, extension(tmp_path / "more", tmp_path))
    root = tmp_path / "experiments_data"
    scores = ab.Experiment(root / "experiment_ext").scores()
    assert [len(window) for window in scores.windows] == [2, 2, 2, 2, 1]
    for k in range(2):
        theirs, ours = (
            json.loads((root / f"experiment_{name}" / f"window_{k}" / "run.json").read_text())["training_fingerprint"]
            for name in ("std", "ext")
        )
        path = root / "experiment_ext" / f"window_{k}" / "predictions_validate_all.npz"
        assert theirs == ours == load_predictions(path).training_fingerprint
    shutil.rmtree(tmp_path / "demo")
    assert "is needed to find its own" in refused(
        tmp_path, extension(tmp_path / "more", tmp_path, "--experiment_info.experiment_id=later")
    )


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (
            ("--model.optimizer.init_args.lr=0.5",),
            "was configured otherwise (model.init_args.optimizer.init_args.lr: 0.",
        ),
        (("--experiment_info.extends=nowhere",), "no experiment nowhere"),
        (("--timeline=",), "adds no window to the 3"),
        (("--timeline=early.csv",), "window 0 of experiments_data/experiment_std holds CycleGAN"),
        (("--timeline=none.csv",), "holds none of the 1 generators that timeline none "),
    ],
)
def test_what_cannot_be_extended_is_told(data: Path, place: tuple[Path, int], more: tuple[str, ...], told: str) -> None:
    folder, _ = place
    (folder / "early.csv").write_text("generator,date\nAlpha,2016-01-01\n")
    (folder / "none.csv").write_text("generator,date\nSomething Else,2026-01-01\n")
    log = refused(folder, [*extension(data, folder), "--experiment_info.experiment_id=other", *more])
    assert told in log
    assert "Traceback" not in log
    assert not (folder / "experiments_data" / "experiment_other").exists()


@pytest.mark.slow
def test_an_extension_is_extended(data: Path, place: tuple[Path, int], tmp_path: Path) -> None:
    folder = place[0]
    shutil.copytree(folder / "experiments_data" / "experiment_std", tmp_path / "experiments_data" / "experiment_std")
    (tmp_path / "first.yaml").write_text("Alpha: 2025-01-01\nBeta: 2025-02-01\n")
    of_first = ("--timeline=first.yaml", "--experiment_info.extends=std")
    done(tmp_path, argv(data, "first", *of_first))
    done(tmp_path, extension(data, tmp_path, "--experiment_info.extends=first"))
    once, twice = of_windows(folder, "ext"), of_windows(tmp_path, "ext")
    assert {k: v for k, v in twice.items() if not k.endswith(".csv")} == {
        k: v for k, v in once.items() if not k.endswith(".csv")
    }
    scores = [ab.Experiment(root / "experiments_data" / "experiment_ext").scores() for root in (folder, tmp_path)]
    assert scores[0].standard_headline == scores[1].standard_headline is not None


@pytest.mark.slow
def test_two_processes_take_the_windows_over_together(data: Path, place: tuple[Path, int], tmp_path: Path) -> None:
    shutil.copytree(place[0] / "experiments_data" / "experiment_std", tmp_path / "experiments_data" / "experiment_std")
    results = run_together(tmp_path, extension(data, tmp_path, "--allow_config_change", "--data.train_batch_size=2"))
    assert [code for code, _ in results] == [0, 0], (tmp_path / "log.txt").read_text()[-3000:]
    assert len(load_experiment(tmp_path / "experiments_data" / "experiment_ext").windows) == 6


def test_another_configuration_is_told_with_the_results(data: Path, place: tuple[Path, int], tmp_path: Path) -> None:
    shutil.copytree(place[0] / "experiments_data" / "experiment_std", tmp_path / "experiments_data" / "experiment_std")
    given = extension(data, tmp_path, "--model.optimizer.init_args.lr=0.5", "--allow_config_change")
    done(tmp_path, given)
    notes = ab.Experiment(tmp_path / "experiments_data" / "experiment_ext").scores().notes
    assert [note.endswith("model.init_args.optimizer.init_args.lr: 0.05 -> 0.5") for note in notes] == [True]


def test_an_unfinished_run_is_not_extended(data: Path, place: tuple[Path, int], tmp_path: Path) -> None:
    begun = tmp_path / "experiments_data" / "experiment_std"
    shutil.copytree(place[0] / "experiments_data" / "experiment_std", begun)
    shutil.rmtree(begun / "window_2")
    assert "is not finished, 2 of its 3 windows are" in refused(tmp_path, extension(data, tmp_path))
