"""Reading what a store holds, through memory maps."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from aigenbench.data.store.blocks import BlockIndex, Keys, Layout, map_rows, read_index, row_sums
from aigenbench.errors import InputError

MAPS_AT_ONCE = 256
"""Before Python 3.13 every map holds a file open, and a process may have 1,024 of them."""


class StoredRows:
    """The rows of a store's whole blocks, by key.

    Pickles as paths alone; processes that open the same files share the system's page cache.

    Args:
        layout: of the store.
        indices: of its blocks.
    """

    def __init__(self, layout: Layout, indices: Sequence[BlockIndex]) -> None:
        self._layout = layout
        self._indices = tuple(indices)
        self._maps: OrderedDict[int, npt.NDArray[Any]] = OrderedDict()
        keys = np.concatenate([np.empty(0, np.int64), *(index.keys for index in indices)])
        # where two builds of overlapping keys ran at once, a key may stand twice: the first is as good
        self._keys, first = np.unique(keys, return_index=True)
        sizes = [len(index.keys) for index in indices]
        self._block = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)[first]
        self._row = np.concatenate([np.empty(0, np.int32), *(np.arange(n, dtype=np.int32) for n in sizes)])[first]
        self._sums = np.concatenate([np.empty(0, np.uint64), *(index.sums for index in indices)])[first]

    def __getstate__(self) -> tuple[Layout, list[Path]]:
        return self._layout, [index.path for index in self._indices]

    def __setstate__(self, state: tuple[Layout, list[Path]]) -> None:
        layout, paths = state
        # __init__ again, in another process
        StoredRows.__init__(self, layout, [read_index(path, layout) for path in paths])

    def __len__(self) -> int:
        return len(self._keys)

    def __contains__(self, key: int) -> bool:
        return bool(self.has(np.array([key]))[0])

    @property
    def keys(self) -> Keys:
        """All keys, sorted; int64 (len(self),)."""
        return self._keys

    def has(self, keys: Keys) -> npt.NDArray[np.bool_]:
        """Which of ``keys`` are stored; bool (n,)."""
        if not len(self._keys):
            return np.zeros(len(keys), dtype=bool)
        at = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        return np.asarray(self._keys[at] == keys)

    def row(self, key: int) -> npt.NDArray[Any]:
        """One row, in the memory map, read-only: shape and dtype of the store's rows.

        Raises:
            KeyError: it is not stored.
            InputError: it is damaged.
        """
        at = int(np.searchsorted(self._keys, key))
        if at == len(self._keys) or self._keys[at] != key:
            raise KeyError(key)
        block = int(self._block[at])
        stored: npt.NDArray[Any] = self._map(block)[self._row[at]]
        if row_sums(stored[np.newaxis])[0] != self._sums[at]:
            raise self._damaged(block, key)
        return stored

    def take(self, keys: Keys) -> npt.NDArray[Any]:
        """Rows in the order of ``keys``, gathered from the maps without reading others: (n, *shape).

        ``bfloat16`` rows come as their bits (uint16).

        Raises:
            KeyError: the first key that is not stored.
            InputError: a row is damaged.
        """
        keys = np.asarray(keys, dtype=np.int64)
        found = self.has(keys)
        if not found.all():
            raise KeyError(int(keys[~found][0]))
        at = np.searchsorted(self._keys, keys)
        rows = np.empty((len(keys), *self._layout.shape), dtype=self._layout.numpy_dtype)
        blocks = self._block[at]
        for block in np.unique(blocks):
            wanted = np.flatnonzero(blocks == block)
            rows[wanted] = self._map(int(block))[self._row[at[wanted]]]
        wrong = np.flatnonzero(row_sums(rows) != self._sums[at])
        if len(wrong):
            raise self._damaged(int(blocks[wrong[0]]), int(keys[wrong[0]]))
        return rows

    def _map(self, block: int) -> npt.NDArray[Any]:
        mapped = self._maps.get(block)
        if mapped is None:
            mapped = self._maps[block] = map_rows(self._indices[block], self._layout)
            if len(self._maps) > MAPS_AT_ONCE:
                self._maps.popitem(last=False)
        else:
            self._maps.move_to_end(block)
        return mapped

    def _damaged(self, block: int, key: int) -> InputError:
        path = self._indices[block].path
        return InputError(
            f"{path}: the row of key {key} is damaged; 'aigenbench data cache verify --remove "
            f"--cache-folder {path.parent.parent}' removes the file, then the same command computes it again"
        )
