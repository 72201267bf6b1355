"""The folder layout of a data set saved by Hugging Face ``datasets``, written with pyarrow alone."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aigenbench.data.demo.rows import make_rows, plan_extension, plan_split
from aigenbench.data.mapping import mapper
from aigenbench.data.sources.mark import SYNTHETIC_MARK
from aigenbench.data.sources.saved_layout import data_file, data_file_name, features_of, write_split_info
from aigenbench.errors import InputError
from aigenbench.files import canonical_json, fsync_folder, user_path, write_json
from aigenbench.protocol.timeline import PUBLISHED, load_timeline

_CHUNK = 32


def make_demo_data(
    out: str | Path,
    generators: int = 36,
    train: int = 16,
    validation: int = 16,
    seed: int = 0,
    processes: int = 1,
    progress: Callable[[int, int], None] | None = None,
    timeline: str | Path | None = None,
) -> None:
    """Write a synthetic data set in the benchmark's schema (protocol section 1), whole or not at all.

    Args:
        out: folder to make; it may exist if it is empty.
        generators: how many of the published timeline, the earliest first (1..36).
        train: fakes of every generator in the train split; there are as many reals as fakes.
        validation: likewise in the validation split.
        seed: equal seeds give equal bytes with equal library versions, whatever ``processes`` is.
        processes: worker processes; with 1 all is done in this one.
        progress: called with (pictures made, pictures in all).
        timeline: a file of further generators and their dates; stand-ins for these, and as many reals, come after all
            other rows, which stay as they are.

    Raises:
        InputError: a number is out of range, or ``out`` exists and is not an empty folder or cannot be made.
    """
    out = user_path(out)
    _check(out, generators, train, validation, seed, processes)
    names = _further(timeline)
    plan = {}
    for split, each in (("train", train), ("validation", validation)):
        rows = plan_split(split, generators, each, seed)
        plan[split] = rows + plan_extension(split, names, len(rows), each, seed)
    total = sum(map(len, plan.values()))
    made = 0
    with _whole_folder(out) as folder, mapper(processes) as mapped:
        write_json(folder / "dataset_dict.json", {"splits": list(plan)})
        for split, rows in plan.items():
            chunks = [rows[i : i + _CHUNK] for i in range(0, len(rows), _CHUNK)]
            with _split_writer(folder / split, split, canonical_json([generators, len(rows), seed, *names])) as write:
                for columns in mapped(make_rows, chunks, [seed] * len(chunks)):
                    write(columns)
                    made += len(columns)
                    if progress:
                        progress(made, total)


def _further(path: str | Path | None) -> tuple[str, ...]:
    """The generators that a timeline adds to the published ones, by date."""
    timeline = load_timeline(path)
    if not timeline.ids.keys() >= PUBLISHED.ids.keys():
        raise InputError(f"demo data: {path} replaces the published timeline; expected one that extends it")
    return tuple(name for name in timeline.names if name in timeline.extensions)


def _check(out: Path, generators: int, train: int, validation: int, seed: int, processes: int) -> None:
    known = len(PUBLISHED.names)
    if not 1 <= generators <= known:
        raise InputError(f"demo data: expected 1 to {known} generators, found {generators}")
    for name, number in (("train", train), ("validation", validation), ("processes", processes)):
        if number < 1:
            raise InputError(f"demo data: expected {name} to be at least 1, found {number}")
    if not 0 <= seed < 2**63:
        raise InputError(f"demo data: expected a seed of 0 or more that fits 63 bits, found {seed}")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"demo data: {out} exists and is not an empty folder; name another or remove it")


@contextmanager
def _whole_folder(out: Path) -> Iterator[Path]:
    temporary = out.with_name(f".{out.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        temporary.mkdir(parents=True)
    except OSError as error:
        raise InputError(f"demo data: cannot make {out}: {error.strerror}; name another folder") from error
    try:
        yield temporary
        temporary.rename(out)
        fsync_folder(out.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def _split_writer(folder: Path, split: str, identity: str) -> Iterator[Callable[[list[dict[str, Any]]], None]]:
    folder.mkdir()
    name, features = data_file_name(0, of=1), features_of()
    with data_file(folder / name, features) as write:
        yield write
    write_split_info(folder, split, [name], identity, SYNTHETIC_MARK, features)
