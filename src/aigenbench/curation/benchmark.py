"""The published benchmark, put together from its published fakes and one's own copies of the sources of its reals."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from aigenbench.curation.importing import check_ids, check_part
from aigenbench.curation.inspection import Progress, Seen, no_progress
from aigenbench.curation.reading.entries import Entry, Faults, Rules, listed
from aigenbench.curation.reading.parts import LAION, WHERE, coco_entries, ids_by_origin, laion_entries, raise_entries
from aigenbench.curation.reading.places import RefusedError
from aigenbench.curation.reading.sources import list_source
from aigenbench.curation.shards import Row
from aigenbench.curation.splits import draw, part_of
from aigenbench.curation.work import Imported, Work, begin
from aigenbench.errors import InputError
from aigenbench.files import read_text, user_path
from aigenbench.protocol.published import FAKES, MOST_PIXELS, SHORTEST_SIDE
from aigenbench.protocol.timeline import PUBLISHED

logger = logging.getLogger(__name__)

FAKES_REPOSITORY = "lrzpellegrini/AI-GenBench-fake_part"
_MORE_SPARES = 16
"""So many spares are looked at beyond those needed: some will not do."""

Lacking = tuple[str, str, str]
"""Split and id of an image that must be replaced, and why."""


def import_benchmark(
    out: str | Path,
    fakes: str | Path,
    coco: str | Path,
    raise_images: str | Path,
    laion: str | Path,
    ids: str | Path,
    per_generator: int | None = None,
    seed: int = 0,
    follow_links: bool = False,
    fetch_fakes: bool = False,
    workers: int = 1,
    restart: bool = False,
    progress: Progress = no_progress,
) -> Imported:
    """Put the benchmark's data set together; a call that was interrupted goes on when it is made again.

    Rows are the fakes in published order, then the reals in the order of their lists, then spares. Images of LAION-400M
    that are missing or cannot be used are replaced by spares: those of the same download that no list names, in the
    order of their ids. The manifest lists them.

    Args:
        out: folder to make.
        fakes: folder of the published Parquet shards, or that data set saved.
        coco: folder with ``train2017``, ``val2017`` and ``annotations``.
        raise_images: folder below which RAISE's images lie.
        laion: what img2dataset left, as files or WebDataset, or a saved data set.
        ids: folder of the two lists of the reals' ids.
        per_generator: only so many fakes of every generator in each split, and as many reals: drawn by id.
        seed: of that draw.
        follow_links: take files that links out of a folder lead to.
        fetch_fakes: download the fakes into ``fakes`` first.
        workers: processes.
        restart: throw away what an interrupted call left.
        progress: called with what is being done, images done, images in all.

    Raises:
        InputError: anything is missing: all of it is told, with where to get it.
    """
    check_part(per_generator)
    if fetch_fakes:
        _fetch(user_path(fakes))
    rules, named = Rules(follow_links=follow_links), _read_ids(user_path(ids))
    wanted = named if per_generator is None else _part_of_ids(named, per_generator, seed)
    by_origin = ids_by_origin([file_id for of_split in wanted.values() for file_id in of_split])
    entries, of_coco, of_raise, of_laion = _all_of(
        partial(_published_fakes, user_path(fakes), rules),
        partial(coco_entries, user_path(coco), by_origin),
        partial(raise_entries, user_path(raise_images), by_origin, rules),
        partial(laion_entries, user_path(laion), by_origin, rules),
    )
    if per_generator is not None:
        entries = part_of(entries, per_generator, seed)
    there = {entry.file_id: entry for entry in (*of_coco, *of_raise, *of_laion)}
    for split, file_ids in wanted.items():
        entries += [replace(there[file_id], split=split) for file_id in file_ids if file_id in there]
    check_ids(entries)
    every_id = {file_id for of_split in named.values() for file_id in of_split}
    spares = sorted((entry for entry in of_laion if entry.file_id not in every_id), key=lambda entry: entry.file_id)
    part = per_generator and {"name": f"mini-{per_generator}", "per_generator": per_generator, "seed": seed}
    decisions: dict[str, Any] = {"benchmark": "AI-GenBench", "part": part}
    listing = [*entries, *spares]
    with begin(user_path(out), listing, [decisions, wanted], workers, restart, progress) as work:
        rows, lacking = _usable(entries, work.inspect(entries), wanted)
        substitutes = _usable_spares(work, spares, len(lacking))
        decisions["substitutions"] = _replace(rows, lacking, substitutes)
        return work.finish(rows, decisions)


def _all_of(*parts: Callable[[], list[Entry]]) -> list[list[Entry]]:
    """What each part gives, or all that is wrong with any."""
    found, told = [], []
    for part in parts:
        try:
            found.append(part())
        except InputError as error:
            told.append(str(error))
    if told:
        raise InputError("; ".join(told))
    return found


def _fetch(folder: Path) -> None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    try:
        snapshot_download(FAKES_REPOSITORY, repo_type="dataset", local_dir=folder, allow_patterns="*.parquet")
    except (HfHubHTTPError, OSError) as error:
        raise InputError(f"{FAKES_REPOSITORY} cannot be fetched: {error}; the same command goes on") from error


def _read_ids(folder: Path) -> dict[str, list[str]]:
    named = {}
    for split, count in FAKES.items():
        path = folder / f"{split}_real_file_ids.txt"
        named[split] = [line.strip() for line in read_text(path).splitlines() if line.strip()]
        expected = count * len(PUBLISHED.names)
        if len(named[split]) != expected:
            raise InputError(f"{path} names {len(named[split])} images, expected {expected}; take the published list")
    doubled = [name for name, n in Counter(name for names in named.values() for name in names).items() if n > 1]
    if doubled:
        raise InputError(f"{folder}: the lists name images twice: {listed(doubled)}; take the published lists")
    return named


def _published_fakes(folder: Path, rules: Rules) -> list[Entry]:
    """The fakes in published order, all of them there."""
    entries = sorted(list_source(folder, rules).entries, key=lambda entry: entry.order)
    counts = Counter((entry.split, entry.generator) for entry in entries)
    expected = Counter({(split, name): count for split, count in FAKES.items() for name in PUBLISHED.names})
    wrong = [
        f"{of[1] or 'real'} in {of[0] or 'no split'}: {counts[of]} of {expected[of]}"
        for of in {*counts, *expected}
        if counts[of] != expected[of]
    ]
    if wrong:
        raise InputError(
            f"{folder}: images of generators by split: {listed(wrong)}; take all shards of the data set "
            f"{FAKES_REPOSITORY} of huggingface.co (--fetch-fakes does)"
        )
    return entries


def _part_of_ids(named: dict[str, list[str]], per_generator: int, seed: int) -> dict[str, list[str]]:
    """Of each list as many ids as there will be fakes, in its order: those with the least draws."""
    kept = set()
    for split, ids in named.items():
        count = min(per_generator, FAKES[split]) * len(PUBLISHED.names)
        kept.update(sorted(ids, key=lambda one: draw(seed, one))[:count])
    return {split: [one for one in ids if one in kept] for split, ids in named.items()}


def _usable(
    entries: Sequence[Entry], seen: Sequence[Seen], wanted: dict[str, list[str]]
) -> tuple[list[Row], list[Lacking]]:
    """The rows of images that can be used, and what must be replaced.

    Raises:
        InputError: an image that cannot be replaced cannot be used.
    """
    faults, why, rows = Faults(), dict[str, str](), list[Row]()
    for entry, found in zip(entries, seen, strict=True):
        fault = found.fault if entry.generator else _fault(found)
        if not fault:
            rows.append((entry, found))
        elif entry.file_id.startswith(f"{LAION}/"):
            why[entry.file_id] = fault
        else:
            faults.add(fault, entry.file_id)
    faults.check("benchmark: images that cannot be used", "get them again")
    there = {entry.file_id for entry, _ in rows}
    return rows, [
        (split, file_id, why.get(file_id, "not in the download"))
        for split, ids in wanted.items()
        for file_id in ids
        if file_id not in there
    ]


def _fault(seen: Seen) -> str:
    """Why a real image cannot be used."""
    if not seen.fault and min(seen.height, seen.width) < SHORTEST_SIDE:
        return f"its shorter side is below {SHORTEST_SIDE} pixels"
    if not seen.fault and seen.height * seen.width > MOST_PIXELS:
        return f"more than {MOST_PIXELS} pixels"
    return seen.fault


def _usable_spares(work: Work, spares: Sequence[Entry], needed: int) -> list[Row]:
    """The first spares that can be used, as many as needed.

    Raises:
        InputError: there are not so many.
    """
    rows: list[Row] = []
    start = 0
    while len(rows) < needed:
        some = spares[start : start + needed - len(rows) + _MORE_SPARES]
        if not some:
            raise RefusedError(
                f"benchmark: {needed} images of {LAION} are missing or cannot be used, and {len(rows)} spares can; get "
                f"more of {WHERE[LAION]}"
            )
        seen = work.inspect(some, f"spares-{start}")
        rows += [(entry, found) for entry, found in zip(some, seen, strict=True) if not _fault(found)]
        start += len(some)
    return rows[:needed]


def _replace(rows: list[Row], lacking: Sequence[Lacking], spares: Sequence[Row]) -> list[dict[str, str]]:
    """Append spares to the rows; returns what replaces what, and why."""
    if lacking:
        logger.info("%d images of %s are replaced by spares; manifest.json lists them", len(lacking), LAION)
    rows += [(replace(spare, split=split), seen) for (split, _, _), (spare, seen) in zip(lacking, spares, strict=True)]
    return [
        {"split": split, "file_id": file_id, "by": spare.file_id, "why": why}
        for (split, file_id, why), (spare, _) in zip(lacking, spares, strict=True)
    ]
