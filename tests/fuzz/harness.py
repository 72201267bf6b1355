"""Mutated inputs through a door of the house, in workers that may crash, hang or eat memory: that is a finding, no end.

A door is a module beside this one. It has ``check(case)``, which reads the case as a command would and lets every error
out, and one of

- ``make(folder, rng)``, with a ``random.Random``: it writes files into an empty folder, which then is the case;
- ``cases(rng)``, with a ``numpy.random.Generator``: it yields cases, of which the first is taken.

Each case has a generator of its own, made of door, seed and number: any one can be run again alone. What comes of it
is a result (``check`` returns), one line told (it raises `InputError`), or a finding: any other error, a line that is
none, a dead worker, more than ten seconds of processor time, more than 1.5 GB.
"""

from __future__ import annotations

import contextlib
import faulthandler
import importlib
import json
import os
import random
import resource
import select
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

RESULT, TOLD, FINDING = "result", "told", "finding"
MOST_SECONDS = 10.0
"""Of processor time, so that a busy machine is no finding."""
HANGS_S = 90.0
MOST_MEMORY = 1.5e9
ADDRESS_SPACE = 12 * 2**30
"""Where an allocation fails instead of taking the machine's memory."""
LONGEST_LINE = 4100
TESTS = Path(__file__).resolve().parents[1]


def doors() -> list[str]:
    """Names of the modules beside this one that are doors."""
    paths = Path(__file__).parent.glob("*.py")
    return sorted(path.stem for path in paths if "\ndef check(" in path.read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Outcome:
    """What came of a case: ``result``, ``told`` or ``finding``, in words, and in how much processor time."""

    kind: str
    text: str = ""
    seconds: float = 0.0


@dataclass
class Tally:
    """Outcomes of a door, counted."""

    door: str
    seed: int
    kinds: Counter[str] = field(default_factory=Counter)
    findings: dict[str, list[int]] = field(default_factory=dict)
    slowest: float = 0.0

    def add(self, number: int, outcome: Outcome) -> None:
        """Count one."""
        self.kinds[outcome.kind] += 1
        self.slowest = max(self.slowest, outcome.seconds)
        if outcome.kind == FINDING:
            self.findings.setdefault(outcome.text, []).append(number)


def outcome_of(module: ModuleType, seed: int, number: int) -> Outcome:
    """Make and check one case in this process."""
    from aigenbench.errors import InputError

    name = f"{module.__name__.rpartition('.')[2]} {seed} {number}"
    with contextlib.ExitStack() as stack:
        if hasattr(module, "make"):
            case: Any = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fuzz")))
            module.make(case, random.Random(name))
        else:
            case = next(iter(module.cases(np.random.default_rng(list(name.encode())))))
        _peak()
        start, memory = time.process_time(), _peak()
        try:
            module.check(case)
            kind, text = RESULT, ""
        except InputError as error:
            kind, text = TOLD, str(error)
            if "\n" in text or not text or len(text) > LONGEST_LINE:
                kind, text = FINDING, f"not a line: {text[:300]!r}"
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is a finding
            kind, text = FINDING, _signature(error)
    seconds, memory = time.process_time() - start, _peak() - memory
    if kind != FINDING and seconds > MOST_SECONDS:
        kind, text = FINDING, f"more than {MOST_SECONDS:.0f} s"
    if kind != FINDING and memory > MOST_MEMORY:
        kind, text = FINDING, "more than 1.5 GB"
    return Outcome(kind, text, seconds)


def _peak() -> float:
    """Most memory since the last look, in bytes."""
    # the kernel's own count begins with what the parent had when it started this process
    status = Path("/proc/self/status").read_text(encoding="ascii")
    peak = int(status.partition("VmHWM:")[2].split()[0]) * 1024.0
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return peak


def _signature(error: BaseException) -> str:
    """Kind and place of an error, the same for all cases that end so."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "aigenbench" in frame.filename] or frames
    last, inner = ours[-1], frames[-1]
    place = f"{Path(last.filename).name}:{last.lineno}"
    if inner is not last:
        place += f" in {Path(inner.filename).name}:{inner.lineno}"
    said = str(error).splitlines()[0][:100] if str(error) else ""
    return f"{type(error).__name__} at {place}: {''.join('#' if c.isdigit() else c for c in said)}"


class Worker:
    """A process that runs cases of one door; it is started again after it died."""

    def __init__(self, door: str, seed: int) -> None:
        self._command = [sys.executable, "-P", __file__, door, str(seed)]
        self._process: subprocess.Popen[str] | None = None

    def run(self, number: int) -> Outcome:
        """The outcome of one case."""
        process = self._process or self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{number}\n")
        process.stdin.flush()
        ready, _, _ = select.select([process.stdout], [], [], HANGS_S)
        line = process.stdout.readline() if ready else ""
        if line:
            return Outcome(*json.loads(line))
        self.stop()
        return Outcome(FINDING, "the worker died" if ready else f"no end in {HANGS_S:.0f} s", HANGS_S)

    def stop(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            with self._process:
                self._process = None

    def _start(self) -> subprocess.Popen[str]:
        # some doors take whole files from the tests of their room
        paths = [str(TESTS), *map(str, sorted(TESTS.glob("*/"))), *(path for path in sys.path if path)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        return self._process


def campaign(door: str, n: int, seed: int, workers: int = 1) -> Tally:
    """Run the cases 0 to n - 1 of a door."""
    tally = Tally(door, seed)

    def part(start: int) -> list[tuple[int, Outcome]]:
        worker = Worker(door, seed)
        try:
            return [(number, worker.run(number)) for number in range(start, n, workers)]
        finally:
            worker.stop()

    with ThreadPoolExecutor(workers) as pool:
        for number, outcome in sorted(
            (pair for done in pool.map(part, range(workers)) for pair in done), key=lambda pair: pair[0]
        ):
            tally.add(number, outcome)
    return tally


def serve(door: str, seed: int) -> None:
    """Answer numbers on stdin with outcomes on stdout, until either closes."""
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    faulthandler.enable()
    # what a door prints is not an answer
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    module = importlib.import_module(f"fuzz.{door}")
    for line in sys.stdin:
        outcome = outcome_of(module, seed, int(line))
        print(json.dumps([outcome.kind, outcome.text, outcome.seconds]), file=answers, flush=True)
        if outcome.text == "more than 1.5 GB":
            # the peak of a process never falls
            break


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
