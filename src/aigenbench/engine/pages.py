"""Comparisons and report pages of experiments, as Python calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aigenbench.engine.calling import folder_of
from aigenbench.engine.results import Interval, compared, frame, reported
from aigenbench.errors import InputError
from aigenbench.evaluation.statistics.draws import REPLICATES
from aigenbench.files import user_path

if TYPE_CHECKING:
    from aigenbench.engine.experiment import Experiment


@dataclass(frozen=True)
class Difference:
    """A difference of the headline between two experiments.

    Attributes:
        a: name of the first.
        b: name of the second.
        value: a - b; None where either has no headline.
        interval: of 95 %, over images.
        p: two-sided.
        p_holm: corrected for how many are compared.
    """

    a: str
    b: str
    value: float | None
    interval: Interval | None
    p: float | None
    p_holm: float | None


@dataclass(frozen=True)
class Comparison:
    """Experiments compared on the same images.

    Attributes:
        experiments: their names.
        differences: of the headline, of every two.
        notes: what a reader should know.
    """

    experiments: tuple[str, ...]
    differences: tuple[Difference, ...]
    notes: tuple[str, ...]
    _values: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def __str__(self) -> str:
        from aigenbench.evaluation.statistics.compare import comparison_table

        return comparison_table(dict(self._values))

    def to_dict(self) -> dict[str, Any]:
        """What ``aigenbench compare --json`` prints: periods, windows and models too."""
        return dict(self._values)

    def to_frame(self) -> Any:
        """A pandas table with a row a difference.

        Raises:
            InputError: pandas is not installed.
        """
        rows = [
            {
                "a": d.a,
                "b": d.b,
                "difference": d.value,
                "low": d.interval and d.interval.low,
                "high": d.interval and d.interval.high,
                "p": d.p,
                "p_holm": d.p_holm,
            }
            for d in self.differences
        ]
        return frame(rows, ("a", "b", "difference", "low", "high", "p", "p_holm"))


def compare(
    *experiments: Path | str | Experiment, stage: str = "validate", replicates: int = REPLICATES, by_row: bool = False
) -> Comparison:
    """Compare experiments evaluated on the same images, by one paired bootstrap.

    Args:
        experiments: two or more, or their folders. Those whose configurations differ in the seed alone are one model.
        stage: ``validate`` or ``test``.
        replicates: bootstrap draws.
        by_row: results without ``image_key`` are of one copy of the data, whose images are known by their rows.

    Raises:
        InputError: fewer than two, or no images that both are known to hold.
    """
    found = compared([folder_of(one) for one in experiments], stage, replicates, by_row)
    differences = tuple(
        Difference(
            entry["a"],
            entry["b"],
            entry["headline"]["difference"],
            Interval.of(entry["headline"]["interval"]),
            entry["headline"]["p"],
            entry["headline"]["p_holm"],
        )
        for entry in found["differences"]
    )
    return Comparison(tuple(found["experiments"]), differences, tuple(found["notes"]), found)


def report(
    *experiments: Path | str | Experiment,
    output: Path | str = "report.html",
    stage: str = "validate",
    dataset: Path | str | None = None,
    export: Path | str | None = None,
    replicates: int = REPLICATES,
    seeds: bool = False,
    by_row: bool = False,
) -> Path:
    """Write one self-contained HTML page about experiments.

    Args:
        experiments: one or several, or their folders.
        output: the page.
        stage: ``validate`` or ``test``.
        dataset: the data set, to show mistakes, and errors by origin and image size.
        export: a folder for tables as CSV and LaTeX, and charts as PNG and PDF.
        replicates: bootstrap draws.
        seeds: the experiments differ in their training seed only: add the interval over seeds.
        by_row: as of ``compare``.

    Returns:
        The page.

    Raises:
        InputError: none or no such experiment, or the data set is another one.
    """
    if not experiments:
        raise InputError("report: name an experiment")
    folders: Sequence[Path] = [folder_of(one) for one in experiments]
    path = user_path(output)
    reported(
        folders,
        path,
        stage,
        None if dataset is None else str(dataset),
        None if export is None else user_path(export),
        replicates,
        seeds,
        by_row,
    )
    return path
