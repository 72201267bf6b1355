"""The original framework's data set loader, as its users write their own."""

from __future__ import annotations

import warnings
from abc import ABC
from datetime import datetime
from typing import Any

from aigenbench.data import pipeline as ours
from aigenbench.errors import InputError
from aigenbench.protocol.timeline import PUBLISHED


class DatasetLoader(ABC):  # noqa: B024 - a protocol that the config's parser can ask about
    """Any class with ``load_dataset()``, or with ours' ``load()``."""

    @classmethod
    def __subclasshook__(cls, other: type) -> Any:
        if cls is not DatasetLoader:
            return NotImplemented
        return any(hasattr(other, name) for name in ("load_dataset", "load"))


class AIGenBenchDatasetLoader(ours.AIGenBenchDatasetLoader):
    """Opens the data set; ``load_dataset`` and ``get_generators_timeline`` may be overridden.

    Args:
        dataset_path: a folder saved with Hugging Face ``save_to_disk``, or one with ``index.csv``.
    """

    def load_dataset(self) -> Any:
        """The data set as a ``DatasetDict``; ``image`` holds the encoded files.

        Raises:
            InputError: it is no saved data set.
        """
        return saved_dataset(str(self.dataset_path))

    def get_generators_timeline(self) -> dict[str, datetime]:
        """Release dates of the generators, by name."""
        return {g.name: datetime(g.released.year, g.released.month, g.released.day) for g in PUBLISHED.generators}


def saved_dataset(path: str) -> Any:
    """A saved ``DatasetDict``, one with images of type ``LargeImage`` too."""
    import datasets

    # registered under the name that such a data set writes down
    if "LargeImage" not in datasets.features.features._FEATURE_TYPES:
        large = type("LargeImage", (datasets.Image,), {"__doc__": "An image whose bytes are large_binary."})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            datasets.features.features.register_feature(large, "LargeImage")
    try:
        return datasets.load_from_disk(path)
    except (FileNotFoundError, ValueError, TypeError) as error:
        raise InputError(f"load_dataset: {path} cannot be opened: {' '.join(str(error).split())}") from error
