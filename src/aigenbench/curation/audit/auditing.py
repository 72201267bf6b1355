"""An audit of a data set, from its folder to what was found."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aigenbench.csv_files import read_csv
from aigenbench.curation.audit.bias import FormatBias, Told, format_bias
from aigenbench.curation.audit.findings import Finding, Foreign, Known, all_findings
from aigenbench.curation.audit.looking import Looks, look_at
from aigenbench.curation.inspection import Progress, no_progress
from aigenbench.curation.reading.places import stamp_of
from aigenbench.data.identity import FILE_ID
from aigenbench.data.mapping import mapper
from aigenbench.data.sources.mark import marks_of
from aigenbench.data.sources.opening import open_images
from aigenbench.data.sources.tables import ImageTable, SplitTables
from aigenbench.data.store.identity import describe_format
from aigenbench.errors import InputError
from aigenbench.files import canonical_json, user_path, write_text
from aigenbench.protocol.published import FAKES, GENERATORS_PER_WINDOW
from aigenbench.protocol.timeline import PUBLISHED, Timeline
from aigenbench.protocol.windows import generator_windows

SHA256_DIGITS, HASH_DIGITS = 64, 16


@dataclass(frozen=True, eq=False)
class Audit:
    """What an audit found.

    Attributes:
        source: the data set.
        counts: by split, then generator ("" for real), how many images.
        origins: by split, then origin of a real, how many.
        bias: what the format alone gives away, by split; None where there are too few images.
        findings: what is wrong, errors first.
        marks: what the data set says of itself, see `marks_of`.
    """

    source: SplitTables
    counts: Mapping[str, Mapping[str, int]]
    origins: Mapping[str, Mapping[str, int]]
    bias: Mapping[str, FormatBias | None]
    findings: tuple[Finding, ...]
    marks: tuple[str, ...] = ()

    @property
    def has_errors(self) -> bool:
        """Whether results on this data mislead."""
        return any(finding.weight == "error" for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "source": str(self.source.path),
            "marks": list(self.marks),
            "counts": {split: dict(of) for split, of in self.counts.items()},
            "published_counts": FAKES,
            "origins": {split: dict(of) for split, of in self.origins.items()},
            "format_bias": {split: _bias(of) for split, of in self.bias.items()},
            "findings": [
                {
                    "kind": one.kind,
                    "weight": one.weight,
                    "text": one.text,
                    "images": [[[split, row] for split, row in group] for group in one.images],
                }
                for one in self.findings
            ],
        }


def audit(
    place: Path | str,
    timeline: Timeline = PUBLISHED,
    foreign: Mapping[str, Foreign] | None = None,
    workers: int = 1,
    progress: Progress = no_progress,
    work: Path | str | None = None,
    follow_links: bool = False,
) -> Audit:
    """Look at every image of a data set once, and say what is wrong with them.

    Args:
        place: a saved data set, Parquet shards, or a folder with ``index.csv``.
        timeline: which generators belong to which window.
        foreign: lists of other training sets, by name; see ``read_foreign``.
        workers: processes.
        progress: called with what is being done, how many images are done, and how many there are.
        work: folder that keeps what was seen until the audit is done: one that was killed goes on where it was.
        follow_links: read files outside the data set's folder too.

    Raises:
        InputError: no data set, or one without images; or ``work`` holds something else.
    """
    source = open_images(place, follow_links)
    with _kept_in(work, source.path) as kept:
        with mapper(workers) as mapped:
            looks = [
                look_at(source.path, split, len(table), mapped, progress, kept, follow_links)
                for split, table in source.splits.items()
            ]
        return _judged(source, looks, timeline, foreign or {}, progress)


def _judged(
    source: SplitTables, looks: Sequence[Looks], timeline: Timeline, foreign: Mapping[str, Foreign], progress: Progress
) -> Audit:
    generators = {split: _generators(table) for split, table in source.splits.items()}
    bias = {of.split: format_bias(of, generators[of.split]) for of in looks}
    known = Known(generators, _windows(source, timeline), {s: _names(table) for s, table in source.splits.items()})
    counts = {split: {name: n for name, n in table.counts.items() if n} for split, table in source.splits.items()}
    found = all_findings(looks, known, bias.get("train") or bias.get("validation"), foreign, progress)
    origins = {split: _origins(table) for split, table in source.splits.items()}
    return Audit(source, counts, origins, bias, tuple(found), marks_of(source.path))


@contextmanager
def _kept_in(work: Path | str | None, source: Path) -> Iterator[Path | None]:
    """The folder for what is seen of a data set, emptied where that was another; removed when all was seen."""
    if work is None:
        yield None
        return
    folder = user_path(work).resolve()
    begun, identity = folder / "begun", _identity(source.resolve(), folder)
    if not begun.exists() and folder.exists() and any(path.name[0] != "." for path in folder.iterdir()):
        raise InputError(f"{folder} holds something else than an audit's work; name another folder")
    if not (begun.exists() and begun.read_text(encoding="utf-8") == identity):
        shutil.rmtree(folder, ignore_errors=True)
        write_text(begun, identity)
    yield folder
    shutil.rmtree(folder)


def _identity(source: Path, besides: Path) -> str:
    """Of a data set's files as they are now, and of what looks at them."""
    digest = hashlib.sha256(canonical_json(describe_format()).encode())
    for path in sorted([source, *source.rglob("*")]):
        if path.is_file() and besides not in path.parents:
            digest.update(repr((os.fsencode(path), stamp_of(path))).encode())
    return digest.hexdigest()


