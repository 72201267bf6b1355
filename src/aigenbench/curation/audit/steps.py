"""Whether what is done to images depends on their labels: images labelled otherwise must come out the same."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from aigenbench.curation.audit.findings import Finding, Image
from aigenbench.data.pictures.decode import UnreadableImageError, decode
from aigenbench.data.sources.tables import Columns, ImageStore, ImageTable, SplitTables
from aigenbench.errors import InputError

LABEL_DEPENDENT, UNREPEATABLE = "label_dependent_steps", "unrepeatable_steps"
OF_A_CLASS = 24
"""So many images of each class are tried, in each split."""

Rows = npt.NDArray[np.int64]


class Came(NamedTuple):
    """How one image came out, as digests.

    Attributes:
        sample: of the pixels that the pipeline gave.
        batch: of those that the detector's hooks on batches made of it.
    """

    sample: bytes
    batch: bytes


Outcome = Mapping[tuple[str, int, int], Came]
"""By split, row, and which time the image came."""


@dataclass(frozen=True, eq=False)
class Part:
    """Some images of a split, as a store.

    Attributes:
        whole: the split's store.
        rows: which.
    """

    whole: ImageStore
    rows: Rows

    def read(self, row: int) -> Any:
        """The bytes of one of them."""
        return self.whole.read(int(self.rows[row]))

    def name(self, row: int) -> str:
        """Its file's name."""
        return self.whole.name(int(self.rows[row]))

    def sizes(self) -> npt.NDArray[np.int64]:
        """Bytes of every file."""
        return self.whole.sizes()[self.rows]


def tried_images(source: SplitTables, known: Collection[str]) -> SplitTables:
    """A few images of train and validation that decode, as many real as fake, of all generators in turn.

    Args:
        source: the data set.
        known: names of the generators that a run would use.

    Raises:
        InputError: a split has no readable image of one of the classes.
    """
    return SplitTables(source.path, {name: _tried(source.table(name), known) for name in ("train", "validation")})


def _tried(table: ImageTable, known: Collection[str]) -> ImageTable:
    fakes = [
        np.flatnonzero(table.generator_codes == i) for i, name in enumerate(table.generator_names) if name in known
    ]
    # the first of every generator, the second of every one, and so on
    turns = sorted((turn, int(row)) for rows in fakes for turn, row in enumerate(rows))
    of_class = [_readable(table, np.flatnonzero(table.labels == 0)), _readable(table, [row for _, row in turns])]
    n = min(map(len, of_class))
    if not n:
        raise InputError(
            f"split {table.split!r} lacks real images or fakes that can be read; a config is tried on both"
        )
    rows = np.sort(np.concatenate([chosen[:n] for chosen in of_class]))
    names, codes = np.unique(
        np.array(table.generator_names, dtype=object)[table.generator_codes[rows]], return_inverse=True
    )
    columns = Columns({name: partial(_column, table, name, rows) for name in table.columns})
    return ImageTable(
        table.split, table.labels[rows], codes.astype(np.int32), tuple(names), Part(table.store, rows), columns
    )


def _column(table: ImageTable, name: str, rows: Rows) -> npt.NDArray[Any]:
    return table.columns[name][rows]


def _readable(table: ImageTable, rows: npt.ArrayLike) -> Rows:
    """The first of these rows that decode."""
    found: list[int] = []
    for row in np.asarray(rows, dtype=np.int64).tolist():
        try:
            decode(table.store.read(row))
        except (UnreadableImageError, OSError):
            # the audit of the images tells it
            continue
        found.append(row)
        if len(found) == OF_A_CLASS:
            break
    return np.array(found, dtype=np.int64)


def relabelled(tables: SplitTables) -> SplitTables:
    """The same images, every fake as a real and the reals as fakes of the generators in turn."""
    return SplitTables(tables.path, {name: _relabelled(table) for name, table in tables.splits.items()})


def _relabelled(table: ImageTable) -> ImageTable:
    real = table.generator_names.index("")
    codes = np.full(len(table), real, dtype=np.int32)
    is_real = table.labels == 0
    codes[is_real] = np.resize([i for i in range(len(table.generator_names)) if i != real], int(is_real.sum()))
    return replace(table, labels=is_real.astype(np.uint8), generator_codes=codes)


def uneven(tables: SplitTables, own: Outcome, again: Outcome, other: Outcome, makers: tuple[str, str]) -> list[Finding]:
    """A finding for every split some of whose images came out otherwise.

    Args:
        tables: of the images tried.
        own: how they came out under their own labels.
        again: and under these once more.
        other: and under others.
        makers: what the pipeline and the detector are called.
    """
    found = []
    for split in tables.splits:
        keys = [key for key in own if key[0] == split and key in other]
        unlike = [key for key in keys if own[key] != again[key]]
        differing = unlike or [key for key in keys if own[key] != other[key]]
        if not differing:
            continue
        there = again if unlike else other
        of_samples = any(own[key].sample != there[key].sample for key in differing)
        where = f"{makers[0]}'s samples" if of_samples else f"{makers[1]}'s hooks on batches"
        text = f"{len(differing)} of {len(keys)} {split} samples come out otherwise"
        if unlike:
            text += f" each time ({where}): whether that depends on their label cannot be said"
            found.append(Finding(UNREPEATABLE, "warning", text, _images(tables, differing)))
        else:
            text += (
                f" where their label is another ({where}): a detector can learn what is done to a class instead of the "
                "picture"
            )
            found.append(Finding(LABEL_DEPENDENT, "error", text, _images(tables, differing)))
    return found


def _images(tables: SplitTables, keys: list[tuple[str, int, int]]) -> tuple[tuple[Image, ...], ...]:
    """The images of the whole data set that these are, each once."""
    found = set()
    for split, row, _ in keys:
        part = tables.splits[split].store
        assert isinstance(part, Part)
        found.add(((split, int(part.rows[row])),))
    return tuple(sorted(found))
