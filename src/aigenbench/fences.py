"""Folders that one run at a time may write in: one that lost its folder writes nothing more there.

A fence has a *staging* folder. Every file comes into the fenced folder by a rename out of it, and leaves it by one into
it. Who takes the fenced folder over moves the staging folder first: from then on these renames fail, however late they
come and however long ago the writer looked.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from aigenbench.errors import InputError


class LostFolderError(InputError):
    """Another run has taken the folder over; this one must stop."""


@dataclass(frozen=True)
class Fence:
    """What a run holds that may write in a folder.

    Attributes:
        folder: what is fenced, with everything below it.
        staging: a folder on the same file system, which is there as long as the run may write.
        generation: a number that is higher for every run that held the folder later.
    """

    folder: Path
    staging: Path
    generation: int

    @property
    def is_lost(self) -> bool:
        """Whether this run may write no more."""
        return not self.staging.is_dir()

    def check(self) -> None:
        """Find out whether this run may still write.

        Raises:
            LostFolderError: it may not.
        """
        if self.is_lost and not self.folder.is_dir():
            raise LostFolderError(f"{self.folder} was removed while a run was at work there")
        if self.is_lost:
            raise LostFolderError(
                f"{self.folder} was taken over by another run while this one stood still; this one stops and has "
                "written nothing since. Once no other run is at work there, the same command goes on"
            )


_FENCES: list[Fence] = []
"""Those of this process: whatever writes a file asks here, so no writer can forget to."""


@contextmanager
def fenced(fence: Fence) -> Iterator[Fence]:
    """Let what this process writes below the fence's folder pass through it."""
    _FENCES.append(fence)
    try:
        yield fence
    finally:
        _FENCES.remove(fence)


def fence_of(path: Path) -> Fence | None:
    """The fence that ``path`` lies behind; None where it lies behind none."""
    where = path.absolute()
    # the latest: a process that was forked has its parent's before its own
    return next((fence for fence in reversed(_FENCES) if where.is_relative_to(fence.folder)), None)


def generation_of(path: Path) -> int:
    """The generation of the run that may write at ``path``; 0 where that is not fenced."""
    fence = fence_of(path)
    return 0 if fence is None else fence.generation


def is_lost(path: Path) -> bool:
    """Whether another run may write at ``path``, and not this one."""
    fence = fence_of(path)
    return fence is not None and fence.is_lost


def check_fence(path: Path) -> None:
    """Find out whether this run may still write at ``path``; raises as ``Fence.check``."""
    if (fence := fence_of(path)) is not None:
        fence.check()


def staging_of(path: Path) -> Path:
    """Where a file is to be written that is then renamed to ``path``: behind no fence, beside it.

    Raises:
        LostFolderError: another run may write there, and not this one.
    """
    fence = fence_of(path)
    if fence is None:
        return path.parent
    fence.check()
    # a part of the folder may lie on another disk, by a link: no rename leads there
    return fence.staging if fence.staging.stat().st_dev == path.parent.stat().st_dev else path.parent


def remove(path: Path) -> None:
    """Remove a file or folder, if it is there.

    Raises:
        LostFolderError: another run may write there, and not this one.
    """
    try:
        aside = staging_of(path) / f".{uuid.uuid4().hex[:8]}.tmp"
        path.rename(aside)
    except FileNotFoundError:
        check_fence(path)
        return
    if aside.is_dir() and not aside.is_symlink():
        # another may be removing it too
        shutil.rmtree(aside, ignore_errors=True)
    else:
        # whoever took the folder over in this moment has moved it
        aside.unlink(missing_ok=True)
