"""The store: which rows are there, which are to be computed, and by whom."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
from filelock import FileLock, Timeout

from aigenbench.data.store.blocks import (
    DTYPES,
    FORMAT,
    BlockIndex,
    DamagedError,
    Keys,
    Layout,
    block_name,
    check_rows,
    read_index,
    write_block,
)
from aigenbench.data.store.rows import StoredRows
from aigenbench.errors import InputError
from aigenbench.files import canonical_json, read_json, user_path, write_json
from aigenbench.protocol.fingerprints import fingerprint

logger = logging.getLogger(__name__)

IDENTITY_FILE = "identity.json"
BLOCKS = "block_*.rows"
BLOCK_BYTES = 64 * 2**20
POLL_SECONDS = 0.2


class _Numbered(Protocol):
    @property
    def number(self) -> int: ...


NumberedT = TypeVar("NumberedT", bound=_Numbered)


@dataclass(frozen=True, eq=False)
class Block:
    """Rows that are computed and written together.

    Attributes:
        keys: sorted; int64 (n,).
        path: the file they go to.
        number: place among the blocks of the keys that were asked for; the same for every process that asks.
        layout: of the store.
    """

    keys: Keys
    path: Path
    number: int
    layout: Layout

    def is_stored(self) -> bool:
        """Whether the file is there; files appear whole."""
        return self.path.is_file()

    @contextmanager
    def claim(self) -> Iterator[bool]:
        """Whether this process is the one to compute the block; nobody else is while the context lasts.

        False where it is stored or held by another process. The lock is the kernel's: it ends with the process.
        """
        lock = self._lock()
        try:
            lock.acquire(blocking=False)
        except Timeout:
            yield False
            return
        try:
            if not self.is_stored():
                # what a writer of this block that was killed left behind
                for path in self.path.parent.glob(f".{self.path.stem}.*.tmp*"):
                    path.unlink(missing_ok=True)
            yield not self.is_stored()
        finally:
            if self.is_stored():
                # whoever is waiting on the removed file finds the block stored
                Path(lock.lock_file).unlink(missing_ok=True)
            lock.release()

    def wait(self, between: Callable[[], None] | None = None) -> None:
        """Wait until the block is stored, or its holder has given it up; ``between`` is called while waiting."""
        lock = self._lock()
        while not self.is_stored():
            with suppress(Timeout), lock.acquire(blocking=False):
                return
            if between is not None:
                between()
            time.sleep(POLL_SECONDS)

    def write(self, rows: npt.NDArray[Any]) -> None:
        """Store the rows, (n, *shape) in the order of the keys, whole or not at all."""
        expected = ((len(self.keys), *self.layout.shape), self.layout.numpy_dtype)
        assert (rows.shape, rows.dtype) == expected, f"expected {expected}, got {(rows.shape, rows.dtype)}"
        write_block(self.path, self.layout, self.keys, rows)

    def _lock(self) -> FileLock:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return FileLock(self.path.with_suffix(".lock"), thread_local=False)


class Store:
    """Rows of one shape under unique int64 keys, in block files of one folder.

    The folder is ``<root>/<kind>_<fingerprint>``, the fingerprint being that of the identity, shape, dtype and file
    format. Any number of processes, on any number of machines that see the folder, may read and build at once.

    Args:
        root: where stores lie.
        kind: what is stored, such as ``views``.
        identity: everything the rows are a function of, beside their keys; plain JSON values.
        shape: of a row.
        dtype: ``uint8``, ``float16``, ``bfloat16`` (held as its bits, uint16) or ``float32``.

    Raises:
        InputError: the folder is there and belongs to another identity, or to none.
    """

    def __init__(self, root: Path, kind: str, identity: Mapping[str, Any], shape: Sequence[int], dtype: str) -> None:
        assert dtype in DTYPES, f"dtype: one of {', '.join(DTYPES)}"
        self.kind = kind
        self.identity: dict[str, Any] = {
            "format": FORMAT,
            "shape": list(shape),
            "dtype": dtype,
            "identity": dict(identity),
        }
        self.layout = Layout(fingerprint(self.identity), tuple(shape), dtype)
        self.folder = user_path(root) / f"{kind}_{self.layout.store}"
        self._known: dict[Path, BlockIndex] = {}
        self._check_identity()

    def _check_identity(self) -> None:
        path = self.folder / IDENTITY_FILE
        if not self.folder.is_dir() or not (path.exists() or any(self.folder.glob(BLOCKS))):
            return
        found = _read_identity(path)
        if canonical_json(found) != canonical_json(self.identity):
            raise InputError(
                f"{path} tells of other rows than the folder's name says; remove the folder, then the same command "
                "computes it again"
            )

    def missing(self, keys: Keys) -> Keys:
        """Those of ``keys`` that are not stored, sorted, each once; int64 (m,).

        Damaged block files are told and removed, so what they held is missing.

        Raises:
            InputError: a block file belongs to another store.
        """
        keys = np.asarray(keys, dtype=np.int64)
        if np.any(keys[1:] <= keys[:-1]):
            keys = np.unique(keys)
        indices = self._indices(remove=True)
        if not indices:
            return keys
        # a tenth of the time of setdiff1d, which counts among millions of keys
        stored = np.sort(np.concatenate([index.keys for index in indices]))
        at = np.minimum(np.searchsorted(stored, keys), len(stored) - 1)
        return keys[stored[at] != keys]

    def blocks_for(self, keys: Keys, rows_a_block: int | None = None) -> list[Block]:
        """The blocks that hold what is missing of ``keys``, by default of about 64 MB.

        Blocks of a set of keys are the same whichever of them are stored already.
        """
        size = rows_a_block or self._rows_a_block()
        keys = np.unique(np.asarray(keys, dtype=np.int64))
        missing = self.missing(keys)
        parts = [missing[start : start + size] for start in range(0, len(missing), size)]
        numbers = np.searchsorted(keys, [part[0] for part in parts]) // size
        return [self.block(part, int(number)) for part, number in zip(parts, numbers, strict=True)]

    def block(self, keys: Keys, number: int) -> Block:
        """The block of keys, sorted, none of which is stored."""
        path = self.folder / IDENTITY_FILE
        if not path.is_file():
            write_json(path, self.identity)
        return Block(keys, self.folder / block_name(keys), number, self.layout)

    def bytes_needed(self, keys: Keys) -> int:
        """Bytes on disk that what is missing of ``keys`` will take."""
        size = self._rows_a_block()
        whole, rest = divmod(len(self.missing(keys)), size)
        return whole * self.layout.file_bytes(size) + (self.layout.file_bytes(rest) if rest else 0)

    def _rows_a_block(self) -> int:
        return max(1, BLOCK_BYTES // self.layout.row_bytes)

    def check_room(self, keys: Keys) -> None:
        """As the function ``check_room``, of this store alone."""
        check_room([self], keys)

    def open(self) -> StoredRows:
        """What is stored now; damaged block files are told and left out."""
        return StoredRows(self.layout, self._indices(remove=False))

    def verify(self, remove: bool = False) -> dict[Path, str]:
        """Read every block file in full and compare checksums; returns what is wrong, by file.

        Args:
            remove: remove the damaged files, so that they are computed again.

        Raises:
            InputError: something is no file.
        """
        paths = sorted(self.folder.glob(BLOCKS))
        for path in paths:
            if path.exists() and not path.is_file():
                raise InputError(f"{path} is no regular file; move it away")
        with ThreadPoolExecutor() as threads:
            reasons = threads.map(self._damage, paths)
            damaged = {path: reason for path, reason in zip(paths, reasons, strict=True) if reason}
        for path in damaged if remove else ():
            path.unlink(missing_ok=True)
        return damaged

    def _damage(self, path: Path) -> str:
        try:
            check_rows(path, self.layout)
        except FileNotFoundError:
            # another process has just removed it
            return ""
        except (DamagedError, InputError) as error:
            return str(error)
        return ""

    def _indices(self, remove: bool) -> list[BlockIndex]:
        indices = {}
        for path in sorted(self.folder.glob(BLOCKS)):
            known = self._known.get(path)
            try:
                indices[path] = known if known is not None else read_index(path, self.layout)
            except DamagedError as error:
                logger.warning("%s is damaged: %s; %s", path, error, "computed again" if remove else "left out")
                if remove:
                    path.unlink(missing_ok=True)
            except FileNotFoundError:
                # another process has just removed a damaged file
                continue
        self._known = indices
        return list(indices.values())


def check_room(stores: Sequence[Store], keys: Keys) -> None:
    """Tell how much disk what is missing of ``keys`` takes in stores of one root.

    Raises:
        InputError: there is less.
    """
    needed = sum(store.bytes_needed(keys) for store in stores)
    first = stores[0].folder
    place = next(p for p in (first, *first.absolute().parents) if p.is_dir())
    free = shutil.disk_usage(place).free
    what = f"{first} takes" if len(stores) == 1 else f"{len(stores)} stores in {first.parent} take"
    told = f"{what} {needed / 1e9:.3g} GB more; {free / 1e9:.3g} GB are free"
    if free < needed:
        raise InputError(f"{told}: make room, choose another data.cache_folder, or build less (data.cache)")
    logger.info("%s", told)


def share_of(blocks: Sequence[NumberedT], index: int, count: int) -> list[NumberedT]:
    """The blocks that process ``index`` of ``count`` computes: disjoint and complete, whatever is stored already."""
    return [block for block in blocks if block.number % count == index]


def stores_in(root: Path) -> list[Store]:
    """The stores below a folder, by name.

    Raises:
        InputError: an identity file is damaged or tells of another store than its folder's name.
    """
    return [_store_at(path.parent) for path in sorted(root.glob(f"*/{IDENTITY_FILE}"))]


def _store_at(folder: Path) -> Store:
    found = _read_identity(folder / IDENTITY_FILE)
    kind = folder.name.rpartition("_")[0]
    store = Store(folder.parent, kind, found["identity"], found["shape"], found["dtype"])
    if store.folder != folder:
        raise InputError(f"{folder / IDENTITY_FILE} tells of other rows than the folder's name says; remove the folder")
    return store


def _read_identity(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = read_json(path)
    except InputError as error:
        raise InputError(f"{error}; remove the folder {path.parent}") from error
    shape = found.get("shape")
    if (
        not isinstance(found.get("identity"), dict)
        or not isinstance(shape, list)
        or not all(type(n) is int and n > 0 for n in shape)
        or not isinstance(found.get("dtype"), str)
        or found["dtype"] not in DTYPES
    ):
        raise InputError(f"{path} is not the identity of a store; remove the folder {path.parent}")
    return found
