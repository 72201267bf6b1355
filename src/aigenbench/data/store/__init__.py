"""Rows computed once and kept on disk."""

from aigenbench.data.store.blocks import DamagedError
from aigenbench.data.store.pictures import Pictures, pictures_in
from aigenbench.data.store.rows import StoredRows
from aigenbench.data.store.store import Block, Store, check_room, share_of, stores_in
from aigenbench.data.store.together import Blocks, StoredTogether

__all__ = [
    "Block",
    "Blocks",
    "DamagedError",
    "Pictures",
    "Store",
    "StoredRows",
    "StoredTogether",
    "check_room",
    "pictures_in",
    "share_of",
    "stores_in",
]
