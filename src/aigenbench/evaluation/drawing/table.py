"""Scores as a table to read in a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aigenbench.evaluation.drawing.seen import foreign_lines, starred
from aigenbench.protocol.off_protocol import marked
from aigenbench.protocol.periods import PERIOD_TITLES
from aigenbench.protocol.published import averaged_windows

SHOWN_PERIODS = ("growing", "immediate_future", "growing_whole")
"""The three periods that the benchmark publishes, in its order."""


def percent(value: float | None, digits: int = 2) -> str:
    """``value`` of 0..1 as a percentage without sign, or a dash."""
    return "-" if value is None else f"{100 * value:.{digits}f}"


def pairs(scores: dict[str, Any], period: str, window: int) -> int | None:
    """How many fakes, or reals where they are fewer, a period holds; None where it is empty."""
    columns = scores["periods"][period]
    counts = [columns[name][window] for name in ("n_fake", "n_real")]
    known = [int(n) for n in counts if n is not None]
    return min(known) if len(known) == len(counts) else None


def fewest_pairs(scores: dict[str, Any], period: str) -> int | None:
    """Pairs in the smallest of the windows that a period's mean is over."""
    windows = range(len(scores["windows"]))
    known = [n for k in windows[averaged_windows(len(windows))] if (n := pairs(scores, period, k))]
    return min(known, default=None)


def mean(values: Sequence[float | None]) -> float | None:
    """Mean of the values that are there, or None."""
    known = [v for v in values if v is not None]
    return sum(known) / len(known) if known else None


def mean_over_windows(scores: dict[str, Any], period: str, metric: str = "auroc") -> float | None:
    """A period's mean over the windows that published means are over."""
    values = scores["periods"][period][metric]
    return mean(values[averaged_windows(len(values))])


def score_table(scores: dict[str, Any], metric: str = "auroc") -> str:
    """Past, Next and Whole per window, their means, and the headline.

    Args:
        scores: what `score_experiment` returns.
        metric: the metric shown.
    """
    columns = {period: scores["periods"][period][metric] for period in SHOWN_PERIODS}
    rows = [["Window", *(PERIOD_TITLES[p] for p in SHOWN_PERIODS), "Generators added"]]
    for k, window in enumerate(scores["windows"]):
        rows.append([str(k), *(percent(columns[p][k]) for p in SHOWN_PERIODS), starred(window, scores.get("foreign"))])
    rows.append(["mean", *(percent(mean_over_windows(scores, p, metric)) for p in SHOWN_PERIODS), ""])
    lines = [f"{titled(scores)} · {scores['stage']} · {metric} (%)", "", *_aligned(rows), ""]
    lines += headline_lines(scores)
    lines += [f"note: {note}" for note in scores["notes"]]
    return "\n".join([*lines, *foreign_lines(scores.get("foreign"))])


def titled(scores: dict[str, Any]) -> str:
    """The experiment's name as it stands beside its numbers."""
    return marked(scores["experiment"], scores.get("off_protocol", ()))


def headline_lines(scores: dict[str, Any]) -> list[str]:
    """The headline as a sentence; where the timeline extends the published one, that of the published windows first."""
    own = headline_line(scores["headline"])
    timeline = f"timeline {scores['timeline']}" if "timeline" in scores else ""
    if "standard" not in scores:
        return [f"{timeline}: {own}" if timeline else own]
    standard = headline_line(scores["standard"]["headline"])
    where = f"Standard headline, the published windows{standard_images(scores)}"
    return [f"{where}: {standard}", f"Extended headline, {timeline or 'all windows'}: {own}"]


def standard_images(scores: dict[str, Any]) -> str:
    """What to add to the name of a standard headline that is not of the published windows' own evaluation set."""
    apart = scores["standard"]["protocol_fingerprint"] != scores["protocol_fingerprint"]
    return "" if apart else " within the extended evaluation set"


def headline_line(headline: dict[str, Any]) -> str:
    """The headline as a sentence."""
    if headline["mean"] is None:
        return "No headline: no window has a Next period."
    n = headline["windows"]
    over = f"mean over {n} window{'s' if n > 1 else ''}"
    return f"Next-period AUROC, {over}: {percent(headline['mean'])} %"


def _aligned(rows: list[list[str]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:-1], widths[1:-1], strict=True))]
        lines.append("  ".join([*cells, row[-1]]).rstrip())
    rule = "─" * sum(widths[:-1], 2 * len(widths[:-1]) - 2)
    return [lines[0], rule, *lines[1:-1], rule, lines[-1]]
