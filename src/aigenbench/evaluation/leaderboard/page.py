"""A static page of verified submissions."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aigenbench import __version__, files
from aigenbench.errors import InputError, printable
from aigenbench.evaluation.drawing.chart import Cell, Table
from aigenbench.evaluation.drawing.table import SHOWN_PERIODS, mean_over_windows, percent
from aigenbench.evaluation.leaderboard.verify import Verification, verify_submission
from aigenbench.evaluation.predictions.experiment import ExperimentPredictions
from aigenbench.evaluation.predictions.record import Predictions
from aigenbench.evaluation.predictions.standing import BENCHMARK, Standing, standing_of
from aigenbench.evaluation.report.pages import environment, resource
from aigenbench.evaluation.statistics.bootstrap import Replicates, bootstrap_auroc, row_means
from aigenbench.evaluation.statistics.draws import REPLICATES, SEED
from aigenbench.evaluation.statistics.generators import headline_interval, resample_generators
from aigenbench.evaluation.statistics.intervals import Bounds, bounds, bounds_of, holm, interval_text, two_sided_p
from aigenbench.evaluation.statistics.shared import shared_images
from aigenbench.protocol.periods import PERIOD_TITLES
from aigenbench.protocol.published import BASELINES, PER_GENERATOR, averaged_windows
from aigenbench.protocol.timeline import PUBLISHED, Timeline

LARGEST_P = 0.05

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Entry:
    """One accepted submission.

    Attributes:
        file: name of its zip file.
        checked: what verification found.
        images: replicates over images, the same draws for all entries.
        generators: replicates over generators.
    """

    file: str
    checked: Verification
    images: Replicates
    generators: Replicates

    @property
    def title(self) -> str:
        """The name on its card, or that of the experiment."""
        return printable(
            str(self.checked.manifest["card"].get("name") or self.checked.manifest["experiment"]), line=True
        )

    @property
    def experiment(self) -> ExperimentPredictions:
        """Its predictions."""
        assert self.checked.experiment is not None, "an accepted entry has predictions"
        return self.checked.experiment

    @property
    def knowledge(self) -> str:
        """What is said of the training of one that no run of the protocol has trained; "" of all others."""
        return printable(self.experiment.first.knowledge or "", line=True)

    @property
    def standing(self) -> Standing:
        """What its results stand on."""
        return standing_of(self.experiment, {0: self.checked.manifest})

    @property
    def headline(self) -> float:
        """Mean Next-period AUROC, recomputed; -1 where there is none."""
        value = self.checked.scores["headline"]["mean"]
        return -1.0 if value is None else float(value)


def build_leaderboard(
    folder: Path | str,
    site: Path | str,
    per_generator: int | None = PER_GENERATOR,
    columns: Sequence[str] | None = None,
    timeline: Timeline = PUBLISHED,
    replicates: int = REPLICATES,
) -> tuple[list[Entry], dict[str, str]]:
    """Verify every ``*.zip`` of a folder and write ``index.html`` and ``leaderboard.json``.

    Returns:
        The accepted entries, best first, those that the protocol has not trained last; and for every rejected file
        the first rule it broke.

    Raises:
        InputError: no such folder, or no zip file in it.
    """
    folder, site = Path(folder), Path(site)
    if not folder.is_dir():
        raise InputError(f"no folder {folder}")
    paths = sorted(folder.glob("*.zip"))
    if not paths:
        raise InputError(f"{folder} holds no submission; expected files such as NAME.zip")
    accepted, rejected = {}, {}
    for path in paths:
        checked = verify_submission(path, per_generator, columns, timeline)
        if reason := checked.rejected_for:
            rejected[printable(path.name, line=True)] = reason
        else:
            accepted[printable(path.name, line=True)] = checked
    rejected |= _set_apart(accepted)
    for name, reason in rejected.items():
        logger.warning("%s is rejected: %s", name, reason)
    entries = [_entry(name, checked, replicates) for name, checked in accepted.items() if name not in rejected]
    entries.sort(key=lambda entry: (entry.experiment.foreign, -entry.headline))
    trained = [entry for entry in entries if not entry.experiment.foreign]
    groups: list[int | None] = [*significance_groups(trained), *[None] * (len(entries) - len(trained))]
    # published results are of the benchmark's images: beside others they would look like a comparison
    published = all(entry.standing.kind == BENCHMARK for entry in entries)
    page = (
        environment()
        .get_template("leaderboard.html")
        .render(
            table=leaderboard_table(trained, groups[: len(trained)], published),
            foreign=foreign_table(entries[len(trained) :]),
            published=published,
            details=[(e.title, e.file, [c for c in e.checked.checks if c.status != "ok"]) for e in entries],
            rejected=rejected,
            standings=list({e.standing.text: e.standing for e in entries}.values()),
            by_row=any(e.experiment.first.image_key is None for e in entries),
            replicates=f"{replicates:,}",
            style=resource("style.css"),
            script=resource("script.js"),
            version=__version__,
        )
    )
    files.write_text(site / "index.html", page)
    files.write_json(site / "leaderboard.json", [_record(e, g) for e, g in zip(entries, groups, strict=True)])
    return entries, rejected


def significance_groups(entries: Sequence[Entry]) -> list[int]:
    """The group of every entry, 1 the best.

    A group is its best entry and those below it whose paired difference from it is not significant at 5 %,
    Holm-corrected for how many are compared with it; the next group begins at the first that is.
    """
    groups: list[int] = []
    start, group = 0, 0
    while start < len(entries):
        group += 1
        rest = entries[start + 1 :]
        adjusted = holm([two_sided_p(_difference(entries[start], other)) for other in rest])
        members = next((i for i, p in enumerate(adjusted) if p <= LARGEST_P), len(rest))
        groups += [group] * (members + 1)
        start += members + 1
    return groups


def _difference(a: Entry, b: Entry) -> NDArray[np.float64]:
    """Replicates of the difference of two headlines, each on the same draws of the images that both hold."""
    first, second = a.experiment, b.experiment
    if _images(first.first) == _images(second.first):
        return a.images.headline - b.images.headline
    shared = shared_images([first, second])
    replicates = [
        bootstrap_auroc(e, len(a.images.headline), SEED, True, ("immediate_future",), units)
        for e, units in zip(shared.experiments, shared.units, strict=True)
    ]
    return replicates[0].headline - replicates[1].headline


def leaderboard_table(entries: Sequence[Entry], groups: Sequence[int | None], published: bool) -> Table:
    """The entries, best first; where ``published``, with the published baselines as reference rows."""
    rows: list[tuple[float, tuple[Cell, ...]]] = []
    for entry, group in zip(entries, groups, strict=True):
        card = entry.checked.manifest["card"]
        cells = [_mean_cell(entry, period) for period in SHOWN_PERIODS]
        generators = interval_text(_over_generators(entry))
        card_cells = [_card_cell(card.get(name)) for name in ("parameters", "training_hours", "licence")]
        names = (Cell(entry.title, strong=True), Cell(str(group), group))
        rows.append((entry.headline, (*names, *cells, Cell(generators or "-"), *card_cells, Cell("verified"))))
    for b in BASELINES if published else ():
        values = [Cell(percent(v), v) for v in (b.past, b.coming, b.whole)]
        blank = [Cell("-")] * 4
        rows.append((b.coming, (Cell(b.name), Cell("-"), *values, *blank, Cell("published"))))
    rows.sort(key=lambda row: -row[0])
    header = (
        "Detector",
        "Group",
        *(PERIOD_TITLES[p] for p in SHOWN_PERIODS),
        "Next, other generators",
        "Parameters",
        "Hours",
        "Licence",
        "Status",
    )
    return Table("leaderboard", "Mean AUROC (%) over the windows", header, tuple(cells for _, cells in rows))


def foreign_table(entries: Sequence[Entry]) -> Table:
    """Detectors that no run of the protocol has trained: no entries, and in no group."""
    rows = tuple(
        (
            Cell(entry.title, strong=True),
            *(_mean_cell(entry, period) for period in SHOWN_PERIODS),
            Cell(entry.knowledge),
            _card_cell(entry.checked.manifest["card"].get("licence")),
        )
        for entry in entries
    )
    header = ("Detector", *(PERIOD_TITLES[p] for p in SHOWN_PERIODS), "Its training", "Licence")
    return Table("foreign", "Not trained by the protocol: mean AUROC (%) over the windows", header, rows)


def _mean_cell(entry: Entry, period: str) -> Cell:
    value = mean_over_windows(entry.checked.scores, period)
    return Cell(percent(value), value, interval_text(_of_mean(entry, period)), strong=period == "immediate_future")


def _of_mean(entry: Entry, period: str) -> Bounds:
    columns = entry.images.periods[period]
    replicates = row_means(columns[:, averaged_windows(columns.shape[1])])
    return bounds_of("auroc", replicates, mean_over_windows(entry.checked.scores, period))


def _over_generators(entry: Entry) -> Bounds:
    return bounds(headline_interval(entry.generators, entry.checked.scores["periods"]["immediate_future"]["auroc"]))


def _card_cell(value: Any) -> Cell:
    if isinstance(value, bool) or value is None:
        return Cell("-")
    if isinstance(value, int | float):
        return Cell(f"{value:,}", float(value))
    return Cell(printable(str(value), line=True))


def _entry(name: str, checked: Verification, replicates: int) -> Entry:
    assert checked.experiment is not None, "an accepted entry has predictions"
    images = bootstrap_auroc(checked.experiment, replicates, SEED, True, SHOWN_PERIODS)
    return Entry(name, checked, images, resample_generators(checked.experiment, replicates))


def _images(p: Predictions) -> bytes:
    """What is evaluated in which order: by key where images have keys, else by row."""
    keys = p.identifier if p.image_key is None else p.image_key
    return keys.tobytes() + p.pairing.tobytes() + p.fused_generator_ids.tobytes()


def _set_apart(accepted: Mapping[str, Verification]) -> dict[str, str]:
    """Those that share no image with most, or do not say which they hold where rows differ."""
    firsts = {name: checked.experiment.first for name, checked in accepted.items() if checked.experiment}
    images = {name: _images(p) for name, p in firsts.items()}
    # the first of those that are equally many
    usual, n = next(iter(Counter(images.values()).most_common(1)), (b"", 0))
    model = next((p for name, p in firsts.items() if images[name] == usual), None)
    others = "evaluated on other images" + (f" than {n} others are" if n > 1 else "")
    return {name: others for name, p in firsts.items() if model is not None and not _comparable(model, p)}


def _comparable(a: Predictions, b: Predictions) -> bool:
    if a.windows_timeline != b.windows_timeline or a.generator_id_to_name != b.generator_id_to_name:
        return False
    if a.image_key is None or b.image_key is None:
        return _images(a) == _images(b)
    return bool(np.isin(a.image_key, b.image_key).any())


def _record(entry: Entry, group: int | None) -> dict[str, Any]:
    manifest = entry.checked.manifest
    return {
        "file": entry.file,
        "name": entry.title,
        "group": group,
        **({"foreign": entry.knowledge} if entry.experiment.foreign else {}),
        "headline": entry.checked.scores["headline"],
        "interval": _of_mean(entry, "immediate_future"),
        "interval_generators": _over_generators(entry),
        "protocol_fingerprint": entry.checked.scores["protocol_fingerprint"],
        "code_revision": manifest.get("code_revision", ""),
        "card": manifest["card"],
    }
