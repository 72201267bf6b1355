"""What an audit notes of every image: one look at each, by several processes."""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, JpegImagePlugin

from aigenbench.data.mapping import Mapped
from aigenbench.data.pictures.decode import UnreadableImageError, decode
from aigenbench.data.pictures.formats import HEAD, format_of, load_plugin
from aigenbench.data.pictures.hashing import LEAST_CONTRAST, SIDE, Hashes, perceptual_hash, small_grey
from aigenbench.data.sources.opening import open_source

_CHUNK = 64
NOT_JPEG = -1.0


class Look(NamedTuple):
    """What one image is.

    Attributes:
        sha256: of its bytes.
        size: bytes.
        height: pixels as shown, orientation applied.
        width: likewise.
        form: name of the format, by content; ``""`` where unknown.
        table: mean of the JPEG luminance quantisation table, `NOT_JPEG` for others.
        subsampling: 0 for 4:4:4, 1 for 4:2:2, 2 for 4:2:0, -1 for others and what is no JPEG.
        exif: whether there is an EXIF record.
        fault: why it cannot be decoded, or ``""``.
        hash: perceptual hash.
        contrast: standard deviation of the small grey picture, in levels.
        small: that picture's bytes.
    """

    sha256: bytes = b"\0" * 32
    size: int = 0
    height: int = 0
    width: int = 0
    form: str = ""
    table: float = NOT_JPEG
    subsampling: int = -1
    exif: bool = False
    fault: str = ""
    hash: int = 0
    contrast: float = 0.0
    small: bytes = b"\0" * SIDE * SIDE


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


def look_at(source: Path, split: str, n: int, mapped: Mapped, progress: Callable[[str, int, int], None]) -> Looks:
    """Look at all ``n`` images of a split, with the processes behind ``mapped``."""
    chunks = [(str(source), split, range(at, min(at + _CHUNK, n))) for at in range(0, n, _CHUNK)]
    looks: list[Look] = []
    for found in mapped(_look_at_rows, chunks):
        looks += found
        progress(f"looking at {split}", len(looks), n)
    columns = list(zip(*looks, strict=True)) if looks else [()] * len(Look._fields)
    of = dict(zip(Look._fields, columns, strict=True))
    return Looks(
        split,
        np.array(of["sha256"], dtype="S32"),
        np.array(of["size"], dtype=np.int64),
        np.array(of["height"], dtype=np.int64),
        np.array(of["width"], dtype=np.int64),
        np.array(of["form"], dtype=np.str_),
        np.array(of["table"], dtype=np.float64),
        np.array(of["contrast"], dtype=np.float64),
        np.array(of["subsampling"], dtype=np.int64),
        np.array(of["exif"], dtype=bool),
        {row: fault for row, fault in enumerate(of["fault"]) if fault},
        np.array(of["hash"], dtype=np.uint64),
        np.frombuffer(b"".join(of["small"]), dtype=np.uint8).reshape(-1, SIDE, SIDE),
    )


_opened: dict[str, object] = {}


def _look_at_rows(task: tuple[str, str, Sequence[int]]) -> list[Look]:
    place, split, rows = task
    if place not in _opened:
        _opened.clear()
        _opened[place] = open_source(place)
    table = _opened[place].table(split)  # type: ignore[attr-defined]
    return [look(table.store.read(row)) for row in rows]


def look(data: bytes) -> Look:
    """Look at one image file."""
    view = memoryview(data)
    digest = hashlib.sha256(view).digest()
    try:
        pixels = decode(view)
    except UnreadableImageError as error:
        return Look(digest, len(view), fault=str(error))
    form, table, subsampling, exif = _container(bytes(view))
    small = small_grey(pixels)
    height, width, _ = pixels.shape
    return Look(
        digest,
        len(view),
        height,
        width,
        form,
        table,
        subsampling,
        exif,
        "",
        perceptual_hash(small),
        float(small.std()),
        small.tobytes(),
    )


def _container(data: bytes) -> tuple[str, float, int, bool]:
    """Format, mean quantisation, subsampling and presence of EXIF, of a picture that decodes."""
    picture = format_of(data[:HEAD])
    assert picture is not None, "it was decoded"
    # of odd metadata, which changes nothing, Pillow would warn in many lines
    with (
        warnings.catch_warnings(action="ignore"),
        Image.open(io.BytesIO(data), formats=[load_plugin(picture)]) as image,
    ):
        exif = bool(image.info.get("exif"))
        if not isinstance(image, JpegImagePlugin.JpegImageFile):
            return picture.name, NOT_JPEG, -1, exif
        tables = image.quantization
        mean = float(np.mean(tables[min(tables)])) if tables else NOT_JPEG
        return picture.name, mean, int(JpegImagePlugin.get_sampling(image)), exif
