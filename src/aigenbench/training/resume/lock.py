"""One run at a time in an experiment's folder, and none that has lost it.

``lock.json`` says who holds the folder, or held it last, under which *generation*: a number that only grows. Who takes
a generation makes the folder ``.lock_<generation>`` by renaming one that is complete, which succeeds for one of any
number of runs, on network file systems too. Its part ``files`` is the staging folder of the fence (see ``fences``):
the next one moves that away before it says in ``lock.json`` that it is there, so nothing that an earlier holder does
comes through, however late. ``.lock_<generation>`` goes when that is given back, or a later one is taken.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import platform
import shutil
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from aigenbench.config.folder import LOCK_FILE
from aigenbench.errors import InputError
from aigenbench.fences import Fence, LostFolderError, fenced, remove
from aigenbench.files import read_json, write_json

logger = logging.getLogger(__name__)

LOCK_FOLDERS = ".lock_"
"""What the names of a lock's folders start with."""
BEAT_SECONDS = 15.0
STALE_SECONDS = 60.0
_STAGING = "files"
_RELEASED = "released.json"
_LARGEST = 10_000
"""Bytes of a lock file at most."""
_NO_GENERATION = 10**9
_TAKEN = (errno.EEXIST, errno.ENOTEMPTY, errno.ENOENT)
"""What a rename fails with where another run came first."""


@dataclass(frozen=True)
class Holder:
    """Who holds a lock.

    Attributes:
        host: name of its machine.
        process: its process id.
        started: when that process started, in the kernel's ticks since boot; ids are used again, this is not.
        boot: the machine's boot id.
        job: SLURM job id, or None.
        token: a random name of this holding.
        beat: a counter that is raised every 15 seconds.
        space: the process id's name space: containers of one machine number their processes apart.
        generation: rises from holder to holder.
        released: whether it has given the folder back.
    """

    host: str
    process: int
    started: str
    boot: str
    job: str | None
    token: str
    beat: int = 0
    space: str = ""
    generation: int = 0
    released: bool = False


def this_process(job: str | None) -> Holder:
    """The current process as a holder."""
    process = os.getpid()
    started, token = _start_of(process) or "", uuid.uuid4().hex
    return Holder(platform.node(), process, started, _boot_id(), job, token, space=_process_space())


@contextmanager
def locked(folder: Path, job: str | None = None, generation: int = 0) -> Iterator[Fence]:
    """Hold the lock of ``folder``: what this process writes below it passes through a fence.

    A lock is taken over at once from the same SLURM job (it was requeued) and from a process that is gone on this
    host; otherwise after its counter has stood still for a minute of our own clock.

    Args:
        folder: an experiment's.
        job: the SLURM job this process belongs to.
        generation: of the folder's newest record; this holder's is higher.

    Raises:
        InputError: another run holds it.
    """
    folder = folder.absolute()
    mine = _take(folder, this_process(job), generation)
    stop = threading.Event()
    with fenced(Fence(folder, _folder_of(folder, mine.generation) / _STAGING, mine.generation)) as fence:
        beating = threading.Thread(target=_beat, args=(folder, mine, stop), daemon=True, name="experiment lock")
        beating.start()
        try:
            _tidy(folder, mine)
            yield fence
        finally:
            stop.set()
            beating.join()
            _release(folder, mine)


def _take(folder: Path, mine: Holder, generation: int) -> Holder:
    while True:
        head = _head(folder)
        if head.generation >= _NO_GENERATION:
            raise InputError(f"{folder / LOCK_FILE} is damaged (generation {head.generation}); remove it")
        if not head.released:
            _refuse_if_alive(folder, head, mine)
        taken = replace(mine, generation=max(head.generation, generation) + 1)
        if _taken(folder, taken):
            return taken


def _head(folder: Path) -> Holder:
    """Who took the folder last, or has given it back."""
    named = _read(folder / LOCK_FILE)
    last = max(_numbers(folder), default=0)
    if named is not None and named.generation >= last:
        return named
    # taken this moment, or by one that was killed before it could say so; or gone between two looks
    return _read(_folder_of(folder, last) / LOCK_FILE) or Holder("", 0, "", "", None, "", 0, "", last, released=True)


def _refuse_if_alive(folder: Path, head: Holder, mine: Holder) -> None:
    if not is_gone(head, mine) and not _stands_still(folder, head, mine):
        raise InputError(
            f"{folder} is in use by process {head.process} on {head.host}"
            f"{f', job {head.job}' if head.job else ''}; wait for it, or stop it"
        )
    logger.warning("taking over %s from process %d on %s, which is gone", folder, head.process, head.host)


def _stands_still(folder: Path, head: Holder, mine: Holder) -> bool:
    logger.warning("%s is held by process %d on %s; watching it for a minute", folder, head.process, head.host)
    deadline = time.monotonic() + STALE_SECONDS
    while time.monotonic() < deadline:
        time.sleep(min(1.0, STALE_SECONDS / 10))
        if (now := _head(folder)) != head:
            return now.released
        if is_gone(head, mine):
            break
    return True


