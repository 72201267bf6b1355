"""The names by which images are known in every copy of a data set (protocol section 4, Identity)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from aigenbench.data.sources.tables import ImageTable
from aigenbench.protocol.identity import Keys, image_keys

FILE_ID = "file_id"


def keys_of(table: ImageTable, rows: npt.NDArray[np.int64]) -> Keys:
    """The key of each of these rows, uint64 (n,): of its ``file_id``, which for a folder is the path in its index.

    A row without one is known by its number and the length of its file, which another copy need not share.
    """
    names = table.columns[FILE_ID][rows].tolist() if FILE_ID in table.columns else [""] * len(rows)
    if not all(names):
        sizes = table.store.sizes()
        lengths = sizes[rows].tolist() if len(sizes) else [-1] * len(rows)
        numbered = zip(names, rows.tolist(), lengths, strict=True)
        names = [str(name) if name else f"{row} {length}" for name, row, length in numbered]
    return image_keys(map(str, names))
