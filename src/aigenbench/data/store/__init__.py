"""Rows computed once and kept on disk."""

from aigenbench.data.store.blocks import DamagedError
from aigenbench.data.store.rows import StoredRows
from aigenbench.data.store.store import Block, Store, check_room, share_of, stores_in
from aigenbench.data.store.together import Blocks, StoredTogether

__all__ = [
    "Block",
    "Blocks",
    "DamagedError",
    "Store",
    "StoredRows",
    "StoredTogether",
    "check_room",
    "share_of",
    "stores_in",
]
