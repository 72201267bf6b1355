"""What stored views are a function of, as JSON: the data set, the steps, the libraries."""

from __future__ import annotations

import hashlib
import inspect
from functools import lru_cache
from importlib.metadata import version
from typing import Any

import cv2
import numpy as np
import PIL
from PIL import features

from aigenbench.augmentations import SAMPLE_FORMAT
from aigenbench.data.identity import keys_of
from aigenbench.data.pictures.decode import DECODING
from aigenbench.data.samples.transforms import ForeignTransform, unchanged
from aigenbench.data.sources.tables import ImageTable
from aigenbench.data.store.pictures import WithPictures
from aigenbench.errors import InputError

READ_FILES = 64
"""How many image files of a split are read for its digest."""


class NotStorableError(Exception):
    """Views cannot be stored; the message says why."""


@lru_cache(maxsize=8)
def table_identity(table: ImageTable) -> dict[str, Any]:
    """Which images these are: split, number, and a digest that tells data sets apart.

    The digest is taken of every row's label, generator and file size (in Parquet shards, of its name), and of the
    bytes of 64 files evenly spread over the split. An image exchanged for another of the very same number of bytes
    (or name) may go unseen. Where the data set lies and how it is cut into files does not matter.

    Raises:
        InputError: an image file cannot be read.
    """
    if isinstance(table, WithPictures):
        return {**table_identity(table.base), table.pictures.kind: table.pictures.folder.name}
    names = np.array(table.generator_names, dtype=object)
    digest = hashlib.sha256("\n".join(sorted(table.generator_names)).encode())
    digest.update(np.argsort(np.argsort(names)).astype("<i4")[table.generator_codes].tobytes())
    digest.update(table.labels.tobytes())
    sizes = table.store.sizes()
    # of Parquet shards, lengths stand among the images: there, these are known by their names
    known = sizes if len(sizes) else keys_of(table, np.arange(len(table)))
    digest.update(known.astype(known.dtype.newbyteorder("<")).tobytes())
    for row in np.unique(np.linspace(0, len(table) - 1, READ_FILES).astype(np.int64)):
        try:
            digest.update(table.store.read(int(row)))
        except OSError as error:
            raise InputError(f"image {row} of split {table.split!r} cannot be read: {error}") from error
    return {"split": table.split, "rows": len(table), "sha256": digest.hexdigest()}


def describe_libraries() -> dict[str, str]:
    """Versions of what makes pixels."""
    return {
        "numpy": np.__version__,
        "opencv": cv2.__version__,
        "pillow": PIL.__version__,
        "libjpeg": str(features.version("libjpeg_turbo") or features.version("jpg")),
        # its kernel resizes where it is loaded
        "torch": version("torch"),
    }


def describe_step(step: Any, what: str) -> dict[str, Any] | None:
    """Class and description of a step; for classes of users' own also a digest of their source.

    Raises:
        NotStorableError: the step cannot be described, so nothing says when its results are out of date.
    """
    function = step.function if isinstance(step, ForeignTransform) else step
    if step is unchanged:
        return None
    describe = getattr(function, "describe", None)
    if describe is None:
        raise NotStorableError(f"{what} is {_name(function)}, which has no describe()")
    described: dict[str, Any] = {"class": _name(type(function)), "arguments": describe()}
    if not _is_ours(type(function)):
        described["source"] = _source_digest(type(function), what)
        described["libraries"] = _foreign_libraries()
    return described


def describe_format() -> dict[str, Any]:
    """What all views share: our own format of samples, and the libraries."""
    return {"sample_format": SAMPLE_FORMAT, "decoding": DECODING, "libraries": describe_libraries()}


def _name(thing: Any) -> str:
    cls = thing if inspect.isclass(thing) or inspect.isroutine(thing) else type(thing)
    return f"{cls.__module__}.{cls.__qualname__}"


def _is_ours(cls: type) -> bool:
    return cls.__module__.startswith("aigenbench.")


def _source_digest(cls: type, what: str) -> str:
    """Of the class and those it inherits from, ours and Python's own excepted."""
    digest = hashlib.sha256()
    for one in cls.__mro__:
        if _is_ours(one) or one.__module__ in ("builtins", "abc", "typing"):
            continue
        try:
            digest.update(inspect.getsource(one).encode())
        except (OSError, TypeError) as error:
            raise NotStorableError(f"{what} is {_name(one)}, whose source is not at hand") from error
    return digest.hexdigest()[:16]


def _foreign_libraries() -> dict[str, str]:
    import torch
    import torchvision

    return {"torch": torch.__version__, "torchvision": torchvision.__version__}
