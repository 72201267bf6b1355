"""A worker process: it loads the detectors, says so, and answers pictures on its standard input until that ends.

It may die of a picture; what it leaves is nothing. Told is no more than where an error arose: an error's own words may
quote what the picture holds.
"""

from __future__ import annotations

import os
import resource
import sys
import traceback
from pathlib import Path
from types import TracebackType
from typing import Any

from aigenbench.errors import InputError
from aigenbench.inference.serve import frames

MEMORY = 4 * 2**30
"""Bytes of address space for a picture, beside what the loaded detectors take. Decoding takes at most 1.5 GB; each
thread's allocator reserves some too."""


def main() -> None:
    """Answer until standard input ends."""
    pipe, answers = sys.stdin.buffer, os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    # what a library prints is no answer
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    # a dump of this process would put the picture on disk
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    first = frames.read(pipe)
    if first is None:
        return

    def say(value: Any) -> None:
        answers.write(frames.pack(value))
        answers.flush()

    from aigenbench.inference.serve.looks import Looker

    try:
        looker = Looker(**first[0])
    except InputError as error:
        say({"error": str(error)})
        return
    if looker.on_cpu:
        _limit_memory()
    sys.excepthook = _place_alone
    say({"detectors": looker.described})
    while frame := frames.read(pipe):
        try:
            answer = looker.look(frame[1], **frame[0])
        except MemoryError:
            answer = {"error": "it needs more memory than a worker may take"}
        say(answer)


def _limit_memory() -> None:
    """Let an allocation fail instead of taking the machine's memory; where the system tells what is taken."""
    status = Path("/proc/self/statm")
    if status.exists():
        taken = int(status.read_text(encoding="ascii").split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY, taken + MEMORY))


def _place_alone(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    last = traceback.extract_tb(trace)[-1]
    sys.stderr.write(f"aigenbench: a worker ends: {kind.__name__} at {Path(last.filename).name}:{last.lineno}\n")


if __name__ == "__main__":
    main()
