"""Cells, plan, processes and table of a sweep; most tests put a quick program in the place of ``fit``."""

from __future__ import annotations

import json
import math
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import aigenbench as ab
from aigenbench.engine.sweep import process
from aigenbench.engine.sweep.cells import make_cells
from aigenbench.engine.sweep.file import read_sweep
from aigenbench.engine.sweep.process import run_cell
from aigenbench.engine.sweep.record import Record, read_record
from aigenbench.engine.sweep.sweeping import Sweep, prepare
from aigenbench.engine.sweep.table import make_table
from aigenbench.errors import InputError
from aigenbench.evaluation.predictions.record import load_predictions, save_predictions
from aigenbench.training.processes.signals import StoppedError, StopRequest

BASE = {
    "configs": ["benchmark_pipelines/base_benchmark_sliding_windows.yaml"],
    "overrides": {
        "experiment_info.sliding_windows_definition.n_generators_per_window": 2,
        "model": {"model_name": "small_cnn_tune", "model_args": {"pretrained": False}, "model_input_size": 32},
        "data": {"num_workers": 0, "train_batch_size": 4, "eval_batch_size": 8, "augmentation_factor": 1},
        "trainer": {"accelerator": "cpu", "logger": False},
    },
}
LR = "model.optimizer.lr"
FIT = """
import os, pathlib, shutil, signal, sys, time
import yaml

config = yaml.safe_load(pathlib.Path(sys.argv[1]).read_text())
orders = pathlib.Path(sys.argv[2]) / str(config["seed_everything"])
first, *later = (orders.read_text().split() if orders.is_file() else []) or [""]
orders.write_text(" ".join(later))
print("begun", flush=True)
if first == "kill":
    os.kill(os.getpid(), signal.SIGKILL)
if first == "crash":
    sys.exit("ValueError: it broke")
if first == "refuse":
    print("aigenbench: error: no such thing", file=sys.stderr)
    sys.exit(2)
if first == "cuda":
    sys.exit("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20 GiB")
if first == "wait":
    pathlib.Path(sys.argv[2], "waiting").write_text(str(os.getpid()))
    time.sleep(60)
info = config["experiment_info"]
folder = pathlib.Path(info["experiments_data_folder"], "experiment_" + info["experiment_id"])
shutil.copytree(sys.argv[3], folder)
"""


def sweep_of(dataset: Path | None, **values: Any) -> dict[str, Any]:
    data = {} if dataset is None else {"dataset_path": str(dataset)}
    return {"base": {**BASE, "overrides": {**BASE["overrides"], **data}}, **values}  # type: ignore[dict-item]


