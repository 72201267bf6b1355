"""Quality against compute: dominance and noise on experiments whose answer is known."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from evaluation_made_up import write_experiment

import aigenbench as ab
import aigenbench.cli
from aigenbench.errors import InputError
from aigenbench.evaluation.report.compute import cost_of, short
from aigenbench.evaluation.report.frontier import Frontier, Point, frontier_chart, judged

RECIPE = "seed_everything: {seed}\nmodel: {model}\ntrainer: {{}}\n"


def made(folder: Path, name: str, separation: float, flops: float | None, seed: int = 0, model: str = "") -> Path:
    """An experiment that ranks so well and took so much in every window."""
    place = write_experiment(folder / f"experiment_{name}", separation=separation, seed=seed, n_per_generator=60)
    for k in range(3):
        budget = {"training": {"flops": flops, "images": 100, "optimizer_steps": 10, "device_seconds": 1.5}}
        record: dict[str, Any] = {"protocol_fingerprint": "x"} | ({} if flops is None else {"budget": budget})
        (place / f"window_{k}" / "run.json").write_text(json.dumps(record))
        (place / f"window_{k}" / "config.yaml").write_text(RECIPE.format(seed=seed, model=model or name))
    return place


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A cheap weak one, one that is far better, one like it at more cost, and a bad expensive one."""
    folder = tmp_path_factory.mktemp("experiments_data")
    return [
        made(folder, "dear_and_bad", 1.0, 9e12),
        made(folder, "cheap", 1.5, 1e11),
        made(folder, "good", 4.0, 1e12),
        made(folder, "good_too", 4.0, 3e12, seed=7),
    ]


@pytest.fixture(scope="module")
def found(four: list[Path]) -> Frontier:
    return ab.frontier(*four, replicates=200)


def test_dominance_and_noise(found: Frontier) -> None:
    points = {p.name: p for p in found.points}
    assert list(points) == ["cheap", "good", "good_too", "dear_and_bad"], "cheapest first"
    assert [points[name].cost["flops"] for name in points] == [3e11, 3e12, 9e12, 27e12]
    assert points["cheap"].verdict == "the best at the lowest cost"
    assert points["good"].verdict == "better than cheap, at 10 times the cost"
    assert points["good"].difference is not None
    assert points["good"].difference > 0.1
    assert points["good"].p is not None
    assert points["good"].p < 0.05
    assert points["dear_and_bad"].dominated
    assert points["dear_and_bad"].verdict in {
        f"dominated by {best}, at {times} times the cost" for best, times in (("good", 9), ("good_too", 3))
    }
    low, high = points["dear_and_bad"].difference_interval or (0, 0)
    assert low <= (points["dear_and_bad"].difference or 0) <= high < 0
    twin = points["good_too"]
    assert twin.against == "good"
    assert twin.verdict in (
        "dominated by good, at 3 times the cost; the difference is within noise",
        "better than good, at 3 times the cost, but within noise",
    )


def point(name: str, cost: float, value: float | None) -> Point:
    return Point(name, 1, value, None, {"flops": cost})


def entry(a: str, b: str) -> dict[str, Any]:
    return {"a": a, "b": b, "difference": 0.0, "interval": [-0.1, 0.2], "both": None, "p_holm": 1.0}


def test_dominance_by_hand() -> None:
    points = [point("a", 1, 0.7), point("b", 1, 0.8), point("c", 2, 0.8), point("d", 3, 0.9), point("e", 0, 0.6)]
    pairs = [entry(p.name, q.name) for i, p in enumerate(points) for q in points[i + 1 :]]
    found = {p.name: p for p in judged(points, pairs, "flops")}
    assert [name for name, p in found.items() if p.dominated] == ["a", "c"]
    assert {name: p.against for name, p in found.items()} == {"e": "", "b": "e", "a": "b", "c": "b", "d": "b"}
    assert found["a"].verdict == "dominated by b, at the same cost; the difference is within noise"
    assert found["b"].verdict == "better than e, at more cost, but within noise"
    assert found["d"].difference_interval == [-0.2, 0.1], "the other way round"
    chart = frontier_chart("flops", list(found.values()))
    assert chart.x_ticks[0][1] == "0"
    line = chart.series[0]
    assert line.y == [60, 60, 80, 80, 90, 90]
    assert [s.name for s in chart.series[1:]] == ["1", "2", "3", "4", "5"]


def test_seeds_of_a_model_are_gathered(tmp_path: Path) -> None:
    places = [made(tmp_path, f"probe_seed{s}", 3.0, 1e12 + s * 1e10, seed=s, model="probe") for s in range(2)]
    found = ab.frontier(*places, made(tmp_path, "tune", 1.0, 5e12), replicates=100)
    probe, tune = found.points
    assert (probe.name, probe.runs, probe.cost["flops"]) == ("probe", 2, pytest.approx(3.015e12))
    assert (tune.dominated, tune.against) == (True, "probe")


