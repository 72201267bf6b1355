"""Which images a contact sheet shows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from aigenbench.data.sources.tables import ImageTable
from aigenbench.errors import InputError, nearest

COUNT, MOST = 8, 100
"""Images of a sheet by default, and at most."""
REAL = "real"
"""What real images are called, who have no generator."""

Rows = npt.NDArray[np.int64]


def choose(
    table: ImageTable, usable: Rows, generators: Sequence[str], index: Sequence[int], count: int | None, seed: int
) -> Rows:
    """Rows to show, by generator: those asked for, or some drawn such that no generator has two more than another.

    Args:
        table: the split.
        usable: rows that may be shown: those that the run uses.
        generators: of these alone, ``real`` for real images; of all where empty.
        index: these rows, in this order; excludes ``generators`` and ``count``.
        count: how many to draw; `COUNT` where None.
        seed: of the draw.

    Raises:
        InputError: a generator or row is not there, or there is nothing to show.
    """
    if index:
        return _asked(table, usable, generators, index, count)
    codes = table.generator_codes[usable]
    if generators:
        codes_asked = [_code(table, name) for name in generators]
        usable, codes = usable[np.isin(codes, codes_asked)], codes[np.isin(codes, codes_asked)]
    wanted = COUNT if count is None else count
    if not 1 <= wanted <= MOST:
        raise InputError(f"a contact sheet shows 1 to {MOST} images, found {wanted}")
    if not len(usable):
        raise InputError(
            f"split {table.split!r} has no image to show of {', '.join(generators) or 'any generator'}: a run uses "
            "none whose generator is not on the timeline; --timeline dates others"
        )
    drawn = np.random.default_rng(seed).permutation(len(usable))
    seen: dict[int, int] = {}
    turns = []
    for code in codes[drawn].tolist():
        seen[code] = turn = seen.get(code, -1) + 1
        turns.append(turn)
    chosen = drawn[np.argsort(turns, kind="stable")[:wanted]]
    names = [table.generator_names[code] for code in codes[chosen]]
    return usable[chosen[sorted(range(len(chosen)), key=lambda i: (names[i], usable[chosen[i]]))]]


def _asked(table: ImageTable, usable: Rows, generators: Sequence[str], index: Sequence[int], count: int | None) -> Rows:
    if generators or count is not None:
        raise InputError("the index names the images: leave out generators and count")
    if len(index) > MOST:
        raise InputError(f"a contact sheet shows at most {MOST} images, found {len(index)}")
    for row in index:
        if not 0 <= row < len(table):
            raise InputError(f"split {table.split!r} has no row {row}; rows are 0..{len(table) - 1}")
    unused = [row for row in index if row not in set(usable.tolist())]
    if unused:
        raise InputError(f"row {unused[0]} of split {table.split!r} is not used by a run of this configuration")
    return np.array(index, dtype=np.int64)


def _code(table: ImageTable, name: str) -> int:
    known = {one or REAL: code for code, one in enumerate(table.generator_names)}
    if name not in known:
        hint = nearest(name, known) or f"; found {', '.join(sorted(known))}"
        raise InputError(f"split {table.split!r} has no image of {name!r}{hint}")
    return known[name]
