"""What a data set names lies inside its folder, through links too, unless its user trusts who made it."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from aigenbench.errors import InputError
from aigenbench.files import readable_name

_TOLD = 3


def check_inside(folder: Path, names: Sequence[str], what: str, base: Path | None = None) -> None:
    """Refuse paths that lead outside a folder.

    Args:
        folder: of the data set.
        names: paths, absolute or relative to ``base``.
        what: names them, for the message.
        base: ``folder`` where None.

    Raises:
        InputError: some do; the line counts them and names the first.
    """
    home, base = _home(folder), base or folder
    by_parent: dict[str, set[str]] = defaultdict(set)
    for name in names:
        parent, last = _split(name)
        by_parent[parent].add(last)
    outside = {parent: _leading_out(home, base / parent, lasts) for parent, lasts in by_parent.items()}
    # most data sets have none
    wrong = [name for name in names if _split(name)[1] in outside[_split(name)[0]]] if any(outside.values()) else []
    if wrong:
        shown = ", ".join(readable_name(name) for name in wrong[:_TOLD]) + (", ..." if len(wrong) > _TOLD else "")
        raise InputError(
            f"{what}: {len(wrong)} of {len(names)} paths lead outside {folder} ({shown}); put the files inside, or, if "
            "you trust who made the data set, give --follow-links (of a run: --data.dataset_loader.follow_links true)"
        )


def _split(name: str) -> tuple[str, str]:
    parent, slash, last = name.rpartition("/")
    return parent or slash, last


def _leading_out(home: str, parent: Path, names: set[str]) -> set[str]:
    """Which names in a folder lead outside ``home``."""
    if not _holds(home, parent):
        return names
    # one look at the folder, in place of one at each file
    return {name for name in names & _links(parent) if not _holds(home, parent / name)}


def _links(folder: Path) -> set[str]:
    try:
        with os.scandir(folder) as entries:
            return {"..", *(entry.name for entry in entries if entry.is_symlink())}
    except OSError:
        # whoever reads the files tells that they are not there
        return {".."}


def _holds(home: str, path: Path) -> bool:
    return os.path.commonpath((home, os.path.realpath(path))) == home


def _home(folder: Path) -> str:
    """What links may lead to: the folder, or that of the Hugging Face hub's cache, whose snapshots are links."""
    real = Path(os.path.realpath(folder))
    for place in (real, *real.parents):
        if place.parent.name == "snapshots" and (place.parents[1] / "blobs").is_dir():
            return os.fspath(place.parents[1])
    return os.fspath(real)
