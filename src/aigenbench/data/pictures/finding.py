"""Picture files below folders: found by what they hold, each once, and what is left out is told."""

from __future__ import annotations

import os
import stat
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from aigenbench.data.pictures.formats import HEAD, SUFFIXES, format_of
from aigenbench.files import readable_name

TOLD = 3
"""So many of the files left out are named."""


@dataclass
class Found:
    """Files below a folder.

    Attributes:
        pictures: what will be read.
        left_out: what will not.
    """

    pictures: list[Path] = field(default_factory=list)
    left_out: list[Path] = field(default_factory=list)

    def told(self, folder: Path) -> str:
        """How many files are left out, and the first of them; "" where there are none."""
        names = [shown(path.relative_to(folder)) for path in sorted(self.left_out)]
        if not names:
            return ""
        more = f" and {len(names) - TOLD} more" if len(names) > TOLD else ""
        count = "1 file is left out, no picture" if len(names) == 1 else f"{len(names)} files are left out, no pictures"
        return f"{count}: {', '.join(names[:TOLD])}{more}"


def find_pictures(folder: Path, recursive: bool = True) -> Found:
    """All picture files below ``folder``, sorted by path; folders that are linked in are searched too, each once.

    A file is taken if its content is a picture's, whatever its name, or if its name is a picture's: that is a broken
    picture, which its reader will tell. macOS's ``._`` files, which bear the names of pictures, are neither. With
    ``recursive`` false, folders in ``folder`` are passed over.
    """
    found = Found()
    seen: set[tuple[int, int]] = set()
    linked: deque[Path] = deque([folder])
    # the folders that lie below come first, so that what is also linked to is found at its own place
    while linked:
        waiting = [linked.popleft()]
        while waiting:
            here = waiting.pop()
            try:
                status = here.stat()
                entries = sorted(os.scandir(here), key=lambda entry: entry.name)
            except OSError:
                found.left_out.append(here)
                continue
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            for entry in entries:
                path = here / entry.name
                if _is_folder(entry):
                    if not recursive:
                        continue
                    (linked if entry.is_symlink() else waiting).append(path)
                else:
                    (found.pictures if is_picture(path) else found.left_out).append(path)
    found.pictures.sort()
    return found


def is_picture(path: Path) -> bool:
    """Whether a file is, or by its name should be, a picture. Pipes and devices are not opened."""
    named_so = path.suffix.lower() in SUFFIXES and not path.name.startswith("._")
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return False
        with path.open("rb") as file:
            head = file.read(HEAD)
    except FileNotFoundError:
        # a link to nothing
        return False
    except OSError:
        return named_so
    return named_so or format_of(head) is not None


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def shown(path: Path) -> str:
    """A path as a message shows it."""
    return readable_name(os.fspath(path))
