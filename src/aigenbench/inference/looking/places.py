"""Which pictures are meant: files, folders, patterns, and lists of names from another program."""

from __future__ import annotations

import glob
import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from aigenbench.data.pictures.finding import find_pictures, shown
from aigenbench.data.pictures.formats import NAMES
from aigenbench.errors import InputError

logger = logging.getLogger(__name__)

LARGEST_LIST = 2**26
"""Bytes of a list of names."""


def find(given: Sequence[str | Path], recursive: bool = False) -> list[Path]:
    """The pictures that are meant, in the order given, each path once; of a folder those in it, sorted.

    Files are taken as they are: whatever they hold, their reader says so.

    Args:
        given: names of files or folders; or patterns (``*``, ``?``, ``[...]``, ``**``) where nothing has that name. A
            ``Path`` is of a file, whether it is there or not.
        recursive: take the pictures in folders below, too.

    Raises:
        InputError: there is nothing of a name, nothing that a pattern names, or no picture in a folder.
    """
    paths = (path for one in given for path in ((one,) if isinstance(one, Path) else _of_name(one, recursive)))
    return list(dict.fromkeys(paths))


def listed(data: bytes) -> list[Path]:
    """The files in a list, as ``find -print0`` or ``ls`` gives it: parted by NUL where it holds one, else by newlines.

    Folders are passed over: ``find`` names what lies in them too.

    Raises:
        InputError: it is too long, or names no file.
    """
    if len(data) > LARGEST_LIST:
        raise InputError(f"the list of pictures has more than {LARGEST_LIST >> 20} MiB; give it in parts")
    names = data.split(b"\0") if b"\0" in data else data.splitlines()
    found = [Path(os.fsdecode(name)) for name in names if name]
    found = [path for path in found if not path.is_dir()]
    if not found:
        raise InputError("the list of pictures names none: expected a file a line, or files parted by NUL")
    return found


def _of_name(name: str, recursive: bool) -> Iterator[Path]:
    if os.path.lexists(name):
        path = Path(name)
        yield from _of_folder(path, recursive) if path.is_dir() else (path,)
        return
    # Path.glob takes no absolute pattern
    matches = sorted(glob.glob(name, recursive=True)) if glob.has_magic(name) else []  # noqa: PTH207
    if not matches:
        raise InputError(f"nothing at {shown(Path(name))}: expected a picture, a folder of pictures or a pattern")
    for match in matches:
        path = Path(match)
        if not path.is_dir():
            yield path


def _of_folder(folder: Path, recursive: bool) -> list[Path]:
    found = find_pictures(folder, recursive)
    told = found.told(folder)
    if not found.pictures:
        below = "" if recursive else "; --recursive searches the folders in it"
        raise InputError(f"no picture in {shown(folder)}: {told or 'it is empty'}{below}; read are {NAMES}")
    if told:
        logger.warning("%s: %s", shown(folder), told)
    return found.pictures