def _taken(folder: Path, mine: Holder) -> bool:
    """Take a generation, shut out all earlier ones, and say so in ``lock.json``; False where another was first."""
    prepared, taken = folder / f"{LOCK_FOLDERS}new_{mine.token}", _folder_of(folder, mine.generation)
    lost = False
    try:
        (prepared / _STAGING).mkdir(parents=True)
        (prepared / LOCK_FILE).write_text(json.dumps(asdict(mine)), encoding="utf-8")
        (prepared / _STAGING / LOCK_FILE).write_text(json.dumps(asdict(mine)), encoding="utf-8")
        # giving back is a rename alone: it needs no room on a full disk
        given_back = json.dumps(asdict(replace(mine, released=True)))
        (prepared / _STAGING / _RELEASED).write_text(given_back, encoding="utf-8")
        prepared.rename(taken)
        head = _head(folder)
        # a number may have been used and tidied away between our look and our rename
        if lost := head.token != mine.token:
            return False
        _shut_out(folder, mine)
        (taken / _STAGING / LOCK_FILE).rename(folder / LOCK_FILE)
    except OSError as error:
        lost = True
        if error.errno not in _TAKEN:
            raise
        return False
    finally:
        shutil.rmtree(prepared, ignore_errors=True)
        if lost and _is_of(taken, mine):
            shutil.rmtree(taken, ignore_errors=True)
    return True


def _shut_out(folder: Path, mine: Holder) -> None:
    """Move the staging folders of all earlier generations: what their holders rename from now on fails."""
    for number in _numbers(folder):
        if number < mine.generation:
            old = _folder_of(folder, number)
            with suppress(FileNotFoundError):
                (old / _STAGING).rename(old / mine.token)


def _tidy(folder: Path, mine: Holder) -> None:
    """Remove what earlier holders left, now that ``lock.json`` names a later one; who prepares to come begins anew."""
    for path in folder.glob(f"{LOCK_FOLDERS}*"):
        number = path.name.removeprefix(LOCK_FOLDERS)
        if not number.isdecimal() or int(number) < mine.generation:
            remove(path)


def _is_of(taken: Path, mine: Holder) -> bool:
    found = _read(taken / LOCK_FILE)
    return found is not None and found.token == mine.token


def _release(folder: Path, mine: Holder) -> None:
    taken = _folder_of(folder, mine.generation)
    try:
        (taken / _STAGING / _RELEASED).rename(folder / LOCK_FILE)
    except FileNotFoundError:
        # lost, or removed
        return
    except OSError as error:
        logger.warning("cannot give back %s: %s", folder, error.strerror)
        return
    shutil.rmtree(taken, ignore_errors=True)


def is_gone(held: Holder, mine: Holder) -> bool:
    """Whether the holder certainly runs no more: the same job restarted, or its process on this host ended."""
    if held.host != mine.host:
        return held.job is not None and held.job == mine.job
    if held.boot != mine.boot:
        return True
    return held.space in ("", mine.space) and _start_of(held.process) != held.started


def _beat(folder: Path, mine: Holder, stop: threading.Event) -> None:
    count = 0
    while not stop.wait(BEAT_SECONDS):
        count += 1
        try:
            write_json(folder / LOCK_FILE, asdict(replace(mine, beat=count)))
        except LostFolderError:
            # told where the run next writes
            return
        except OSError as error:
            # a full disk stops the run where it matters, not here
            logger.warning("cannot renew %s: %s", folder / LOCK_FILE, error)


def _folder_of(folder: Path, generation: int) -> Path:
    return folder / f"{LOCK_FOLDERS}{generation}"


def _numbers(folder: Path) -> list[int]:
    """The generations that have a folder."""
    names = (path.name.removeprefix(LOCK_FOLDERS) for path in folder.glob(f"{LOCK_FOLDERS}*"))
    return [int(name) for name in names if name.isdecimal() and len(name) < 12]


def _read(path: Path) -> Holder | None:
    """The holder that a lock file names; None where there is none, or it was written by nobody of ours."""
    try:
        record = read_json(path, largest=_LARGEST)
    except InputError:
        return None
    defaults = asdict(Holder("", 0, "", "", "", ""))
    known = {field.name for field in fields(Holder)}
    if not {"host", "process", "started", "boot", "job", "token"} <= set(record) <= known:
        return None
    record = {**defaults, **record}
    of_kinds = all(type(record[name]) is type(value) for name, value in defaults.items() if name != "job")
    if not of_kinds or not isinstance(record["job"], str | None) or record["generation"] < 0:
        return None
    return Holder(**record)


def _start_of(process: int) -> str | None:
    """Start time of a process in kernel ticks, or None where there is none (or no /proc)."""
    try:
        fields_of = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # a zombie has ended, only nobody has asked yet
    return None if fields_of[0] == "Z" else fields_of[19]


def _boot_id() -> str:
    path = Path("/proc/sys/kernel/random/boot_id")
    return path.read_text(encoding="utf-8").strip() if path.is_file() else ""


def _process_space() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")  # noqa: PTH115 - no path, a name
    except OSError:
        return ""
