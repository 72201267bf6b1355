"""Figures fit for a page or a paper: matplotlib without a display, one style for all."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aigenbench import files
from aigenbench.errors import InputError, nearest
from aigenbench.evaluation.drawing.chart import Chart, Forest, Series
from aigenbench.evaluation.drawing.table import SHOWN_PERIODS, headline_line, titled
from aigenbench.protocol.periods import PERIOD_TITLES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = ("png", "pdf", "svg")
# told apart with any colour vision and in print: blue, vermilion, grey, and by marker
PERIOD_COLOURS = {"growing": "#1f6fb2", "immediate_future": "#d1502f", "growing_whole": "#7a8491"}
ROLE_COLOURS = PERIOD_COLOURS | {"real": "#3c9a6b", "guide": "#b9c2cb"}
FEW_COLOUR = "#9aa3ad"
RUN_COLOURS = ("#d1502f", "#1f6fb2", "#3c9a6b", "#9a58b5", "#b8860b", "#5b6773")
PERIOD_MARKERS = {"growing": "o", "immediate_future": "s", "growing_whole": "^"}
STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 10,
    "axes.edgecolor": "#9aa3ad",
    "axes.labelcolor": "#333b44",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e3e7eb",
    "grid.linewidth": 0.8,
    "xtick.color": "#4a535c",
    "ytick.color": "#4a535c",
    "legend.frameon": False,
    "legend.fontsize": 9,
    "figure.dpi": 100,
    "savefig.dpi": 200,
    "pdf.fonttype": 42,
    "svg.hashsalt": "aigenbench",
    # names are the user's: a dollar sign in one is no formula
    "text.parse_math": False,
}


@contextmanager
def figure(width: float = 7.2, height: float = 3.8) -> Iterator[tuple[Figure, Axes]]:
    """A figure (inches) with one pair of axes, in the style of all our figures; no screen is needed."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):
        drawn = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(drawn)
        yield drawn, drawn.subplots()


def check_format(path: Path | str) -> str:
    """The format that the ending of ``path`` names.

    Raises:
        InputError: it is not one of ``FORMATS``.
    """
    kind = Path(path).suffix.removeprefix(".").lower()
    if kind not in FORMATS:
        raise InputError(f"{path}: cannot plot to {kind!r}; known: {', '.join(FORMATS)}{nearest(kind, FORMATS)}")
    return kind


def save_figure(drawn: Figure, path: Path | str) -> None:
    """Write a figure; the ending of ``path`` names the format.

    The files hold no date, so the same figure gives the same file.

    Raises:
        InputError: if the format is not one of ``FORMATS``.
    """
    path = Path(path)
    kind = check_format(path)
    metadata = {"png": {"Software": None}, "pdf": {"CreationDate": None}, "svg": {"Date": None}}[kind]
    with files.whole_file(path) as temporary:
        drawn.savefig(temporary, format=kind, metadata=metadata, facecolor="white")


def plot_scores(scores: dict[str, Any], path: Path | str, metric: str = "auroc") -> None:
    """Draw Past, Next and Whole over the windows and write the picture.

    Args:
        scores: what `score_experiment` returns.
        path: ends in one of ``FORMATS``.
        metric: the metric drawn.

    Raises:
        InputError: see `save_figure`.
    """
    with figure() as (drawn, axes):
        for period in SHOWN_PERIODS:
            values = scores["periods"][period][metric]
            known = [(k, 100 * v) for k, v in enumerate(values) if v is not None]
            axes.plot(
                [k for k, _ in known],
                [v for _, v in known],
                color=PERIOD_COLOURS[period],
                marker=PERIOD_MARKERS[period],
                markersize=5,
                linewidth=2,
                label=f"{PERIOD_TITLES[period]} period",
                zorder=3 if period == "immediate_future" else 2,
            )
        dress_windows(axes, scores["windows"])
        axes.set_ylabel(f"{METRIC_TITLES.get(metric, metric)} (%)")
        axes.set_title(f"{titled(scores)}: {headline_line(scores['headline'])}", pad=26, fontsize=10)
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=3, borderaxespad=0.3)
        save_figure(drawn, path)


