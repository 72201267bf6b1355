"""One run at a time in an experiment's folder."""

from __future__ import annotations

import json
import logging
import os
import platform
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from aigenbench.config.folder import LOCK_FILE
from aigenbench.errors import InputError
from aigenbench.files import write_json

logger = logging.getLogger(__name__)

BEAT_SECONDS = 15.0
STALE_SECONDS = 60.0


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
    """

    host: str
    process: int
    started: str
    boot: str
    job: str | None
    token: str
    beat: int = 0


def this_process(job: str | None) -> Holder:
    """The current process as a holder."""
    process = os.getpid()
    return Holder(platform.node(), process, _start_of(process) or "", _boot_id(), job, uuid.uuid4().hex)


@contextmanager
def locked(folder: Path, job: str | None = None) -> Iterator[None]:
    """Hold the lock of ``folder``.

    A lock is taken over at once from the same SLURM job (it was requeued) and from a process that is gone on this
    host; otherwise after its counter has stood still for a minute of our own clock.

    Raises:
        InputError: another run holds it.
    """
    path = folder / LOCK_FILE
    mine = this_process(job)
    _take(path, mine)
    stop = threading.Event()
    beating = threading.Thread(target=_beat, args=(path, mine, stop), daemon=True, name="experiment lock")
    beating.start()
    try:
        yield
    finally:
        stop.set()
        beating.join()
        held = _read(path)
        if held is not None and held.token == mine.token:
            path.unlink(missing_ok=True)


def _take(path: Path, mine: Holder) -> None:
    while True:
        try:
            # exclusive: of two that start at once, one gets it
            with path.open("x", encoding="utf-8") as fresh:
                json.dump(asdict(mine), fresh)
        except FileExistsError:
            held = _read(path)
            if held is not None and not is_gone(held, mine) and not _stands_still(path, held):
                raise InputError(
                    f"{path.parent} is in use by process {held.process} on {held.host}"
                    f"{f', job {held.job}' if held.job else ''}; wait for it, or stop it"
                ) from None
            if held is not None:
                logger.warning("taking over %s from process %d on %s, which is gone", path, held.process, held.host)
            _remove(path, held)
        else:
            return


def _remove(path: Path, held: Holder | None) -> None:
    """Remove the lock of ``held``, and no other that was put in its place meanwhile."""
    aside = path.with_name(f".{LOCK_FILE}.{uuid.uuid4().hex}.tmp")
    try:
        path.rename(aside)
    except FileNotFoundError:
        return
    found = _read(aside)
    if found is not None and held is not None and found.token != held.token:
        aside.rename(path)
    else:
        aside.unlink()


def is_gone(held: Holder, mine: Holder) -> bool:
    """Whether the holder certainly runs no more: the same job restarted, or its process on this host ended."""
    if held.job is not None and held.job == mine.job:
        return True
    if held.host != mine.host:
        return False
    return held.boot != mine.boot or _start_of(held.process) != held.started


def _stands_still(path: Path, held: Holder) -> bool:
    logger.warning("%s is held by process %d on %s; watching it for a minute", path, held.process, held.host)
    deadline = time.monotonic() + STALE_SECONDS
    while time.monotonic() < deadline:
        time.sleep(min(1.0, STALE_SECONDS / 10))
        if _read(path) != held:
            return False
    return True


def _beat(path: Path, mine: Holder, stop: threading.Event) -> None:
    count = 0
    while not stop.wait(BEAT_SECONDS):
        count += 1
        held = _read(path)
        if held is None or held.token != mine.token:
            logger.error("%s was taken over by another run; this one should be stopped", path)
            return
        try:
            write_json(path, asdict(replace(mine, beat=count)))
        except OSError as error:
            # a full disk stops the run where it matters, not here
            logger.warning("cannot renew %s: %s", path, error)


def _read(path: Path) -> Holder | None:
    """The holder, or None where there is no lock or its writer was killed within the first write."""
    try:
        return Holder(**json.loads(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, json.JSONDecodeError, TypeError):
        return None


def _start_of(process: int) -> str | None:
    """Start time of a process in kernel ticks, or None where there is none (or no /proc)."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # a zombie has ended, only nobody has asked yet
    return None if fields[0] == "Z" else fields[19]


def _boot_id() -> str:
    path = Path("/proc/sys/kernel/random/boot_id")
    return path.read_text(encoding="utf-8").strip() if path.is_file() else ""
