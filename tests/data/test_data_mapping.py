from __future__ import annotations

import os

import pytest

from aigenbench.data.mapping import mapper
from aigenbench.errors import InputError


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_order(workers: int) -> None:
    with mapper(workers) as mapped:
        assert list(mapped(pow, range(20), [2] * 20)) == [n**2 for n in range(20)]


def test_a_worker_that_is_killed_is_told() -> None:
    with pytest.raises(InputError, match="a worker process was killed"), mapper(2) as mapped:
        list(mapped(os._exit, [1, 1]))
