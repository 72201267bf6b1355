"""Scores and intervals of an experiment: computed once for the command line and for Python."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from aigenbench.errors import InputError, nearest
from aigenbench.evaluation.metrics.definitions import METRICS
from aigenbench.evaluation.metrics.logged import Logged, logged_metrics, with_logged
from aigenbench.evaluation.metrics.score import score
from aigenbench.evaluation.predictions.changes import config_changes
from aigenbench.evaluation.predictions.experiment import ExperimentPredictions as Loaded
from aigenbench.evaluation.predictions.experiment import load_experiment
from aigenbench.evaluation.statistics.draws import REPLICATES
from aigenbench.evaluation.statistics.seen import seen_and_unseen
from aigenbench.evaluation.statistics.uncertainty import Effort, uncertainty

Column = tuple[float | None, ...]
"""One value a window; None where the period is empty, the value undefined or the window not evaluated."""


@dataclass(frozen=True)
class Headline:
    """The number an experiment is known by (protocol section 5).

    Attributes:
        metric, period: of what it is the mean: AUROC of the Next period, ``immediate_future``.
        mean: over the windows that have a Next period, 0..1; None where none has.
        windows: how many entered.
    """

    metric: str
    period: str
    mean: float | None
    windows: int


@dataclass(frozen=True)
class Scores:
    """The scores of an experiment; all values lie in 0..1 but counts and losses.

    Attributes:
        experiment: its name.
        stage: ``validate`` or ``test``.
        pairing: whether a real counted only where its paired fake's generator counts.
        threshold: a score counted as fake where it is strictly greater.
        headline: the number it is known by.
        standard_headline: where the timeline extends the published one, that of the published windows alone.
        timeline: name and version of a timeline of one's own.
        windows: the generators that each window brings.
        periods: period (``growing``, ``immediate_future``, ``growing_whole``, ``past``, ``all``) -> metric -> one value
            a window.
        generators: likewise for single generators.
        multiclass: metric -> one value a window; None for a binary detector.
        logged: what the run logged of metrics of your own: period -> metric -> one value a window.
        notes: what a reader should know, one line each.
        protocol_fingerprint, pairing_fingerprint: of the evaluation; None where its files do not say.
        off_protocol: why the training is off protocol (protocol section 8); none where it is not.
    """

    experiment: str
    stage: str
    pairing: bool
    threshold: float
    headline: Headline
    windows: tuple[tuple[str, ...], ...]
    periods: Mapping[str, Mapping[str, Column]]
    generators: Mapping[str, Mapping[str, Column]]
    multiclass: Mapping[str, Column] | None
    logged: Mapping[str, Mapping[str, Column]]
    notes: tuple[str, ...]
    protocol_fingerprint: str | None = None
    pairing_fingerprint: str | None = None
    standard_headline: Headline | None = None
    timeline: str | None = None
    off_protocol: tuple[str, ...] = ()
    _values: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def past(self) -> Mapping[str, Column]:
        """Metric -> one value a window, over the generators trained on so far (``growing``)."""
        return self.periods["growing"]

    @property
    def next(self) -> Mapping[str, Column]:
        """Likewise over the generators of the following window (``immediate_future``)."""
        return self.periods["immediate_future"]

    @property
    def whole(self) -> Mapping[str, Column]:
        """Likewise over both (``growing_whole``)."""
        return self.periods["growing_whole"]

    def to_dict(self) -> dict[str, Any]:
        """What ``aigenbench score --json`` prints, without its intervals."""
        return {**self._values, "logged": {p: {m: list(c) for m, c in of.items()} for p, of in self.logged.items()}}

    def to_frame(self) -> Any:
        """A pandas table with a row a value: kind, name, metric, window, value.

        Raises:
            InputError: pandas is not installed.
        """
        rows = [
            {"kind": kind, "name": name, "metric": metric, "window": window, "value": value}
            for kind, groups in (("period", self.periods), ("generator", self.generators), ("logged", self.logged))
            for name, metrics in groups.items()
            for metric, column in metrics.items()
            for window, value in enumerate(column)
        ]
        return frame(rows, ("kind", "name", "metric", "window", "value"))


@dataclass(frozen=True)
class Interval:
    """An interval of 95 %: from ``low`` to ``high``."""

    low: float
    high: float

    @staticmethod
    def of(bounds: Sequence[float] | None) -> Interval | None:
        """As it is written: [low, high], or None where undefined."""
        return None if bounds is None else Interval(float(bounds[0]), float(bounds[1]))


@dataclass(frozen=True)
class Intervals:
    """How certain an experiment's scores are.

    Attributes:
        level: 0.95.
        replicates: bootstrap draws of images; ``other_replicates`` those of metrics other than AUROC.
        headline: of the headline, over images; None where there is none.
        headline_generators: likewise over which generators there are.
        standard_headline, standard_headline_generators: likewise of the standard headline, where there is one.
        periods: period -> metric -> one interval a window, over images; AUROC also as ``auroc_delong``, and over
            generators as ``auroc_generators``.
        means: period -> of the mean AUROC over the windows that have a Next period.
        generators: name -> of its AUROC, one a window.
    """

    level: float
    replicates: int
    other_replicates: int
    headline: Interval | None
    headline_generators: Interval | None
    periods: Mapping[str, Mapping[str, tuple[Interval | None, ...]]]
    means: Mapping[str, Interval | None]
    generators: Mapping[str, tuple[Interval | None, ...]]
    standard_headline: Interval | None = None
    standard_headline_generators: Interval | None = None
    _values: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """What ``aigenbench score --json`` prints as ``intervals``."""
        return dict(self._values)

    def to_frame(self) -> Any:
        """A pandas table with a row an interval: name, metric, window, low, high; undefined ones are left out.

        Raises:
            InputError: pandas is not installed.
        """
        of = [(p, m, column) for p, metrics in self.periods.items() for m, column in metrics.items()]
        of += [(name, "auroc", column) for name, column in self.generators.items()]
        rows = [
            {"name": name, "metric": metric, "window": window, **asdict(interval)}
            for name, metric, column in of
            for window, interval in enumerate(column)
            if interval is not None
        ]
        return frame(rows, ("name", "metric", "window", "low", "high"))


@dataclass(frozen=True)
class Evaluated:
    """An experiment's predictions and what they come to, as plain values.

    Attributes:
        experiment: the predictions.
        values: see ``score``; its notes tell of changes of the configuration too.
        logged: metrics of the user's own.
    """

    experiment: Loaded
    values: dict[str, Any]
    logged: Logged

    @property
    def shown(self) -> dict[str, Any]:
        """The values with the logged metrics among them, for tables and plots."""
        return with_logged(self.values, self.logged)

    def check_metric(self, name: str) -> None:
        """See that there is a metric of this name.

        Raises:
            InputError: there is none.
        """
        known = [*METRICS, *next(iter(self.logged.values()), {})]
        if name not in known:
            raise InputError(f"unknown metric {name!r}; known: {', '.join(known)}{nearest(name, known)}")

    def intervals(self, replicates: int = REPLICATES) -> dict[str, Any]:
        """Every interval; raises as ``uncertainty``."""
        values = self.values
        return uncertainty(self.experiment, values["pairing"], values["threshold"], Effort.of(replicates), values)


def evaluated(
    folder: Path | str,
    stage: str = "validate",
    pairing: bool = True,
    threshold: float = 0.5,
    dataset: str | None = None,
) -> Evaluated:
    """Score an experiment's predictions.

    Args:
        folder: the experiment's.
        stage: ``validate`` or ``test``.
        pairing: whether a real counts only where its paired fake's generator counts.
        threshold: a score counts as fake where it is strictly greater.
        dataset: the data set, to add real origins and image sizes.

    Raises:
        InputError: see ``load_experiment``, or the data set is another one.
    """
    experiment = load_experiment(folder, stage)
    logged = logged_metrics(folder, experiment)
    values = score(experiment, pairing, threshold)
    values["notes"] += config_changes(folder)
    values |= seen_and_unseen(experiment, pairing) | _compute(folder, experiment)
    if dataset is not None:
        from aigenbench.engine.columns import check_belongs, evaluation_table
        from aigenbench.evaluation.statistics.breakdown import class_groups, class_scores

        table = evaluation_table(dataset, stage)
        check_belongs(dataset, table, experiment)
        values |= class_scores(class_groups(experiment, table.columns, threshold))
    return Evaluated(experiment, values, logged)


def _compute(folder: Path | str, experiment: Loaded) -> dict[str, Any]:
    """What learning took in each window and in all, where it was counted."""
    from aigenbench.evaluation.report.compute import cost_of
    from aigenbench.evaluation.report.results import read_run

    records = {k: read_run(folder, k, experiment.stage) for k in experiment.windows}
    of_windows = [cost_of([records[k]]) if k in records else {} for k in range(experiment.n_windows)]
    return {"compute": {"windows": of_windows, "total": cost_of(records.values())}} if any(of_windows) else {}


def as_scores(found: Evaluated) -> Scores:
    """Scores with attributes."""

    def columns(groups: Mapping[str, Mapping[str, Sequence[float | None]]]) -> dict[str, dict[str, Column]]:
        return {name: {metric: tuple(c) for metric, c in metrics.items()} for name, metrics in groups.items()}

    v = found.values
    return Scores(
        experiment=v["experiment"],
        stage=v["stage"],
        pairing=v["pairing"],
        threshold=v["threshold"],
        headline=Headline(**v["headline"]),
        windows=tuple(map(tuple, v["windows"])),
        periods=columns(v["periods"]),
        generators=columns(v["generators"]),
        multiclass=None if v["multiclass"] is None else {m: tuple(c) for m, c in v["multiclass"].items()},
        logged=columns(found.logged),
        notes=tuple(v["notes"]),
        protocol_fingerprint=v["protocol_fingerprint"],
        pairing_fingerprint=v["pairing_fingerprint"],
        standard_headline=Headline(**v["standard"]["headline"]) if "standard" in v else None,
        timeline=v.get("timeline"),
        off_protocol=tuple(v.get("off_protocol", ())),
        _values=v,
    )


def as_intervals(values: Mapping[str, Any]) -> Intervals:
    """Intervals with attributes, of what ``uncertainty`` returns."""
    standard = values.get("standard", {}).get("headline", {})
    return Intervals(
        level=values["level"],
        replicates=values["replicates"],
        other_replicates=values["other_replicates"],
        headline=Interval.of(values["headline"]["images"]),
        headline_generators=Interval.of(values["headline"]["generators"]),
        periods={p: {m: tuple(map(Interval.of, c)) for m, c in of.items()} for p, of in values["periods"].items()},
        means={p: Interval.of(bounds) for p, bounds in values["means"].items()},
        generators={name: tuple(map(Interval.of, column)) for name, column in values["generators"].items()},
        standard_headline=Interval.of(standard.get("images")),
        standard_headline_generators=Interval.of(standard.get("generators")),
        _values=values,
    )


def frame(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> Any:
    """A pandas table.

    Raises:
        InputError: pandas is not installed.
    """
    try:
        pandas: Any = importlib.import_module("pandas")
    except ImportError:
        raise InputError("a table needs pandas: pip install pandas, or use to_dict()") from None
    return pandas.DataFrame(list(rows), columns=list(columns))
