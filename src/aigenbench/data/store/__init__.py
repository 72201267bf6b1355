"""Rows computed once and kept on disk."""

from aigenbench.data.store.blocks import DamagedError
from aigenbench.data.store.rows import StoredRows
from aigenbench.data.store.store import Block, Store, share_of, stores_in

__all__ = ["Block", "DamagedError", "Store", "StoredRows", "share_of", "stores_in"]
