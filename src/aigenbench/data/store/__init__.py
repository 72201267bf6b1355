"""Rows computed once and kept on disk."""

from aigenbench.data.store.blocks import DamagedError
from aigenbench.data.store.pictures import Pictures, pictures_in
from aigenbench.data.store.rows import StoredRows
from aigenbench.data.store.store import Block, Store, share_of, stores_in

__all__ = ["Block", "DamagedError", "Pictures", "Store", "StoredRows", "pictures_in", "share_of", "stores_in"]
