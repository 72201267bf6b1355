"""Rows computed once and kept on disk."""

from aigenbench.data.cache.blocks import DamagedError
from aigenbench.data.cache.rows import StoredRows
from aigenbench.data.cache.store import Block, Store, share_of, stores_in

__all__ = ["Block", "DamagedError", "Store", "StoredRows", "share_of", "stores_in"]
