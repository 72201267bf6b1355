"""What opens a data set: our loader, and those of users, by ``load_dataset`` and ``get_generators_timeline``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from aigenbench.data.samples.hooks import is_overridden
from aigenbench.data.sources.dataset_dict import source_of
from aigenbench.data.sources.opening import open_source
from aigenbench.data.sources.tables import SplitTables
from aigenbench.errors import InputError
from aigenbench.protocol.timeline import PUBLISHED, Generator, Timeline, make_timeline


class AIGenBenchDatasetLoader:
    """Opens the data set.

    Args:
        dataset_path: a folder saved with Hugging Face ``save_to_disk``, one of Parquet shards, or one with
            ``index.csv``.
        follow_links: read files outside that folder (or ``predict``'s), where paths or links in it lead there.
    """

    follow_links = False

    def __init__(self, dataset_path: str | None = None, follow_links: bool = False) -> None:
        self.dataset_path, self.follow_links = dataset_path, follow_links

    def load(self) -> SplitTables:
        """Open the splits; metadata is read, images are not.

        Raises:
            InputError: there is no data set at the path, or it lacks a file or column.
        """
        return open_source(self.dataset_path, self.follow_links)


def source_of_loader(loader: Any) -> SplitTables:
    """What a loader opens: by ``load_dataset`` where a user wrote it, else by our own reader.

    Raises:
        InputError: see ``source_of`` and ``open_source``.
    """
    if not hasattr(loader, "load") or is_overridden(type(loader), "load_dataset"):
        return source_of(loader.load_dataset(), f"{type(loader).__name__}.load_dataset")
    source: SplitTables = loader.load()
    return source


def timeline_of_loader(loader: Any) -> Timeline | None:
    """The timeline of a loader that has one of its own; None for the benchmark's.

    Raises:
        InputError: it is no mapping from names to dates.
    """
    if not is_overridden(type(loader), "get_generators_timeline"):
        return None
    given = loader.get_generators_timeline()
    where = f"{type(loader).__name__}.get_generators_timeline"
    if not isinstance(given, Mapping) or not given:
        raise InputError(f"{where} must return a mapping from generator names to dates, found {given!r}")
    generators = []
    for name, day in given.items():
        if not isinstance(day, date):
            raise InputError(f"{where}: {name!r} is dated {day!r}; expected a datetime")
        generators.append(Generator(str(name), day.date() if isinstance(day, datetime) else day))
    return make_timeline(generators, (g.name for g in generators if g.name not in PUBLISHED.ids))
