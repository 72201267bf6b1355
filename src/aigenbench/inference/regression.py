"""Two releases of a detector on the same labelled pictures: which verdicts changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from aigenbench.data.pictures.formats import HEAD, format_of
from aigenbench.data.sources.opening import is_dataset, open_source
from aigenbench.data.sources.tables import ImageStore
from aigenbench.errors import InputError
from aigenbench.evaluation.statistics.intervals import Interval, delong_shift
from aigenbench.files import user_path
from aigenbench.inference.detector import Answer, Detector

LABELS = {"real": False, "fake": True, "generated": True}
"""Names of folders, and whether the pictures below them are generated."""


@dataclass(frozen=True)
class Case:
    """A labelled picture.

    Attributes:
        name: its path, or the split and number of its row.
        generated: its label.
        picture: gives its path, or the bytes of its file.
    """

    name: str
    generated: bool
    picture: Callable[[], Path | bytes]


@dataclass(frozen=True)
class Change:
    """A picture with another verdict, or another fate, than before.

    Attributes:
        case: the picture.
        before, after: what the two releases say.
    """

    case: Case
    before: Answer
    after: Answer

    @property
    def better(self) -> bool | None:
        """Whether the change is for the better; None where neither verdict is nearer to the truth."""
        ranks = [_rank(answer, self.case.generated) for answer in (self.before, self.after)]
        return None if ranks[0] == ranks[1] else ranks[1] > ranks[0]

    def to_record(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "name": self.case.name,
            "label": "generated" if self.case.generated else "real",
            "before": _word(self.before),
            "after": _word(self.after),
            "logit_before": self.before.logit,
            "logit_after": self.after.logit,
            "better": self.better,
        }


@dataclass(frozen=True)
class Regression:
    """What two releases say of the same pictures.

    Attributes:
        cases: how many pictures.
        unreadable: how many neither could score.
        changes: those with another verdict, in order of path.
        largest: the largest distance of a logit; None where no picture was scored by both.
        shift: how far AUROC moved from the first to the second; None without both classes.
        interval: DeLong's, 95 %, of that; None with fewer than two pictures of a class.
    """

    cases: int
    unreadable: int
    changes: tuple[Change, ...]
    largest: float | None
    shift: float | None
    interval: Interval | None

    def to_record(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "cases": self.cases,
            "unreadable": self.unreadable,
            "changes": [change.to_record() for change in self.changes],
            "largest_logit_shift": self.largest,
            "auroc_shift": self.shift,
            "auroc_shift_interval": None if self.interval is None else list(self.interval),
        }


def labelled_pictures(folder: Path | str) -> list[Case]:
    """The pictures below folders named ``real``, ``fake`` or ``generated``, in order of path; the nearest name counts.

    Raises:
        InputError: there is no such folder, or no picture in it.
    """
    root = user_path(folder)
    if not root.is_dir():
        raise InputError(f"cases: {root} is no folder; expected one with real/... and fake/... in it")
    found = ((path, _label(path, root)) for path in sorted(root.rglob("*")))
    cases = [Case(str(path), label, partial(Path, path)) for path, label in found if label is not None]
    if not cases:
        raise InputError(f"cases: {root} has no pictures below folders named {', '.join(LABELS)}")
    return cases


def labelled_rows(folder: Path | str, most: int = 2000) -> list[Case]:
    """Pictures of a data set's ``validation``, as they lie there: each class's in even steps, at most ``most`` in all.

    Raises:
        InputError: there is no such data set, or it has no images.
    """
    table = open_source(folder).table("validation")
    if not len(table):
        raise InputError(f"cases: {folder} has no images in validation")
    rows = [np.flatnonzero(table.labels == label) for label in (0, 1)]
    kept = [some[np.unique(np.linspace(0, len(some) - 1, min(len(some), most // 2)).astype(int))] for some in rows]
    return [
        Case(f"validation {row}", bool(table.labels[row]), partial(_bytes, table.store, row))
        for row in np.sort(np.concatenate(kept)).tolist()
    ]


def labelled(place: Path | str) -> list[Case]:
    """Of a data set, ``labelled_rows``; of another folder, ``labelled_pictures``."""
    return labelled_rows(place) if is_dataset(user_path(place)) else labelled_pictures(place)


def regress(before: Detector, after: Detector, cases: Sequence[Case]) -> Regression:
    """Score labelled pictures by two releases, each at its own operating point.

    Args:
        before: the earlier release.
        after: the later one.
        cases: see ``labelled``.
    """
    names = [case.name for case in cases]
    answers = [one.answers((case.picture() for case in cases), names) for one in (before, after)]
    pairs = list(zip(cases, *answers, strict=True))
    changes = tuple(Change(case, a, b) for case, a, b in pairs if _word(a) != _word(b))
    scored = [(a.logit, b.logit, case.generated) for case, a, b in pairs if None not in (a.logit, b.logit)]
    largest = shift = interval = None
    if scored:
        old, new, fakes = (np.array(column) for column in zip(*scored, strict=True))
        largest = float(np.abs(old - new).max())
        moved, bounds = delong_shift(old, new, fakes)
        shift = None if np.isnan(moved) else moved
        interval = None if np.isnan(bounds[0]) else bounds
    unreadable = sum(a.error is not None and b.error is not None for _, a, b in pairs)
    return Regression(len(cases), unreadable, changes, largest, shift, interval)


def _label(path: Path, root: Path) -> bool | None:
    if not path.is_file():
        return None
    names = [part.lower() for part in path.relative_to(root).parts[:-1]]
    found = next((LABELS[name] for name in reversed(names) if name in LABELS), None)
    return found if found is not None and _is_picture(path) else None


def _bytes(store: ImageStore, row: int) -> bytes:
    return bytes(store.read(row))


def _is_picture(path: Path) -> bool:
    with path.open("rb") as file:
        return format_of(file.read(HEAD)) is not None


def _word(answer: Answer) -> str:
    return "error" if answer.verdict is None else answer.verdict.word


def _rank(answer: Answer, generated: bool) -> int:
    """Higher is nearer to the truth."""
    right = "generated" if generated else "real"
    return {right: 2, "unsure": 1, "error": 0}.get(_word(answer), -1)


def lines(found: Regression) -> Iterator[str]:
    """The changes as text, a line each, then what they come to."""
    for change in found.changes:
        record = change.to_record()
        judged = {True: "better", False: "worse", None: ""}[change.better]
        yield f"{record['name']}  {record['label']}: {record['before']} -> {record['after']}  {judged}".rstrip()
    worse = sum(change.better is False for change in found.changes)
    yield f"{found.cases} pictures, {len(found.changes)} verdicts changed, {worse} for the worse"
    if found.largest is not None:
        yield f"logits moved by {found.largest:.2g} at most"
    if found.shift is not None:
        bounds = "" if found.interval is None else f" [{100 * found.interval[0]:+.2f}, {100 * found.interval[1]:+.2f}]"
        yield f"AUROC moved by {100 * found.shift:+.2f}{bounds} points"
