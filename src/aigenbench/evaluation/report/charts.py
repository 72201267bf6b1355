"""The charts of a report."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from math import floor
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from aigenbench.evaluation.drawing.chart import FEW, Chart, Series, Tick, nice_ticks
from aigenbench.evaluation.drawing.table import SHOWN_PERIODS, pairs, percent
from aigenbench.evaluation.metrics.group import Group
from aigenbench.evaluation.metrics.periods import WindowGroups
from aigenbench.evaluation.report.results import ExperimentResults
from aigenbench.evaluation.statistics.calibration import reliability
from aigenbench.evaluation.statistics.intervals import interval_text
from aigenbench.protocol.periods import PERIOD_TITLES
from aigenbench.protocol.timeline import PUBLISHED

CURVE_POINTS = 160
HISTOGRAM_BINS = 40
CHANCE = 50.0
SHARE_TICKS: tuple[Tick, ...] = tuple((v / 100, str(v)) for v in (0, 20, 40, 60, 80, 100))
_DET_RATES = (0.001, 0.01, 0.05, 0.2, 0.4, 0.6)
_DET_RANGE = (NormalDist().inv_cdf(0.0005), NormalDist().inv_cdf(0.7))


def period_curves(run: ExperimentResults) -> Chart:
    """Past, Next and Whole AUROC over the windows with 95 % intervals."""
    series = tuple(_over_windows(run, p, p, f"{PERIOD_TITLES[p]} period") for p in SHOWN_PERIODS)
    return _windows_chart("curves", f"{run.name}: AUROC over the windows", series, run)


def next_curves(models: Mapping[str, Sequence[ExperimentResults]]) -> Chart:
    """Next-period AUROC of several models, a curve a training; those of a model have one colour."""
    series = tuple(
        _over_windows(run, "immediate_future", f"run{i % 6}", name)
        for i, (name, of_model) in enumerate(models.items())
        for run in of_model
    )
    runs = [run for of_model in models.values() for run in of_model]
    longest = max(runs, key=lambda run: run.experiment.n_windows)
    return _windows_chart("next_period", "Next-period AUROC over the windows", series, longest)


def window_charts(run: ExperimentResults, window: int) -> tuple[Chart, ...]:
    """ROC, DET, reliability and score histogram of one window's Past and Next periods."""
    groups = WindowGroups(run.experiment.windows[window])
    periods = {p: groups.period(p, window) for p in ("growing", "immediate_future")}
    judged = {p: group for p, group in periods.items() if group.both_classes}
    return (
        _roc(judged, window),
        _det(judged, window),
        _reliability(run, judged, window),
        _histogram(periods, window),
    )


def _over_windows(run: ExperimentResults, period: str, role: str, label: str) -> Series:
    values = run.scores["periods"][period]["auroc"]
    bounds = run.bounds["periods"][period]["auroc"]
    counts = [pairs(run.scores, period, k) or 0 for k in range(len(values))]
    named = f"{label} ({run.name})" if role.startswith("run") and run.name != label else label
    tips = [
        f"{named}, window {k}: {percent(v)} % {interval_text(b)}, {n:,} pairs of "
        f"{', '.join((run.experiment.windows.get(k) or run.experiment.first).period_generators(period, k))}"
        for k, (v, b, n) in enumerate(zip(values, bounds, counts, strict=True))
    ]
    return auroc_series(label, role, values, bounds, counts, tips)


def _windows_chart(name: str, title: str, series: tuple[Series, ...], run: ExperimentResults) -> Chart:
    windows = run.experiment.first.windows_timeline
    lowest = min((v for s in series for v in (*s.y, *s.low) if v is not None), default=CHANCE)
    ticks = tuple((float(k), window_label(k, names, len(windows))) for k, names in enumerate(windows))
    x_label = "Trained up to window, and when its newest generator came out"
    return auroc_chart(name, title, x_label, series, ticks, lower_end(lowest), 0.5 / len(series))


