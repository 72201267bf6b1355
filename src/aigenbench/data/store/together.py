"""Rows of several stores under the same keys, computed together and read as one."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from aigenbench.data.store.blocks import Keys, block_name
from aigenbench.data.store.rows import StoredRows
from aigenbench.data.store.store import Block, Store

NameT = TypeVar("NameT", bound=Hashable)


@dataclass(frozen=True)
class Blocks(Generic[NameT]):
    """Blocks of the same keys in several stores.

    Attributes:
        keys: sorted; int64 (n,).
        number: as of `Block`.
        of: by the stores' names.
    """

    keys: Keys
    number: int
    of: Mapping[NameT, Block]

    @contextmanager
    def claim(self) -> Iterator[Blocks[NameT]]:
        """Those that this process is the one to compute, while the context lasts; none where others are at it."""
        with ExitStack() as claims:
            yield replace(self, of={name: one for name, one in self.of.items() if claims.enter_context(one.claim())})

    def first(self, n: int) -> Blocks[NameT]:
        """Of the first ``n`` keys."""
        keys = self.keys[:n]
        of = {name: replace(one, keys=keys, path=one.path.with_name(block_name(keys))) for name, one in self.of.items()}
        return Blocks(keys, self.number, of)


def blocks_for(stores: Mapping[NameT, Store], keys: Keys, rows_a_block: int) -> list[Blocks[NameT]]:
    """What is missing of ``keys``, rows that the same stores lack together; of one store, its own ``blocks_for``.

    Args:
        stores: by name.
        keys: sorted, int64 (n,).
        rows_a_block: at most.
    """
    lacks = np.zeros((len(keys), len(stores)), dtype=bool)
    for column, store in enumerate(stores.values()):
        lacks[np.searchsorted(keys, store.missing(keys)), column] = True
    found: list[Blocks[NameT]] = []
    for pattern in np.unique(lacks[lacks.any(axis=1)], axis=0):
        alike = np.flatnonzero((lacks == pattern).all(axis=1))
        of = [(name, store) for (name, store), lacking in zip(stores.items(), pattern, strict=True) if lacking]
        for start in range(0, len(alike), rows_a_block):
            own = keys[alike[start : start + rows_a_block]]
            number = int(alike[start]) // rows_a_block
            found.append(Blocks(own, number, {name: store.block(own, number) for name, store in of}))
    return found


class StoredTogether:
    """The rows of several stores, each key's concatenated along the last axis."""

    def __init__(self, rows: Sequence[StoredRows]) -> None:
        self._rows = tuple(rows)

    def take(self, keys: Keys) -> npt.NDArray[Any]:
        """As of `StoredRows`."""
        return np.concatenate([one.take(keys) for one in self._rows], axis=-1)