def read_foreign(path: Path | str) -> Foreign:
    """Read a list of another training set's images: CSV with any of the columns ``file_id``, ``sha256``, ``hash``.

    Raises:
        InputError: it has none of them, or a value is none.
    """
    table = read_csv(Path(path), ())
    rows = [row for _, row in table.rows]
    if not rows or not {"file_id", "sha256", "hash"} & set(rows[0]):
        raise InputError(f"{path}: expected a CSV file with a column file_id, sha256 or hash")
    for line, row in table.rows:
        for name, digits in (("sha256", SHA256_DIGITS), ("hash", HASH_DIGITS)):
            text = (row.get(name) or "").strip()
            if text and (len(text) != digits or not set(text.lower()) <= set("0123456789abcdef")):
                raise InputError(f"{path}, line {line}: {name} must have {digits} hex digits, found {text!r}")
    return Foreign(
        frozenset(_values(rows, "file_id")),
        frozenset(text.lower() for text in _values(rows, "sha256")),
        frozenset(int(text, 16) for text in _values(rows, "hash")),
    )


def _values(rows: Sequence[Mapping[str, str]], name: str) -> list[str]:
    return [text for row in rows if (text := (row.get(name) or "").strip())]


def _generators(table: ImageTable) -> list[str]:
    return [table.generator_names[code] for code in table.generator_codes]


def _names(table: ImageTable) -> list[str]:
    return list(map(str, table.columns[FILE_ID])) if FILE_ID in table.columns else [""] * len(table)


def _origins(table: ImageTable) -> dict[str, int]:
    if "origin_dataset" not in table.columns:
        return {}
    return dict(sorted(Counter(map(str, table.columns["origin_dataset"][table.labels == 0])).items()))


def _windows(source: SplitTables, timeline: Timeline) -> dict[str, int]:
    used = timeline.restricted_to(source.generator_names)
    if not used.generators:
        return {}
    windows = generator_windows(used, GENERATORS_PER_WINDOW)
    return {name: k for k, names in enumerate(windows) for name in names}


def _bias(bias: FormatBias | None) -> dict[str, Any] | None:
    if bias is None:
        return None
    generators = {name: _told(told) for name, told in bias.generators.items()}
    return {"overall": _told(bias.overall), "generators": generators}


def _told(told: Told) -> dict[str, Any]:
    return {"auroc": told.auroc, "interval": told.interval, "fakes": told.fakes}
