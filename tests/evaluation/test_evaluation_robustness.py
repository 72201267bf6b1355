from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from evaluation_made_up import made_up, write_experiment
from scipy import stats

from aigenbench.augmentations.perturbations import GRID
from aigenbench.errors import InputError
from aigenbench.evaluation.metrics.definitions import auroc
from aigenbench.evaluation.metrics.group import Group
from aigenbench.evaluation.predictions.experiment import load_experiment
from aigenbench.evaluation.predictions.record import Predictions
from aigenbench.evaluation.report.export import export
from aigenbench.evaluation.report.page import render
from aigenbench.evaluation.report.results import load_run
from aigenbench.evaluation.report.robustness import robustness_table, robustness_text, robustness_view
from aigenbench.evaluation.report.view import make_view
from aigenbench.evaluation.robustness.perturbed import PREDICTIONS_FILE, predictions_path, save_perturbed
from aigenbench.evaluation.robustness.score import Family, load_robustness
from aigenbench.evaluation.robustness.shifts import _of_median, reading, shifts_between
from aigenbench.evaluation.robustness.values import robustness_values
from aigenbench.evaluation.statistics.intervals import delong
from aigenbench.evaluation.statistics.uncertainty import Effort
from aigenbench.files import file_sha256

EFFORT = Effort(20, 5)
BLUR = [cell for cell in GRID if cell.family == "blur"]
CROP = [cell for cell in GRID if cell.family == "crop"]