def auroc_series(
    label: str,
    role: str,
    values: Sequence[float | None],
    bounds: Sequence[Sequence[float] | None],
    counts: Sequence[int],
    tips: Sequence[str],
) -> Series:
    """A line of AUROCs in percent with their intervals; those of fewer than ``FEW`` pairs are greyed."""
    lows, highs = ([None if b is None else 100 * b[side] for b in bounds] for side in (0, 1))
    shown = [None if v is None else 100 * v for v in values]
    few = [n < FEW for n in counts]
    return Series(label, range(len(values)), shown, role, lows, highs, markers=True, tips=tips, few=few)


def auroc_chart(
    name: str, title: str, x_label: str, series: Sequence[Series], ticks: tuple[Tick, ...], low: float, spread: float
) -> Chart:
    """AUROC in percent over steps, with chance as a guide; where bands would hide each other, whiskers side by side.

    The scale begins at ``low``; whiskers of a step stand ``spread`` apart.
    """
    ends, whiskers = (-0.35, len(ticks) - 1 + 0.35), crowded(series)
    if whiskers:
        series = [s.shifted((i - (len(series) - 1) / 2) * spread) for i, s in enumerate(series)]
    chance = Series("chance", ends, (CHANCE, CHANCE), "guide", dashed=True)
    lines, y_ticks = (chance, *series), nice_ticks(low, 100.0)
    return Chart(name, title, x_label, "AUROC (%)", lines, ends, (low, 100.5), ticks, y_ticks, whiskers=whiskers)


def lower_end(lowest: float) -> float:
    """Where a scale of AUROC begins (percent): chance is in sight, so that a curve's height says what it is worth."""
    return max(0.0, min(5.0 * floor((lowest - 1) / 5), CHANCE - 5))


def crowded(series: Sequence[Series]) -> bool:
    """Whether bands would hide each other (three share a place), or be grey in part."""
    for i in range(max((len(s.low) for s in series), default=0)):
        ends = [(s.low[i], s.high[i]) for s in series if i < len(s.low)]
        known = [(low, high) for low, high in ends if low is not None and high is not None]
        if any(sum(low <= start <= high for low, high in known) > 2 for start, _ in known):
            return True
    return any(few and low is not None for s in series for few, low in zip(s.few, s.low, strict=False))


def window_label(window: int, names: Sequence[str], n_windows: int) -> str:
    """A window's index, the month its newest generator came out where that is known, and what fits of its generators.

    One line each; the names take up to three.
    """
    dates = [PUBLISHED.dates[name] for name in names if name in PUBLISHED.dates]
    lines = [str(window), max(dates).strftime("%Y-%m") if dates else ""]
    width = 100 // n_windows
    if width >= 8:
        short = ", ".join(names).replace("Stable Diffusion", "SD").replace("Diffusion GAN", "Diff. GAN")
        wrapped = textwrap.wrap(
            short, width, max_lines=3, placeholder=" …", break_long_words=False, break_on_hyphens=False
        )
        lines += [line if len(line) < width + 2 else f"{line[:width]}…" for line in wrapped]
    return "\n".join(lines)


def _thinned(group: Group) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """False and true positive rates at some of the thresholds, evenly along the curve's length."""
    fpr = np.append(0, group.curve.fps) / group.n_reals
    tpr = np.append(0, group.curve.tps) / group.n_fakes
    if len(fpr) <= CURVE_POINTS:
        return fpr, tpr
    along = (fpr + tpr) / 2
    # as many again where the curve is close to a corner, which a DET plot magnifies
    ends = np.concatenate(
        [np.linspace(0, 1, CURVE_POINTS), np.geomspace(1e-4, 0.1, 40), 1 - np.geomspace(1e-4, 0.1, 40)]
    )
    rows = np.unique(np.searchsorted(along, np.sort(ends)).clip(max=len(fpr) - 1))
    return fpr[rows], tpr[rows]


def _square(
    kind: str,
    window: int,
    title: str,
    labels: tuple[str, str],
    series: Sequence[Series],
    x_range: tuple[float, float] = (0, 1),
    x_ticks: tuple[Tick, ...] = SHARE_TICKS,
    y_range: tuple[float, float] = (0, 1),
    y_ticks: tuple[Tick, ...] = SHARE_TICKS,
) -> Chart:
    name = f"{kind}_window_{window}"
    return Chart(name, title, *labels, tuple(series), x_range, y_range, x_ticks, y_ticks, square=True)


