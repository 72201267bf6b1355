"""Reconstructions of training reals by an autoencoder, trained on as further fakes: which, where they lie, their rows.

Off protocol: what an autoencoder of elsewhere makes is data beyond the benchmark's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from aigenbench.data.pictures.decode import Pixels
from aigenbench.data.plan import Plan
from aigenbench.data.samples.dataset import read_image
from aigenbench.data.sources.tables import ImageTable
from aigenbench.data.store.identity import describe_format, table_identity
from aigenbench.data.store.pictures import Pictures, WithPictures
from aigenbench.errors import InputError, nearest
from aigenbench.files import file_sha256, user_path
from aigenbench.protocol.fingerprints import fingerprint
from aigenbench.protocol.identity import Keys, image_keys
from aigenbench.protocol.published import MAXIMUM_PROCESSING_SIZE
from aigenbench.protocol.windows import Rows

KEY = "data.reconstruct"
KIND = "reconstructions"
GENERATOR = "reconstruction of a real"
"""What made a reconstruction: no generator of a timeline, so its id is -1."""
_FILES = (".json", ".safetensors", ".bin", ".pth", ".pt")
"""Suffixes of the files of a folder that an autoencoder may be made of."""


@dataclass(frozen=True)
class Reconstruct:
    """What ``data.reconstruct`` asks for.

    Attributes:
        vae: file or folder of the autoencoder.
        share: of each window's own reals, above 0 and up to 1.
        size: a larger real is cut to so many pixels a side, about its middle; None for no limit.
    """

    vae: Path
    share: float = 0.5
    size: int | None = MAXIMUM_PROCESSING_SIZE

    @classmethod
    def of(cls, given: Mapping[str, Any] | None) -> Reconstruct | None:
        """From a config.

        Raises:
            InputError: there is no ``vae``; a key is unknown or a value out of range.
        """
        if not given:
            return None
        known = [field.name for field in fields(cls)]
        for key in given:
            if key not in known:
                raise InputError(f"{KEY}: unknown {key!r}; known: {', '.join(known)}{nearest(str(key), known)}")
        if not isinstance(given.get("vae"), str | Path):
            raise InputError(f"{KEY}: vae must name the file or folder of an autoencoder, found {given.get('vae')!r}")
        found = cls(**{**given, "vae": user_path(given["vae"])})
        if isinstance(found.share, bool) or not isinstance(found.share, int | float) or not 0 < found.share <= 1:
            raise InputError(f"{KEY}: share must be a number above 0 and up to 1, found {found.share!r}")
        if found.size is not None and (type(found.size) is not int or found.size < 1):
            raise InputError(f"{KEY}: size must be a whole number from 1, or null for no limit, found {found.size!r}")
        return found

    @cached_property
    def sha256(self) -> str:
        """Of the autoencoder's files, whatever these are called; raises InputError where there are none."""
        if not self.vae.exists():
            raise InputError(f"{KEY}: no autoencoder {self.vae}; vae names its file or folder")
        if self.vae.is_file():
            return file_sha256(self.vae)
        files = [path for path in sorted(self.vae.iterdir()) if path.suffix in _FILES and path.is_file()]
        return fingerprint([file_sha256(path) for path in files])

    @property
    def reason(self) -> str:
        """Why a run that asks for it is off protocol."""
        return (
            f"{100 * self.share:g} % of the training reals also as fakes, reconstructed by the autoencoder "
            f"{self.vae.name} ({self.sha256[:8]}): data beyond the benchmark's"
        )

    def table(self, table: ImageTable, root: Path) -> WithPictures:
        """A train split with its reconstructions behind it, which lie below ``root``."""
        identity = {**describe_format(), "vae": self.sha256, "size": self.size, "data": table_identity(table)}
        return WithPictures.of(table, Pictures(root, KIND, identity), GENERATOR)

    def keys(self, of_reals: Keys) -> Keys:
        """Which image each row of ``table`` is, given that of the split's rows: uint64 (n,) to (2 n,)."""
        made = image_keys(f"{key} reconstructed by {self.sha256} from {self.size}" for key in of_reals.tolist())
        return np.concatenate([of_reals, made])

    def in_plan(self, plan: Plan, is_real: npt.NDArray[np.bool_], keys: Keys, seed: int) -> Plan:
        """A plan to train, with the reconstructions behind the reals that they are of: off protocol."""
        made = self.made_of(plan.training.own, is_real, keys, seed)
        return replace(plan, training=replace(plan.training, made=made), off_protocol=(self.reason,))

    def made_of(
        self, own: Sequence[Rows], is_real: npt.NDArray[np.bool_], keys: Keys, seed: int
    ) -> npt.NDArray[np.bool_]:
        """Which rows of the split are reconstructed, bool (n,).

        Of each window's own reals those that a seeded order has first, so those of a smaller share are among those of a
        larger one, whatever their rows are in this copy of the data.

        Args:
            own: each window's own rows.
            is_real: of every row of the split, bool (n,).
            keys: as of ``keys``, uint64.
            seed: ``augmentations_base_seed``.

        Raises:
            InputError: a window's share is no image.
        """
        made = np.zeros(len(is_real), dtype=bool)
        for window, rows in enumerate(own):
            reals = rows[is_real[rows]]
            count = round(self.share * len(reals))
            if not count:
                raise InputError(
                    f"{KEY}: share {self.share:g} of the {len(reals)} reals of window {window} is no image"
                )
            order = np.argsort(image_keys(f"{seed} {key}" for key in keys[reals].tolist()), kind="stable")
            made[reals[order[:count]]] = True
        return made


class Reals:
    """Map-style data set from row to (row, picture to reconstruct): uint8 RGB (h, w, 3), cut about its middle.

    Args:
        table: the split.
        size: the most pixels of a side; None for no limit.
    """

    def __init__(self, table: ImageTable, size: int | None) -> None:
        self._table, self._size = table, size

    def __getitem__(self, row: int) -> tuple[int, Pixels]:
        """Raises InputError where the image cannot be read."""
        image = read_image(self._table, row)
        most = max(image.shape) if self._size is None else self._size
        top, left = (max(0, side - most) // 2 for side in image.shape[:2])
        return row, np.ascontiguousarray(image[top : top + most, left : left + most])