@pytest.fixture(scope="module")
def fitted(small_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An experiment of three windows."""
    place = {"experiment_info.experiments_data_folder": str(tmp_path_factory.mktemp("fitted"))}
    base = sweep_of(small_dataset)["base"]
    return ab.fit(*base["configs"], overrides={**base["overrides"], **place}).folder


@pytest.fixture
def orders(fitted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int, str], None]:
    """Says what the program does at each start of the cell with a seed, one word each."""
    folder = tmp_path / "orders"
    folder.mkdir()
    program = tmp_path / "fit.py"
    program.write_text(FIT)
    monkeypatch.setattr(
        process, "command_of", lambda config: [sys.executable, str(program), str(config), str(folder), str(fitted)]
    )

    def give(seed: int, words: str) -> None:
        (folder / str(seed)).write_text(words)

    return give


def records(sweep: Sweep) -> list[Record]:
    return [read_record(cell) for cell in sweep.cells]


def test_a_cell_is_named_by_what_changes_its_results(tmp_path: Path) -> None:
    def names(**values: Any) -> list[str]:
        return [cell.name for cell in make_cells(read_sweep(sweep_of(None, **values), tmp_path), False)]

    first = names(seeds=[1])
    assert names(seeds=[1, 2])[0] == first[0] != names(seeds=[1, 2])[1]
    assert names(seeds=[1], list=[{"data.num_workers": 3}]) == first
    assert names(seeds=[1], list=[{LR: 0.5}]) != first


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"grid": {"data.num_workers": [0, 1]}}, "the cells 'num_workers 0' and 'num_workers 1' collide"),
        ({"grid": {LR: [0.1, 0.1]}}, "the cells 'lr 0.1' and 'lr 0.1' collide"),
        ({"grid": {"modle.lr": [1]}}, "cell lr 1: sweep: unknown key 'modle'; did you mean 'model'?"),
        ({"grid": {"model.modle_name": ["a"]}}, "did you mean 'model_name'"),
        ({"grid": {"config": ["dinov2/dinov2_tune_crop"]}}, "did you mean 'dinov2/dinov2_tune_crop.yaml'"),
        ({"seeds": ["one"]}, "cell seed one: sweep: seed_everything: expected an integer"),
        ({"grid": {"experiment_info.experiment_id": ["a"]}}, "experiment_id: a cell is one experiment, named by"),
        ({"grid": {"experiment_info.experiments_data_folder": ["a"]}}, "lie in its folder: name that"),
        ({"grid": {"experiment_info.heads": [[{"lr": 0.1}]]}}, "heads: a cell is one experiment"),
        ({"grid": {"metrics.m": [lambda labels, scores: 1.0]}}, "expected classes and functions that can be imported"),
    ],
)
def test_what_cells_cannot_be_is_refused_before_anything_starts(
    values: dict[str, Any], line: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError) as told:
        prepare(sweep_of(None, **values), tmp_path / "s", dry_run=True)
    assert line in str(told.value)
    assert not (tmp_path / "s").exists()


def test_the_shipped_sweep_is_the_papers_twelve_by_the_published_counts(tmp_path: Path) -> None:
    sweep = prepare("sweeps/paper_baselines.yaml", tmp_path, dry_run=True)
    said = [(c.config["model"]["init_args"]["model_name"], c.config["seed_everything"]) for c in sweep.cells]
    names = [f"{n}_{kind}" for n in ("RN50", "clipL14commonpool", "dinov2_vitl14") for kind in ("tune", "probe")]
    assert sorted(said) == sorted((name, 42) for name in names for _ in range(2))
    # 36 generators, four a window: 8,000 images of each, in four copies, 1 + 2 + ... + 9 windows' worth
    assert {need.training for need in sweep.plan.needs} == {45 * 4 * 8000 * 4}
    assert {need.evaluated for need in sweep.plan.needs} == {9 * 72_000}
    by_name = {cell.label: need.disk for cell, need in zip(sweep.cells, sweep.plan.needs, strict=True)}
    assert by_name["RN50_clip_tune_resize"] > 1e9 > 1e6 > by_name["RN50_clip_probe_crop"]  # type: ignore[operator]
    assert "by the published counts" in str(sweep)
    assert "69,120,000" in str(sweep)


@pytest.mark.parametrize(
    ("name", "cells", "by_name"),
    [
        ("follow_up", 21, {"soft": 1, "four epochs of one copy": 1, "four epochs of four copies": 4}),
        ("few_weights", 7, {}),
        ("strategies", 33, {}),
    ],
)
def test_other_shipped_sweeps_print_a_plan_without_weights_and_data(
    name: str, cells: int, by_name: dict[str, float], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sweep = prepare(f"sweeps/{name}.yaml", tmp_path, dry_run=True)
    assert len(sweep.cells) == cells
    told = {str(cell.values.get("name")): need for cell, need in zip(sweep.cells, sweep.plan.needs, strict=True)}
    assert {key: told[key].training / (45 * 4 * 8000 * 4) for key in by_name} == by_name
    assert len(caplog.messages) == len(set(caplog.messages)), "what holds of all cells is told once"


def test_an_items_name_stands_for_what_it_says(small_dataset: Path, tmp_path: Path) -> None:
    items: list[dict[str, Any]] = [
        {"name": "slow, warm", "model.optimizer.lr": 0.001},
        {"name": "fast", "model": {"optimizer": {"lr": 0.1}}},
    ]
    sweep = prepare(sweep_of(small_dataset, list=items, seeds=[1, 2]), tmp_path)
    assert [cell.label for cell in sweep.cells] == [f"{n}, seed {s}" for n in ("slow, warm", "fast") for s in (1, 2)]
    assert [cell.config["model"]["init_args"]["optimizer"]["init_args"]["lr"] for cell in sweep.cells[::2]] == [
        1e-3,
        0.1,
    ]
    assert "slow, warm" in str(sweep)
    assert "optimizer" not in str(sweep)
    plain = [{key: value for key, value in item.items() if key != "name"} for item in items]
    unnamed = prepare(sweep_of(small_dataset, list=plain, seeds=[1, 2]), tmp_path)
    assert [cell.name for cell in unnamed.cells] == [cell.name for cell in sweep.cells]


@pytest.mark.parametrize("names", [("a", "a"), ("", "b"), (3, "b")])
def test_names_of_items_tell_them_apart(names: tuple[object, object], small_dataset: Path, tmp_path: Path) -> None:
    items = [{"name": name, "model.optimizer.lr": lr} for name, lr in zip(names, (0.1, 0.2), strict=True)]
    with pytest.raises(InputError, match="name: expected a text that no other item has"):
        prepare(sweep_of(small_dataset, list=items), tmp_path)


def test_samples_are_counted_on_the_data_set_that_is_there(small_dataset: Path, tmp_path: Path) -> None:
    grid = {"trainer.max_epochs": [1, 2], "data.train_subset_size": [None, 8]}
    values = sweep_of(small_dataset, grid=grid)
    needs = prepare(values, tmp_path).plan.needs
    # three windows of 8 fakes and 8 reals; 24 images evaluated
    assert [need.training for need in needs] == [96, 48, 192, 96]
    assert {need.evaluated for need in needs} == {72}
    values["base"]["overrides"]["experiment_info.sliding_windows_definition.current_window"] = 1
    needs = prepare(values, tmp_path).plan.needs
    assert [(need.training, need.evaluated) for need in needs] == [(32, 24), (16, 24), (64, 24), (32, 24)]


def test_samples_are_those_of_a_cells_strategy(small_dataset: Path, tmp_path: Path) -> None:
    strategies = [
        None,
        "new_window",
        "harmonic",
        {"harmonic": {"of": "copies"}},
        {"replay": {"budget": 8}},
        {"replay": {"budget": 8, "selection": "herding"}},
    ]
    values = sweep_of(small_dataset, grid={"experiment_info.strategy": strategies})
    values["base"]["overrides"]["data.augmentation_factor"] = 4
    sweep = prepare(values, tmp_path / "there")
    assert len({cell.name for cell in sweep.cells}) == len(strategies)
    # windows of 16 images in four copies, two generators each: halves, then thirds of 4 a generator, rounded up
    assert [need.training // 4 for need in sweep.plan.needs] == [96, 48, 48 + 16 + 8, 48 + 16 + 8, 64, 64]
    for strategy, cells in (("harmonic", 4000), ({"replay": {"budget": 1000, "selection": "herding"}}, 0)):
        values["grid"] = {"experiment_info.strategy": [strategy]}
        published = sweep_of(None, grid=values["grid"])
        published["base"]["overrides"]["experiment_info.sliding_windows_definition.n_generators_per_window"] = 4
        (need,) = prepare(published, tmp_path / "published", dry_run=True).plan.needs
        ages = [math.ceil(4000 / age) for age in range(1, 10)]
        kept = [sum(ages[: window + 1]) for window in range(9)]
        levels = [1000 // (8 * window) if window else 0 for window in range(9)]
        expected = kept if cells else [4000 + window * level for window, level in enumerate(levels)]
        assert need.training == sum(8 * one for one in expected)


def test_reconstructions_are_counted_too(small_dataset: Path, tiny_vae: Path, tmp_path: Path) -> None:
    cells = [{"data.reconstruct": None}, *({"data.reconstruct": {"vae": str(tiny_vae), "share": s}} for s in (0.5, 1))]
    plain, half, all_of_them = prepare(sweep_of(small_dataset, list=cells), tmp_path).plan.needs
    assert [plain.training, half.training, all_of_them.training] == [96, 120, 144]
    sweep = prepare(sweep_of(tmp_path / "absent", list=cells), tmp_path, dry_run=True)
    of_published = [need.training / sweep.plan.needs[0].training for need in sweep.plan.needs]
    assert of_published == [1, 1.25, 1.5]


def test_a_start_needs_the_data_set(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing_here"):
        prepare(sweep_of(tmp_path / "nothing_here", seeds=[1]), tmp_path / "s")


def test_finished_cells_are_recognised_and_failures_end_nothing(
    small_dataset: Path, tmp_path: Path, orders: Any, caplog: Any
) -> None:
    caplog.set_level("INFO", "aigenbench")
    orders(1, "crash")
    orders(2, "refuse refuse")
    orders(3, "crash crash crash")
    sweep = prepare(sweep_of(small_dataset, seeds=[1, 2, 3, 4]), tmp_path / "s")
    table, failed = sweep.run(retries=1)
    assert failed == 2
    assert [(r.ending, r.starts) for r in records(sweep)] == [
        ("finished", 2),
        ("refused", 1),
        ("failed", 2),
        ("finished", 1),
    ]
    assert "2 cells left, about" in sweep.plan.time
    (row,) = table.rows
    assert row.state == "2 of 4 finished, others refused, failed"
    said = caplog.text
    assert "cell 1 of 4" in said
    assert "ValueError: it broke (start 1); tried again after the others" in said
    assert "refused: no such thing (start 1); not tried again before it is set right" in said
    assert (sweep.cells[2].file(".log")).read_text().count("begun") == 2
    # the next start tries what has failed, and leaves the rest alone
    _, failed = sweep.run(retries=1)
    assert failed == 1
    assert [(r.ending, r.starts) for r in records(sweep)][1:3] == [("refused", 2), ("finished", 4)]


def test_a_cell_killed_for_memory_is_told_as_such(
    small_dataset: Path, tmp_path: Path, orders: Any, monkeypatch: Any, caplog: Any
) -> None:
    orders(1, "kill")
    orders(2, "kill")
    orders(3, "cuda")
    one, two, three = prepare(sweep_of(small_dataset, seeds=[1, 2, 3]), tmp_path / "s").cells
    stop = StopRequest()
    assert run_cell(one, stop).ending == "killed"
    counts = iter([5, 6])
    monkeypatch.setattr(process, "_memory_kills", lambda: next(counts))
    assert run_cell(two, stop).ending == "memory"
    monkeypatch.setattr(process, "_memory_kills", lambda: 0)
    record = run_cell(three, stop)
    assert record.ending == "memory"
    assert process.told(record).startswith("killed for memory: try a smaller data.train_batch_size")


def test_the_table_shows_what_differs_with_seeds_gathered(small_dataset: Path, tmp_path: Path, orders: Any) -> None:
    grid = {LR: [0.1, 0.2], "trainer.max_epochs": [1]}
    sweep = prepare(sweep_of(small_dataset, grid=grid, seeds=[1, 2]), tmp_path / "s")
    table, _ = sweep.run()
    assert table.keys == (LR,)
    assert [(row.values, row.seeds, row.over) for row in table.rows] == [
        ({LR: 0.1}, (1, 2), "seeds"),
        ({LR: 0.2}, (1, 2), "seeds"),
    ]
    experiment = ab.Experiment(sweep.cells[0].folder)
    assert table.rows[0].means["immediate_future"] == experiment.scores().headline.mean
    head, row, _ = (tmp_path / "s" / "table.csv").read_text().splitlines()
    assert head.startswith(f"{LR},Next (0..1),")
    assert row.startswith("0.1,")
    assert json.loads((tmp_path / "s" / "table.json").read_text()) == table.to_dict()
    assert (tmp_path / "s" / "table.txt").read_text() == f"{table}\n"
    (alone,) = prepare(sweep_of(small_dataset, seeds=[1]), tmp_path / "t").run()[0].rows
    interval = experiment.intervals().headline
    assert interval is not None
    assert alone.over == "images"
    assert tuple(alone.intervals["immediate_future"] or ()) == (interval.low, interval.high)


def test_the_table_marks_what_is_off_protocol(small_dataset: Path, tmp_path: Path, orders: Any) -> None:
    sweep = prepare(sweep_of(small_dataset, seeds=[1, 2]), tmp_path / "s")
    plain, _ = sweep.run()
    assert "off protocol" not in str(plain)
    assert "off_protocol" not in plain.to_dict()["rows"][0]
    for path in sweep.cells[1].folder.glob("window_*/predictions_validate_all.npz"):
        save_predictions(path, replace(load_predictions(path), off_protocol=("more data",)))
    table = make_table(sweep.cells, tmp_path / "s", 10)
    assert "finished (off protocol)" in str(table)
    assert table.to_dict()["rows"][0] == {**plain.to_dict()["rows"][0], "off_protocol": ["more data"]}


def test_another_data_set_is_never_taken_for_done(small_dataset: Path, tmp_path: Path, orders: Any) -> None:
    prepare(sweep_of(small_dataset, seeds=[1]), tmp_path / "s").run()
    elsewhere = tmp_path / "data"
    elsewhere.symlink_to(small_dataset)
    (cell,) = prepare(sweep_of(elsewhere, seeds=[1]), tmp_path / "s").cells
    assert not cell.is_finished


def test_ctrl_c_stops_the_cell_too_and_the_same_call_goes_on(small_dataset: Path, tmp_path: Path, orders: Any) -> None:
    orders(1, "wait")
    sweep = prepare(sweep_of(small_dataset, seeds=[1, 2]), tmp_path / "s")
    child = in_a_fork(sweep)
    pid = waiting(tmp_path)
    os.kill(child, signal.SIGINT)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 130
    assert is_gone(pid)
    assert [(r.ending, r.is_whole) for r in records(sweep)] == [("stopped", True), ("", True)]
    assert sweep.run()[1] == 0


@pytest.mark.slow
def test_killed_again_and_again_it_comes_to_the_same_table(small_dataset: Path, tmp_path: Path, orders: Any) -> None:
    values = sweep_of(small_dataset, grid={LR: [0.1, 0.2]}, seeds=[1, 2, 3, 4])
    whole = prepare(values, tmp_path / "whole").run()[0].to_dict()["rows"]
    killed = prepare(values, tmp_path / "killed")
    for seed in (1, 3, 3, 4, 2):
        orders(seed, "wait")
        child = in_a_fork(killed)
        pid = waiting(tmp_path)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        # the cell does not outlive its sweep
        assert is_gone(pid)
    assert killed.run()[0].to_dict()["rows"] == whole
    assert not all(record.is_whole for record in records(killed))


def in_a_fork(sweep: Sweep) -> int:
    child = os.fork()
    if child:
        return child
    try:
        sweep.run()
    except StoppedError as stopped:
        os._exit(128 + stopped.number)
    os._exit(0)


def waiting(folder: Path) -> int:
    """Process id of the program once it waits."""
    path = folder / "orders" / "waiting"
    until = time.monotonic() + 60
    while not (path.is_file() and path.read_text()):
        assert time.monotonic() < until
        time.sleep(0.02)
    pid = int(path.read_text())
    path.unlink()
    return pid


def is_gone(pid: int) -> bool:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        stat = Path(f"/proc/{pid}/stat")
        try:
            if stat.read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.02)
    return False


def test_a_search_without_optuna_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(InputError, match=r"pip install 'aigenbench\[sweep\]'"):
        prepare(sweep_of(None, search={"trials": 2, "space": {LR: [0.1]}}), tmp_path, dry_run=True)


@pytest.mark.slow
def test_a_search_looks_at_past_and_repeats_itself(small_dataset: Path, tmp_path: Path, orders: Any) -> None:
    pytest.importorskip("optuna")
    space = {LR: {"low": 0.01, "high": 0.1, "log": True}, "trainer.max_epochs": {"low": 1, "high": 3}}
    values = sweep_of(small_dataset, search={"trials": 3, "space": space}, seeds=[1, 2])
    orders(2, "kill kill")
    first = prepare(values, tmp_path / "s").run()
    # each trial's second seed is killed once
    assert first[1] == 2
    table, failed = prepare(values, tmp_path / "s").run()
    assert failed == 0
    # the trials up to the first failure come again
    assert table.rows[0].cells == first[0].rows[0].cells
    assert len(table.rows) == 3
    assert set(table.keys) == set(space)
    assert {row.seeds for row in table.rows} == {(1, 2)}


@pytest.mark.slow
def test_cells_share_stored_features_and_train_for_real(small_dataset: Path, tmp_path: Path) -> None:
    def stores(folder: str, rates: list[float]) -> set[str]:
        values = sweep_of(small_dataset, grid={LR: rates})
        cache = {"data.features": "cache", "data.cache_folder": str(tmp_path / folder)}
        values["base"]["overrides"] |= {"model.model_name": "small_cnn_probe", **cache}
        table, failed = prepare(values, tmp_path / f"{folder}_sweep").run()
        assert failed == 0, table
        assert [row.state for row in table.rows] == ["finished"] * len(rates)
        return {path.name for path in (tmp_path / folder).iterdir()}

    assert stores("one", [0.1]) == stores("two", [0.1, 0.2])
