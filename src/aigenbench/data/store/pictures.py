"""Pictures computed once: a PNG file for every row of a split, in folders of a thousand."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from aigenbench.data.pictures.decode import Pixels, UnreadableImageError, decode
from aigenbench.data.sources.tables import ImageStore, ImageTable
from aigenbench.errors import InputError
from aigenbench.files import read_json, read_regular, user_path, whole_file, write_json
from aigenbench.protocol.fingerprints import fingerprint

logger = logging.getLogger(__name__)

IDENTITY_FILE = "pictures.json"
FORMAT = 1
A_FOLDER = 1000
BYTES_A_PIXEL = 2
"""About what a PNG of a photograph takes."""
_FAST = [cv2.IMWRITE_PNG_COMPRESSION, 1]

Rows = npt.NDArray[np.int64]


class Pictures:
    """Pictures of any size under row numbers, in the folder ``<root>/<kind>_<fingerprint of the identity>``.

    Any number of processes may write at once: a file appears whole, and whoever computes it makes the same.

    Args:
        root: where stores lie.
        kind: what is stored.
        identity: everything the pictures are a function of, beside their rows; plain JSON values.
    """

    def __init__(self, root: Path, kind: str, identity: Mapping[str, Any]) -> None:
        self.identity: dict[str, Any] = {"format": FORMAT, "identity": dict(identity)}
        self.kind, self.folder = kind, user_path(root) / f"{kind}_{fingerprint(self.identity)}"

    def path(self, row: int) -> Path:
        """The file of a row."""
        return self.folder / str(row // A_FOLDER) / f"{row}.png"

    def open(self) -> Rows:
        """The rows that are stored, rising."""
        return np.array(sorted(int(path.stem) for path in self.folder.glob("*/[0-9]*.png")), dtype=np.int64)

    def write(self, row: int, picture: Pixels) -> None:
        """Store a picture, uint8 RGB (h, w, 3), without loss."""
        if not (self.folder / IDENTITY_FILE).is_file():
            write_json(self.folder / IDENTITY_FILE, self.identity)
        _, encoded = cv2.imencode(".png", picture[..., ::-1], _FAST)
        with whole_file(self.path(row)) as temporary:
            temporary.write_bytes(encoded.tobytes())

    def check_room(self, pixels: float) -> None:
        """Tell how much disk pictures of so many pixels take together.

        Raises:
            InputError: there is less.
        """
        needed = BYTES_A_PIXEL * pixels
        place = next(p for p in (self.folder, *self.folder.absolute().parents) if p.is_dir())
        free = shutil.disk_usage(place).free
        told = f"{self.folder} takes about {needed / 1e9:.3g} GB more; {free / 1e9:.3g} GB are free"
        if free < needed:
            raise InputError(f"{told}: make room, choose another data.cache_folder, or fewer or smaller pictures")
        logger.info("%s", told)

    def verify(self, remove: bool = False) -> dict[Path, str]:
        """Decode every picture; returns what is wrong, by file, and removes those files where asked."""
        damaged = {}
        for path in map(self.path, self.open().tolist()):
            try:
                decode(read_regular(path))
            except (UnreadableImageError, OSError) as error:
                damaged[path] = str(error)
                if remove:
                    path.unlink(missing_ok=True)
        return damaged


def pictures_in(root: Path) -> list[Pictures]:
    """The stores of pictures below a folder, by name.

    Raises:
        InputError: an identity file is damaged or tells of other pictures than its folder's name.
    """
    return [_pictures_at(path) for path in sorted(root.glob(f"*/{IDENTITY_FILE}"))]


def _pictures_at(path: Path) -> Pictures:
    identity = read_json(path).get("identity")
    found = Pictures(path.parent.parent, path.parent.name.rpartition("_")[0], identity or {})
    if found.folder != path.parent:
        raise InputError(f"{path} tells of other pictures than the folder's name says; remove the folder")
    return found


class _Both:
    """The files of a split's n rows, and after them the pictures made of each."""

    def __init__(self, base: ImageStore, n: int, pictures: Pictures) -> None:
        self._base, self._n, self._pictures = base, n, pictures

    def read(self, row: int) -> Any:
        return self._base.read(row) if row < self._n else read_regular(self._pictures.path(row - self._n))

    def name(self, row: int) -> str:
        return self._base.name(row) if row < self._n else str(self._pictures.path(row - self._n))

    def sizes(self) -> npt.NDArray[np.int64]:
        return np.empty(0, dtype=np.int64)

    def page_bytes(self) -> int:
        return int(getattr(self._base, "page_bytes", int)())


@dataclass(frozen=True, eq=False)
class WithPictures(ImageTable):
    """A split with a fake made of each of its images: row ``n + r`` of ``2 n`` is made of row ``r``.

    Only those that the pictures hold can be read.

    Attributes:
        base: the split, n rows.
        pictures: what was made.
    """

    base: ImageTable
    pictures: Pictures

    @classmethod
    def of(cls, base: ImageTable, pictures: Pictures, generator: str) -> WithPictures:
        """The split ``base`` and the pictures; ``generator`` is the name of what made these."""
        n = len(base)
        return cls(
            base.split,
            np.concatenate([base.labels, np.ones(n, dtype=base.labels.dtype)]),
            np.concatenate([base.generator_codes, np.full(n, len(base.generator_names), base.generator_codes.dtype)]),
            (*base.generator_names, generator),
            _Both(base.store, n, pictures),
            base.columns,
            base,
            pictures,
        )

    def check(self, rows: Rows) -> None:
        """Refuse rows whose pictures are not stored.

        Raises:
            InputError: some are not.
        """
        made = rows[rows >= len(self.base)] - len(self.base)
        if missing := len(np.setdiff1d(made, self.pictures.open())):
            raise InputError(
                f"{missing} of {len(made)} {self.pictures.kind} are not in {self.pictures.folder}: 'aigenbench fit' "
                "makes them before it trains, and 'aigenbench data cache build' with the same arguments"
            )