def draw_chart(chart: Chart | Forest, *paths: Path) -> None:
    """Draw a chart once and write it to each of ``paths``, whose endings name the formats.

    Raises:
        InputError: see `save_figure`.
    """
    if isinstance(chart, Forest):
        _draw_forest(chart, *paths)
        return
    width, height = (3.6, 3.6) if chart.square else (7.2, 3.6)
    with figure(width, height) as (drawn, axes):
        for series in chart.series:
            _draw_series(axes, series, chart.whiskers)
        axes.set(xlim=chart.x_range, ylim=chart.y_range, xlabel=chart.x_label, ylabel=chart.y_label)
        axes.set_xticks(*zip(*chart.x_ticks, strict=True))
        if any("\n" in label for _, label in chart.x_ticks):
            axes.tick_params(axis="x", labelsize=6.5)
        axes.set_yticks(*zip(*chart.y_ticks, strict=True))
        axes.set_title(chart.title, fontsize=9)
        if any(series.name for series in chart.series):
            axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
        elif chart.legend:
            axes.legend(fontsize=8, loc="best")
        for path in paths:
            save_figure(drawn, path)


def _draw_forest(chart: Forest, *paths: Path) -> None:
    with figure(7.2, 1.1 + 0.45 * len(chart.rows)) as (drawn, axes):
        for i, row in enumerate(chart.rows):
            for interval, width in ((row.outer, 1.2), (row.inner, 4.0)):
                if interval:
                    axes.plot([100 * v for v in interval], [i, i], color=RUN_COLOURS[1], linewidth=width)
            axes.plot([100 * row.value], [i], "o", color=RUN_COLOURS[1], markersize=6)
        axes.axvline(0, color="#5b6773", linewidth=1)
        axes.set(xlim=(-100 * chart.reach, 100 * chart.reach), ylim=(len(chart.rows) - 0.5, -0.5))
        axes.set_xlabel(chart.x_label)
        axes.set_yticks(range(len(chart.rows)), [row.label for row in chart.rows])
        axes.set_title(chart.title, fontsize=9)
        for path in paths:
            save_figure(drawn, path)


def _draw_series(axes: Axes, series: Series, whiskers: bool) -> None:
    number = series.role.removeprefix("run")
    colour = RUN_COLOURS[int(number)] if number.isdigit() else ROLE_COLOURS[series.role]
    y = [float("nan") if v is None else v for v in series.y]
    x = list(series.x)
    if series.low:
        low, high = ([float("nan") if v is None else v for v in side] for side in (series.low, series.high))
        if whiskers:
            colours = [FEW_COLOUR if few else colour for few in series.few or [False] * len(x)]
            axes.vlines(x, low, high, colors=colours, linewidth=1.1)
        else:
            axes.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)
    axes.plot(
        x,
        y,
        color=colour,
        linewidth=1.6,
        linestyle="--" if series.dashed else "-",
        marker="o" if series.markers else None,
        markersize=3.5,
        label=None if series.role == "guide" else series.label,
    )
    for at in zip(x, y, strict=True) if series.name else ():
        axes.annotate(series.name, at, (4, 3), textcoords="offset points", fontsize=8)


METRIC_TITLES = {
    "auroc": "AUROC",
    "average_precision": "Average precision",
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
}


def dress_windows(axes: Axes, windows: Sequence[Sequence[str]]) -> None:
    """Label the x axis with the windows and the newest generator that each of them adds."""
    axes.set_xticks(range(len(windows)))
    axes.set_xticklabels(
        [f"{k}\n{_wrapped(window[-1]) if window else ''}" for k, window in enumerate(windows)], fontsize=7.5
    )
    axes.set_xlim(-0.3, len(windows) - 0.7)
    axes.set_xlabel("Trained up to window (and its newest generator)")


def _wrapped(name: str) -> str:
    short = name.replace("Stable Diffusion", "SD").replace("Diffusion GAN", "Diff. GAN")
    return textwrap.fill(short, 11, max_lines=2, placeholder="…")