def _roc(groups: dict[str, Group], window: int) -> Chart:
    series = [Series("chance", (0.0, 1.0), (0.0, 1.0), "guide", dashed=True)]
    for period, group in groups.items():
        fpr, tpr = _thinned(group)
        series.append(Series(f"{PERIOD_TITLES[period]} period", fpr.tolist(), tpr.tolist(), period))
    return _square(
        "roc", window, f"ROC after window {window}", ("False positive rate (%)", "True positive rate (%)"), series
    )


def _det(groups: dict[str, Group], window: int) -> Chart:
    normal = NormalDist()
    ticks = tuple((normal.inv_cdf(rate), f"{100 * rate:g}") for rate in _DET_RATES)
    low, high = _DET_RANGE
    series = [Series("equal error", (low, high), (low, high), "guide", dashed=True)]
    for period, group in groups.items():
        fpr, tpr = _thinned(group)
        inside = (fpr > 0.0005) & (fpr < 0.7) & (tpr < 0.9995) & (tpr > 0.3)
        x = [normal.inv_cdf(v) for v in fpr[inside].tolist()]
        y = [normal.inv_cdf(1 - v) for v in tpr[inside].tolist()]
        series.append(Series(f"{PERIOD_TITLES[period]} period", x, y, period))
    return _square(
        "det",
        window,
        f"DET after window {window} (normal deviates)",
        ("False positive rate (%)", "False negative rate (%)"),
        series,
        _DET_RANGE,
        ticks,
        _DET_RANGE,
        ticks,
    )


def _reliability(run: ExperimentResults, groups: dict[str, Group], window: int) -> Chart:
    """Before scaling, and after temperature scaling: of Past by cross-fitting, of Next by the fit of Past."""
    series = [Series("perfect", (0.0, 1.0), (0.0, 1.0), "guide", dashed=True)]
    calibrated = next(entry for entry in run.calibrated if entry.window == window)
    scaled = {"growing": calibrated.past, "immediate_future": calibrated.coming}
    lines = [(f"{PERIOD_TITLES[p]}, as is", p, group, False) for p, group in groups.items()]
    lines += [(f"{PERIOD_TITLES[p]}, temperature", p, scaled[p]["temperature"][0], True) for p in groups]
    for label, role, group, dashed in lines:
        expected, observed, counts = reliability(group)
        tips = [
            f"{label}: score {percent(e, 1)} %, fakes {percent(o, 1)} % of {n}"
            for e, o, n in zip(expected, observed, counts, strict=True)
        ]
        series.append(Series(label, expected.tolist(), observed.tolist(), role, (), (), True, dashed, tips))
    return _square(
        "reliability", window, f"Reliability after window {window}", ("Mean score (%)", "Share of fakes (%)"), series
    )


def _histogram(groups: dict[str, Group], window: int) -> Chart:
    edges = np.linspace(0, 1, HISTOGRAM_BINS + 1)
    kinds = (
        ("Reals of Past and Next", "real", ("growing", "immediate_future"), False),
        ("Fakes of Past", "growing", ("growing",), True),
        ("Fakes of Next", "immediate_future", ("immediate_future",), True),
    )
    series, highest = [], 1.0
    for label, role, periods, fake in kinds:
        scores = np.concatenate([groups[p].scores[groups[p].fakes == fake] for p in periods])
        if len(scores):
            shares = 100 * np.histogram(scores, edges)[0] / len(scores)
            highest = max(highest, float(shares.max()))
            steps = np.repeat(shares, 2).tolist()
            x = np.repeat(edges, 2)[1:-1].tolist()
            series.append(Series(label, x, steps, role, [0.0] * len(steps), steps))
    return _square(
        "scores",
        window,
        f"Scores after window {window}",
        ("Score: probability of being fake (%)", "Share of images (%)"),
        series,
        y_range=(0, highest * 1.05),
        y_ticks=nice_ticks(0, highest),
    )
