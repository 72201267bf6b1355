from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

from aigenbench.augmentations.memory import keep_freed_memory

COUNT_FAULTS = """
import resource, sys
import numpy as np
from aigenbench.augmentations.memory import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
def touch():
    for size in (3, 5, 2, 4):
        np.full(size << 20, 7, np.uint8)
touch()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    touch()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str) -> int:
    command = [sys.executable, "-c", COUNT_FAULTS, how]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts the page faults of glibc's allocator")
def test_freed_memory_is_used_again():
    if not hasattr(ctypes.CDLL(None), "mallopt"):
        pytest.skip("no mallopt in this C library")
    assert faults("keep") < 50 < faults("return")


def test_other_c_libraries_go_on_as_they_were(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    assert keep_freed_memory() is False