def test_page_png_and_csv(four: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "front.html"
    code = aigenbench.cli.main(["frontier", *map(str, four), "-o", str(out), "--x", "samples", "--replicates", "50"])
    printed = capsys.readouterr()
    assert code == 0, printed.err
    assert "at the same cost" in printed.out
    assert printed.out.splitlines()[-3:] == [str(out.with_suffix(kind)) for kind in (".html", ".png", ".csv")]
    page = out.read_text()
    assert "dear_and_bad" in page
    assert "https://" not in page
    assert out.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    rows = list(csv.DictReader(out.with_suffix(".csv").read_text().splitlines()))
    assert [row["Samples"] for row in rows] == ["300"] * 4
    assert {"Next AUROC (0..1)", "FLOPs", "Verdict", "Difference (0..1)"} < set(rows[0])


def test_older_and_unfinished_runs_are_told(four: list[Path], tmp_path: Path) -> None:
    older = made(tmp_path, "older", 2.0, None)
    cut = made(tmp_path, "cut", 2.0, 1e9)
    (cut / "window_2" / "predictions_validate_all.npz").unlink()
    found = ab.frontier(*four[:2], older, cut, replicates=50)
    assert found.points[-1].name == "older"
    assert found.points[-1].verdict == "FLOPs not counted"
    assert len(found.chart.series) == 3, "the line and two models"
    assert "cut is left out: 2 of 3 windows are evaluated" in found.notes
    with pytest.raises(InputError, match=r"at least two experiments that are finished \(cut is left out"):
        ab.frontier(older, cut)
    with pytest.raises(InputError, match="they were trained before costs were counted"):
        ab.frontier(older, made(tmp_path, "old", 2.0, None), replicates=20)
    with pytest.raises(InputError, match="none of the experiments has counted joules; take another x: flops, samples"):
        ab.frontier(*four, x="joules", replicates=20)
    with pytest.raises(InputError, match="found 'flop'; did you mean 'flops'"):
        ab.frontier(*four, x="flop")


def test_other_images_are_refused_by_name(four: list[Path], tmp_path: Path) -> None:
    other = write_experiment(tmp_path / "experiment_other", windows=2, n_per_generator=10)
    with pytest.raises(InputError, match="other"):
        ab.frontier(four[0], other, replicates=20)
    longer = write_experiment(tmp_path / "experiment_longer", windows=3, n_per_generator=80)
    with pytest.raises(InputError, match="dear_and_bad and longer"):
        ab.frontier(four[0], longer, replicates=20)


def test_the_folder_of_a_sweep(tmp_path: Path) -> None:
    sweep = tmp_path / "my_sweep"
    (sweep / "cells").mkdir(parents=True)
    with pytest.raises(InputError, match="run the sweep first"):
        ab.frontier(sweep)
    for name, seed in (("aaa", 1), ("bbb", 2), ("ccc", 1)):
        made(sweep, name, 3.0, 1e12, seed, "probe" if name < "c" else "tune")
    rows = [
        {"values": {"model.finetune": "probe"}, "cells": ["aaa", "bbb"], "seeds": [1, 2]},
        {"values": {"model.finetune": "tune"}, "cells": ["ccc"], "seeds": [1]},
    ]
    (sweep / "table.json").write_text(json.dumps({"rows": rows}))
    found = ab.frontier(sweep, replicates=20)
    assert {p.name: p.runs for p in found.points} == {"finetune probe": 2, "finetune tune": 1}
    (sweep / "table.json").write_text('{"rows": [{"cells": 1}]}')
    with pytest.raises(InputError, match="is damaged; `aigenbench sweep"):
        ab.frontier(sweep)


def test_costs_are_known_of_all_windows_or_not_at_all() -> None:
    trained = {"budget": {"training": {"flops": 5, "images": 3, "joules": 2.5}}}
    embedded = {"budget": {**trained["budget"], "embedding": {"flops": 100, "images": 9}}}
    assert cost_of([trained, embedded]) == {"flops": 110, "samples": 6}
    assert cost_of([trained, {}]) == cost_of([]) == cost_of([{"budget": {"training": {"flops": "x"}}}]) == {}


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (0.5, "0.5"), (999.4, "999"), (999.6, "1 k"), (1.234e15, "1.23 P"), (2e27, "2e+03 Y")]
)
def test_short_counts(value: float, text: str) -> None:
    assert short(value) == text
