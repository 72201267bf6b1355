"""What an audit notes of every image: one look at each, by several processes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from aigenbench.archives import read_npz
from aigenbench.curation.inspection import Progress
from aigenbench.data.mapping import Mapped
from aigenbench.data.pictures.decode import UnreadableImageError, decode
from aigenbench.data.pictures.facts import NO_JPEG, picture_facts
from aigenbench.data.pictures.hashing import LEAST_CONTRAST, SIDE, Hashes, perceptual_hash, small_grey
from aigenbench.data.sources.opening import open_images
from aigenbench.data.sources.tables import ImageTable, SplitTables
from aigenbench.files import whole_file

DIGEST = 32
_CHUNK = 64
_PART = 4096
"""So many looks are kept in one file."""


class Look(NamedTuple):
    """What one image is.

    Attributes:
        sha256: of its bytes.
        size: bytes.
        height: pixels as shown, orientation applied.
        width: likewise.
        form: name of the format, by content; ``""`` where unknown.
        table: mean of the JPEG luminance quantisation table, `NO_JPEG` for others.
        subsampling: 0 for 4:4:4, 1 for 4:2:2, 2 for 4:2:0, -1 for others and what is no JPEG.
        exif: whether there is an EXIF record.
        fault: why it cannot be decoded, or ``""``.
        hash: perceptual hash.
        contrast: standard deviation of the small grey picture, in levels.
        small: that picture's bytes.
    """

    sha256: bytes = b"\0" * DIGEST
    size: int = 0
    height: int = 0
    width: int = 0
    form: str = ""
    table: float = NO_JPEG
    subsampling: int = -1
    exif: bool = False
    fault: str = ""
    hash: int = 0
    contrast: float = 0.0
    small: bytes = b"\0" * SIDE * SIDE


_KINDS: dict[str, str | int] = {
    "sha256": DIGEST,
    **dict.fromkeys(("size", "height", "width", "subsampling"), "i8"),
    **dict.fromkeys(("table", "contrast"), "f8"),
    **dict.fromkeys(("form", "fault"), "U"),
    "exif": "?",
    "hash": "u8",
    "small": SIDE * SIDE,
}
"""NumPy's types of the fields; of those that are bytes, how many."""


@dataclass(frozen=True, eq=False)
class Looks:
    """What all images of one split are, a row an image.

    Attributes:
        split: its name.
        sha256: 32 bytes each, (n,).
        size, height, width: int64 (n,).
        form: names of formats, (n,).
        table, contrast: float64 (n,).
        subsampling: int64 (n,).
        exif: bool (n,).
        faults: by row.
        hashes: uint64 (n,).
        small: uint8 (n, ``SIDE``, ``SIDE``).
    """

    split: str
    sha256: npt.NDArray[np.bytes_]
    size: npt.NDArray[np.int64]
    height: npt.NDArray[np.int64]
    width: npt.NDArray[np.int64]
    form: npt.NDArray[np.str_]
    table: npt.NDArray[np.float64]
    contrast: npt.NDArray[np.float64]
    subsampling: npt.NDArray[np.int64]
    exif: npt.NDArray[np.bool_]
    faults: dict[int, str]
    hashes: Hashes
    small: npt.NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.size)

    @property
    def readable(self) -> npt.NDArray[np.bool_]:
        """Which images decode, bool (n,)."""
        mask = np.ones(len(self), dtype=bool)
        mask[list(self.faults)] = False
        return mask

    @property
    def telling(self) -> npt.NDArray[np.bool_]:
        """Which images show something by which they could be told from others, bool (n,)."""
        return self.readable & (self.contrast >= LEAST_CONTRAST)


def look_at(
    source: Path,
    split: str,
    n: int,
    mapped: Mapped,
    progress: Progress,
    work: Path | None,
    follow_links: bool,
) -> Looks:
    """Look at all ``n`` images of a split, with the processes behind ``mapped``.

    With a folder ``work``, what is found is kept there in parts; a part that is there is not looked at again.
    """
    # what an earlier call has opened may have changed since
    _opened.cache_clear()
    parts = [_columns([])]
    for start in range(0, n, _PART):
        rows = range(start, min(start + _PART, n))
        kept = work and work / f"{split}-{start}.npz"
        if kept and kept.exists():
            parts.append(read_npz(kept, _KINDS))
        else:
            place = str(source), follow_links, split
            parts.append(_looked(place, rows, mapped, lambda done: progress(f"looking at {split}", done, n)))
            if kept:
                with whole_file(kept) as temporary:
                    np.savez(temporary, **parts[-1])  # type: ignore[arg-type]
        progress(f"looking at {split}", rows.stop, n)
    of = {name: np.concatenate([part[name] for part in parts]) for name in _KINDS}
    faults = {row: str(fault) for row, fault in enumerate(of.pop("fault")) if fault}
    sha256, hashes = of.pop("sha256").view(f"S{DIGEST}")[:, 0], of.pop("hash")
    small = of.pop("small").reshape(-1, SIDE, SIDE)
    return Looks(split=split, sha256=sha256, faults=faults, hashes=hashes, small=small, **of)


def _looked(
    place: tuple[str, bool, str], rows: range, mapped: Mapped, progress: Callable[[int], None]
) -> dict[str, npt.NDArray[Any]]:
    """Looks at these rows by field."""
    looks: list[Look] = []
    for found in mapped(_look_at_rows, [(*place, rows[at : at + _CHUNK]) for at in range(0, len(rows), _CHUNK)]):
        looks += found
        progress(rows.start + len(looks))
    return _columns(looks)


def _columns(looks: Sequence[Look]) -> dict[str, npt.NDArray[Any]]:
    columns = {}
    for name, kind in _KINDS.items():
        values = [getattr(one, name) for one in looks]
        columns[name] = _bytes(values, kind) if isinstance(kind, int) else np.array(values, dtype=kind)
    return columns


def _bytes(values: Sequence[bytes], length: int) -> npt.NDArray[np.uint8]:
    return np.frombuffer(b"".join(values), dtype=np.uint8).reshape(-1, length)


@lru_cache(maxsize=1)
def _opened(place: str, follow_links: bool) -> SplitTables:
    return open_images(place, follow_links)


def _look_at_rows(task: tuple[str, bool, str, Sequence[int]]) -> list[Look]:
    place, follow_links, split, rows = task
    table = _opened(place, follow_links).table(split)
    return [_look_at_row(table, row) for row in rows]


def _look_at_row(table: ImageTable, row: int) -> Look:
    try:
        data = table.store.read(row)
    except OSError as error:
        return Look(fault=" ".join(str(error).split()))
    return look(data)


def look(data: bytes) -> Look:
    """Look at one image file."""
    view = memoryview(data)
    digest = hashlib.sha256(view).digest()
    try:
        pixels, facts = decode(view), picture_facts(view)
    except UnreadableImageError as error:
        return Look(digest, len(view), fault=str(error))
    small = small_grey(pixels)
    height, width, _ = pixels.shape
    return Look(
        digest,
        len(view),
        height,
        width,
        facts.form,
        facts.table,
        facts.subsampling,
        facts.exif,
        "",
        perceptual_hash(small),
        float(small.std()),
        small.tobytes(),
    )
