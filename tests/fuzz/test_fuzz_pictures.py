"""A fixed part of the campaign on pictures, and what it found once."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest

from aigenbench.errors import InputError
from fuzz.pictures import cases, check


@pytest.mark.slow
def test_pictures_are_read_as_pillow_reads_them_or_refused() -> None:
    outcomes: Counter[tuple[bool, bool]] = Counter()
    for case in itertools.islice(cases(np.random.default_rng(7), 0.4), 1500):
        try:
            check(case)
            is_read = True
        except InputError:
            is_read = False
        outcomes[bool(case.done), is_read] += 1
    assert outcomes[False, True] > 500
    assert not outcomes[False, False]
    assert outcomes[True, True] > 200
    assert outcomes[True, False] > 300
