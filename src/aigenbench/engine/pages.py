"""Comparisons and report pages of experiments: computed once for the command line and for Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aigenbench.engine.calling import folder_of
from aigenbench.engine.results import Interval, frame
from aigenbench.errors import InputError
from aigenbench.evaluation.predictions.changes import config_changes
from aigenbench.evaluation.predictions.experiment import ExperimentPredictions, load_experiment
from aigenbench.evaluation.statistics.draws import REPLICATES
from aigenbench.evaluation.statistics.uncertainty import Effort
from aigenbench.files import user_path

if TYPE_CHECKING:
    from aigenbench.engine.experiment import Experiment
    from aigenbench.evaluation.statistics.compare import Model


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


def compared(folders: Sequence[Path | str], stage: str, replicates: int, by_row: bool) -> dict[str, Any]:
    """``compare`` of experiments' folders, as plain values; names of those off protocol carry that mark.

    Raises:
        InputError: see ``load_experiment`` and ``compare``.
    """
    from aigenbench.evaluation.statistics.compare import compare as compare_experiments

    experiments = [replace(one, name=one.title) for one in (load_experiment(folder, stage) for folder in folders)]
    models = models_among(folders, experiments)
    gathered = models if len(models) < len(experiments) else ()
    result = compare_experiments(experiments, replicates, models=gathered, by_row=by_row)
    for folder, experiment in zip(folders, experiments, strict=True):
        result["notes"] += [f"{experiment.name}: {change}" for change in config_changes(folder)]
    return result


def models_among(folders: Sequence[Path | str], experiments: Sequence[ExperimentPredictions]) -> tuple[Model, ...]:
    """Experiments sorted into models: those whose configurations differ in the seed alone are one."""
    from aigenbench.evaluation.report.results import read_config
    from aigenbench.evaluation.report.seeds import models_of, seeds_of

    configs = [read_config(folder, e) for folder, e in zip(folders, experiments, strict=True)]
    groups = seeds_of(configs, [e.first.data_fingerprint or e.first.pairing_fingerprint for e in experiments])
    return models_of([e.name for e in experiments], groups)


def reported(
    folders: Sequence[Path | str],
    output: Path,
    stage: str,
    dataset: str | None,
    export_to: Path | None,
    replicates: int,
    seeds: bool,
    by_row: bool,
) -> int:
    """``report`` of experiments' folders; returns how many files were exported beside the page.

    Raises:
        InputError: see ``load_experiment``; one is named twice; or the data set is another one.
    """
    if seeds and len(folders) < 2:
        raise InputError("--seeds needs two experiments or more: one training says nothing of another seed")
    if len({Path(e).resolve() for e in folders}) < len(folders):
        raise InputError("an experiment is named twice; name each once")
    from aigenbench.engine.columns import check_belongs, evaluation_table, thumbnails
    from aigenbench.evaluation.report.page import write_report
    from aigenbench.evaluation.report.results import load_run
    from aigenbench.evaluation.report.together import put_together
    from aigenbench.evaluation.report.view import make_view

    table = evaluation_table(dataset, stage) if dataset else None
    thumbnail = thumbnails(str(dataset), table) if table else None
    # what is wrong with any of them is told before minutes are spent on the first
    for experiment in [load_experiment(folder, stage) for folder in folders]:
        if table:
            check_belongs(str(dataset), table, experiment)
    runs = [load_run(folder, stage, Effort.of(replicates)) for folder in folders]
    views = [make_view(loaded, i, thumbnail, table.columns if table else {}) for i, loaded in enumerate(runs)]
    together = put_together(views, seeds, by_row)
    write_report(output, views, together)
    if export_to is None:
        return 0
    from aigenbench.evaluation.report.export import export

    return len(export(export_to, views, together))
