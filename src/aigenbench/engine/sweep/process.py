"""One cell in a process of its own: what it takes is given back, and what befalls it ends nothing else."""

from __future__ import annotations

import ctypes
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from aigenbench.engine.slurm import aigenbench_command
from aigenbench.engine.sweep.cells import Cell
from aigenbench.engine.sweep.record import Ending, Record, read_record, write_record
from aigenbench.files import write_text
from aigenbench.training.processes.signals import StopRequest

BAD_INPUT = 2
POLL_SECONDS = 0.1
_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1
_FOR_MEMORY = re.compile(r"out of memory|MemoryError|can't allocate memory|for want of memory", re.IGNORECASE)
_OOM_COUNTERS = (Path("/proc/vmstat"), Path("/sys/fs/cgroup/memory.events"))
_TAIL = 64 * 1024


def run_cell(cell: Cell, stop: StopRequest) -> Record:
    """Start ``fit`` of a cell, or go on with it, and wait; what it prints goes to its log.

    Args:
        cell: what to train.
        stop: a signal that asks this process to stop is passed on; the cell then has its checkpoint first.

    Returns:
        The cell's record, its ending among it.
    """
    cell.folder.parent.mkdir(parents=True, exist_ok=True)
    config, log = cell.file(".yaml"), cell.file(".log")
    config.parent.mkdir(exist_ok=True)
    write_text(config, cell.config.to_yaml())
    before = read_record(cell)
    lost = bool(before.starts) and not before.ending
    begun = replace(before, starts=before.starts + 1, ending="", said="", is_whole=before.is_whole and not lost)
    write_record(cell, begun)
    kills, clock, at = _memory_kills(), time.monotonic(), log.stat().st_size if log.is_file() else 0
    with log.open("ab") as output, _started(command_of(config), output.fileno()) as process:
        _wait(process, stop)
    said = _last_lines(log, at)
    ending = _ending(process.returncode, said, stop, _memory_kills() > kills)
    record = replace(begun, seconds=begun.seconds + time.monotonic() - clock, ending=ending, said=_line(said))
    write_record(cell, record)
    return record


def command_of(config: Path) -> list[str]:
    """The command that trains a cell."""
    return aigenbench_command(["fit", f"--config={config}"])


def told(record: Record) -> str:
    """How a start ended, in a few words."""
    reasons = {
        "memory": "killed for memory: try a smaller data.train_batch_size with more trainer.accumulate_grad_batches, "
        "or fewer data.num_workers",
        "killed": "killed by SIGKILL, and the system does not say that it was for memory",
        "refused": "refused",
        "failed": "failed",
        "stopped": "stopped",
    }
    why = reasons.get(record.ending, record.ending)
    return f"{why}: {record.said}" if record.said else why


@contextmanager
def _started(command: list[str], output: int) -> Iterator[subprocess.Popen[bytes]]:
    """A process that ends with this one, however that ends."""
    # of a session of its own: Ctrl-C in the terminal reaches it through this process alone, and once
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=_end_with_parent if sys.platform == "linux" else None,
    )
    try:
        yield process
    except BaseException:
        process.send_signal(signal.SIGINT)
        process.wait()
        raise


def _end_with_parent() -> None:
    # a cell without its sweep would hold the experiment's lock against the next one
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _wait(process: subprocess.Popen[bytes], stop: StopRequest) -> None:
    passed_on = None
    while process.poll() is None:
        if stop.signal is not None and passed_on is None:
            passed_on = stop.signal
            process.send_signal(passed_on)
        time.sleep(POLL_SECONDS)


def _ending(code: int, said: str, stop: StopRequest, killed_for_memory: bool) -> Ending:
    if code == 0:
        return "finished"
    if stop.signal is not None:
        return "stopped"
    if (code == -signal.SIGKILL and killed_for_memory) or _FOR_MEMORY.search(said):
        return "memory"
    if code == -signal.SIGKILL:
        return "killed"
    return "refused" if code == BAD_INPUT else "failed"


def _memory_kills() -> int:
    """How many processes the system has killed for want of memory; 0 where it does not say."""
    count = 0
    for path in _OOM_COUNTERS:
        if path.is_file():
            count += sum(map(int, re.findall(r"^oom_kill (\d+)$", path.read_text(), re.MULTILINE)))
    return count


def _last_lines(log: Path, at: int) -> str:
    """The end of what a start has printed, which begins at byte ``at`` of the log."""
    with log.open("rb") as file:
        file.seek(max(at, log.stat().st_size - _TAIL))
        return file.read().decode(errors="replace")


def _line(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return lines[-1].removeprefix("aigenbench: error: ")[:500] if lines else ""