def perturbed(window: int, strength: int, n: int = 20) -> Predictions:
    p = made_up(n, window=window)
    noise = np.random.default_rng(strength).normal(size=len(p)) * strength
    logits = (p.fused_logits + noise).astype(np.float32)
    scores = (1 / (1 + np.exp(-logits.astype(np.float64)))).astype(np.float32)
    return replace(
        p,
        fused_logits=logits,
        crop_logits=logits,
        fused_scores=scores,
        crop_scores=scores,
        protocol_fingerprint=f"{strength:016x}",
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three windows, of which 0 and 2 were evaluated under two families."""
    folder = write_experiment(tmp_path / "experiment_x")
    for k in (0, 2):
        clean = file_sha256(folder / f"window_{k}" / PREDICTIONS_FILE)
        for i, cell in enumerate((*BLUR, *CROP)):
            save_perturbed(predictions_path(folder, cell, k), perturbed(k, 1 + i), cell, clean)
    return folder


def families(folder: Path) -> tuple[Family, ...]:
    return load_robustness(folder, load_experiment(folder))


def group_of(p: Predictions, generators: set[str]) -> Group:
    counted = np.where(p.fused_labels == 1, p.fused_generator_ids, p.pairing)
    rows = np.array([p.generator_id_to_name[g] in generators for g in counted])
    return Group.of(p.fused_scores[rows], p.fused_labels[rows], p.fused_logits[rows])


def test_values_and_intervals_are_those_of_the_predictions(folder: Path) -> None:
    blur, crop = families(folder)
    assert (blur.name, blur.windows, blur.counted) == ("blur", (0, 2), (0,))
    assert [level.label for level in crop.levels] == ["0.9", "0.75", "0.5"]
    expected = group_of(perturbed(0, 2), {"C", "D"})
    found = blur.levels[1].mean["immediate_future"]
    assert found.value == pytest.approx(auroc(expected))
    assert found.interval == pytest.approx(list(delong(expected)))
    assert blur.levels[1].windows[2]["immediate_future"] is None
    assert blur.levels[1].last["growing"].value == pytest.approx(auroc(group_of(perturbed(2, 2), set("ABCDE"))))
    assert blur.levels[1].generators["D"] == pytest.approx(auroc(group_of(perturbed(2, 2), {"D"})))
    assert blur.clean.mean["immediate_future"].value == pytest.approx(auroc(group_of(made_up(window=0), {"C", "D"})))


def test_the_interval_of_a_change_is_that_of_paired_images(folder: Path) -> None:
    blur = families(folder)[0]
    clean, found = blur.clean.mean["immediate_future"], blur.levels[0].mean["immediate_future"]
    difference, interval = found.change_from(clean)
    assert difference == pytest.approx(found.value - clean.value)
    # against a bootstrap of the same images in both, by class
    rng, a, b = np.random.default_rng(0), made_up(window=0), perturbed(0, 1)
    counted = np.where(a.fused_labels == 1, a.fused_generator_ids, a.pairing)
    inside = np.isin(np.array(a.generator_id_to_name)[counted], ["C", "D"])
    reals, fakes = (np.flatnonzero(inside & (a.fused_labels == label)) for label in (0, 1))
    drawn = []
    for _ in range(600):
        rows = np.concatenate([rng.choice(reals, len(reals)), rng.choice(fakes, len(fakes))])
        both = [auroc(Group.of(p.fused_scores[rows], p.fused_labels[rows], p.fused_logits[rows])) for p in (b, a)]
        drawn.append(both[0] - both[1])
    assert interval[1] - interval[0] == pytest.approx(2 * 1.96 * np.std(drawn), rel=0.15)
    assert clean.change_from(clean) == (0.0, None)


def test_only_results_beside_the_clean_predictions_they_were_made_for_count(folder: Path) -> None:
    predictions_path(folder, BLUR[0], 0).with_name("perturbation.json").unlink()
    blur, _ = families(folder)
    assert blur.windows == (2,)
    assert blur.counted == (2,)
    assert blur.levels[0].mean["immediate_future"] is None
    write_experiment(folder, windows=3, seed=1)
    assert families(folder) == ()
    assert robustness_view(()).tables == ()


def test_results_on_other_images_are_refused(folder: Path) -> None:
    clean = file_sha256(folder / "window_0" / PREDICTIONS_FILE)
    save_perturbed(predictions_path(folder, BLUR[0], 0), perturbed(0, 1, n=10), BLUR[0], clean)
    with pytest.raises(InputError, match="is of other images than the experiment's own predictions"):
        families(folder)


def test_the_table_has_the_clean_row_first_and_dashes_where_there_is_no_next(folder: Path) -> None:
    table = robustness_table(families(folder))
    assert len(table.rows) == len(BLUR) + len(CROP) + 2
    assert [cell.text for cell in table.rows[0][:3]] == ["blur", "clean", "2"]
    next_column = table.header.index("Next")
    assert {row[next_column].text for row in table.rows} == {"-"}
    assert all(row[table.header.index("Mean Next")].value for row in table.rows)
    text = robustness_text("x", families(folder))
    assert text.startswith("x · validate · AUROC (%) under perturbations")
    assert (
        len({len(line) for line in text.partition("Shift")[0].splitlines() if line.startswith(("blur", "crop"))}) == 1
    )


def test_the_report_shows_a_curve_a_family_and_exports_it(folder: Path, tmp_path: Path) -> None:
    view = make_view(load_run(folder, effort=EFFORT))
    page = render([view])
    assert "Under perturbations" in page
    for text in ('id="robustness_blur"', 'id="robustness_crop"', "Past period, clean:", "Next period, 0.75:"):
        assert text in page
    written = {path.name for path in export(tmp_path / "out", [replace(view, windows=())], formats=("png",))}
    assert {"robustness_blur.png", "robustness_crop.png", "robustness.csv", "robustness_generators.csv"} <= written
    rows = list(csv.DictReader((tmp_path / "out" / "robustness.csv").read_text(encoding="utf-8").splitlines()))
    assert [row["Level"] for row in rows[:3]] == ["clean", "0.5", "1"]
    means = [float(row["Mean Next (0..1)"]) for row in rows[:2]]
    assert float(rows[1]["Change (0..1)"]) == pytest.approx(means[1] - means[0])


def test_without_perturbations_the_report_has_no_such_section(tmp_path: Path) -> None:
    folder = write_experiment(tmp_path / "experiment_x")
    assert "Under perturbations" not in render([make_view(load_run(folder, effort=EFFORT))])


def moved(window: int, reals: float, fakes: float, n: int = 20) -> Predictions:
    """The clean predictions, their logits moved by class with a little noise."""
    p = made_up(n, window=window)
    noise = np.random.default_rng(7).normal(size=len(p)) * 0.1
    logits = (p.fused_logits + np.where(p.fused_labels == 1, fakes, reals) + noise).astype(np.float32)
    return replace(p, fused_logits=logits, crop_logits=logits)


def with_levels(folder: Path, window: int, *levels: Predictions) -> Family:
    clean = file_sha256(folder / f"window_{window}" / PREDICTIONS_FILE)
    for cell, predictions in zip(BLUR, levels, strict=False):
        save_perturbed(predictions_path(folder, cell, window), predictions, cell, clean)
    return families(folder)[0]


def test_a_bias_is_told_where_the_ranking_stays(tmp_path: Path) -> None:
    folder = write_experiment(tmp_path / "experiment_x")
    clean, all_move = made_up(window=1), moved(1, 3.0, 3.0)
    biased = with_levels(folder, 1, all_move, moved(1, -2.0, -2.0), moved(1, 1.0, -1.0), moved(1, 0.5, 0.0))
    level = biased.levels[0]
    # AUROC sees nothing of it
    assert level.last["growing_whole"].value == pytest.approx(biased.clean.last["growing_whole"].value, abs=0.01)
    shift = level.shifts["real"]
    reals = clean.fused_labels == 0
    difference = (all_move.fused_logits.astype(np.float64) - clean.fused_logits)[reals]
    assert shift.images == reals.sum() == 100
    assert (shift.mean, shift.median) == pytest.approx((difference.mean(), np.median(difference)))
    assert shift.mean_interval[0] < 3.0 < shift.mean_interval[1]
    assert shift.mean_interval == pytest.approx(
        list(stats.t.interval(0.95, 99, difference.mean(), stats.sem(difference))), abs=1e-9
    )
    assert shift.median_interval[0] <= shift.median <= shift.median_interval[1]
    crossing = (clean.fused_logits[reals] <= 0) & (all_move.fused_logits[reals] > 0)
    assert shift.to_fake == crossing.mean() > 0.5
    assert (shift.to_real, level.shifts["fake"].to_real) == (0.0, 0.0)
    readings = [reading(level.shifts) for level in biased.levels]
    assert readings == ["both towards fake", "both towards real", "towards each other", "reals towards fake"]


def test_shifts_are_of_past_and_next_and_do_not_hang_on_the_order_of_rows() -> None:
    clean, after = made_up(window=0), moved(0, 1.0, 0.0)
    found = shifts_between(clean, after, 0)
    assert (found["real"].images, found["fake"].images) == (80, 80)  # four generators of five
    order = np.random.default_rng(1).permutation(len(after))
    fused = {
        name: getattr(after, name)[order]
        for name in vars(after)
        if name.startswith("fused_") and getattr(after, name) is not None
    }
    assert shifts_between(clean, replace(after, **fused), 0) == found
    assert shifts_between(clean, replace(after, fused_logits=None), 0) == {"real": None, "fake": None}
    few = shifts_between(clean.of_images(np.arange(len(clean)) < 3), after.of_images(np.arange(len(clean)) < 3), 0)
    assert all(shift is None or shift.median_interval is None for shift in few.values())


def test_the_interval_of_a_median_holds_it_as_often_as_it_says() -> None:
    rng, held = np.random.default_rng(5), 0
    for _ in range(400):
        low, high = _of_median(rng.exponential(size=51))
        held += low <= np.log(2) <= high
    assert held >= 372  # the binomial band of 95 % begins at 371 of 400


def test_shifts_reach_terminal_json_page_and_files(tmp_path: Path) -> None:
    folder = write_experiment(tmp_path / "experiment_x")
    found = with_levels(folder, 1, *[moved(1, 3.0, 3.0)] * len(BLUR))
    text = robustness_text("x", [found])
    assert "both towards fake" in text
    assert "Reals now fake (%)" in text
    values = json.loads(json.dumps(robustness_values("x", [found]), allow_nan=False))
    level = values["families"][0]["levels"][0]
    assert level["reading"] == "both towards fake"
    assert level["shifts"]["real"]["mean"] == found.levels[0].shifts["real"].mean
    assert level["change_of_mean_next"]["value"] == pytest.approx(0, abs=0.02)
    view = make_view(load_run(folder, effort=EFFORT))
    page = render([view])
    told = f"Reals, 0.5: {level['shifts']['real']['mean']:+.2f} ["
    for part in ("Robust, or biased?", 'id="shift_blur"', told, "both towards fake"):
        assert part in page
    written = {path.name for path in export(tmp_path / "out", [replace(view, windows=())], formats=("png",))}
    assert {"shift_blur.png", "robustness_shifts.csv"} <= written
    rows = list(csv.DictReader((tmp_path / "out" / "robustness_shifts.csv").read_text(encoding="utf-8").splitlines()))
    assert float(rows[0]["Reals moved"]) == pytest.approx(3.0, abs=0.1)
    assert 0.5 < float(rows[0]["Reals now fake (0..1)"]) <= 1
