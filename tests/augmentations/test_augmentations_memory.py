from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

from aigenbench.augmentations.memory import freed_memory_kept, keep_freed_memory

COUNT_FAULTS = """
import resource, sys
import numpy as np
from contextlib import nullcontext
from aigenbench.augmentations.memory import freed_memory_kept, keep_freed_memory
how, sizes = sys.argv[1], [int(size) for size in sys.argv[2:]]
if how == "keep":
    assert keep_freed_memory()
def touch():
    for size in sizes:
        np.full(size << 20, 7, np.uint8)
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096
with freed_memory_kept() if how in ("within", "after") else nullcontext():
    touch()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        touch()
    count = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    held = resident()
print(count if how != "after" else (held - resident()) >> 20)
"""


def faults(how: str, *sizes: int) -> int:
    command = [sys.executable, "-c", COUNT_FAULTS, how, *map(str, sizes or (3, 5, 2, 4))]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts the page faults of glibc's allocator")
def test_freed_memory_is_used_again():
    if not hasattr(ctypes.CDLL(None), "mallopt"):
        pytest.skip("no mallopt in this C library")
    assert faults("keep") < 50 < faults("return")


def test_other_c_libraries_go_on_as_they_were(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    assert keep_freed_memory() is False
    with freed_memory_kept():
        pass


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts the page faults of glibc's allocator")
def test_large_blocks_are_used_again_within_and_returned_after():
    if not hasattr(ctypes.CDLL(None), "mallopt"):
        pytest.skip("no mallopt in this C library")
    assert faults("within", 40, 60) < 50 < faults("keep", 40, 60)
    # what was held for the next batch, in MB
    assert faults("after", 40, 60) > 30
