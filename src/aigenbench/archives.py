"""Zip files and NumPy archives of strangers: looked at before anything is unpacked, and read within bounds."""

from __future__ import annotations

import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from aigenbench.errors import InputError, MissingFileError
from aigenbench.files import open_regular

LARGEST = 2 * 2**30
"""Bytes an archive may unpack to."""
ALWAYS_READ = 64 * 2**20
LARGEST_RATIO = 20
"""Beyond `ALWAYS_READ` bytes, how many times its own size: numbers seldom shrink to less than a third."""
MOST_MEMBERS = 1000
_LARGEST_DIRECTORY = 256 * MOST_MEMBERS
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_END = b"PK\x05\x06"
_END_64 = b"PK\x06\x07"
_DAMAGES = (
    *(zipfile.BadZipFile, zlib.error, struct.error, EOFError),
    *(NotImplementedError, RuntimeError, ValueError, OverflowError),
)
"""What reading a damaged zip file ends in."""
# what NumPy writes for arrays without fields; evaluating it would be reading code of a stranger
_KIND = r"\|b1|\|[iu]1|[<>=][iu][248]|[<>=]f[248]|[<>=]U[1-9]\d{0,6}"
_HEADER = re.compile(
    rf"\{{'descr': '({_KIND})', 'fortran_order': (True|False), 'shape': \(((?:\d{{1,15}}(?:, |,)?){{0,4}})\), \}} *\n"
)
_MAGIC = b"\x93NUMPY"
_LONGEST_HEADER = 10_000


@contextmanager
def open_zip(path: Path | str) -> Iterator[zipfile.ZipFile]:
    """A zip file whose members are told by an `InputError` to be unsound before any is read.

    They are stored or deflated, regular files, named once and inside, and unpack to a bounded size; a member then never
    gives more bytes than its header states. What goes wrong in reading them is an `InputError` too.
    """
    try:
        with open_regular(Path(path)) as file:
            _check_directory(file)
            with zipfile.ZipFile(file) as archive:
                _check_members(archive.infolist(), file.seek(0, 2))
                yield archive
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except FileNotFoundError:
        raise MissingFileError(f"{path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    except _DAMAGES as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path} is not a readable zip file: {reason}") from error


def read_npz(path: Path | str, names: Collection[str]) -> dict[str, NDArray[Any]]:
    """Arrays of an ``.npz`` file: numbers and text, no pickled objects.

    Args:
        path: the file.
        names: which to read; those that are not there are left out.

    Raises:
        InputError: as of `open_zip`, or a member is no such array, or not of the size that its header states.
    """
    with open_zip(path) as archive:
        members = {entry.filename.removesuffix(".npy"): entry for entry in archive.infolist()}
        return {name: _array(archive, entry) for name, entry in members.items() if name in names}


def _check_directory(file: BinaryIO) -> None:
    """A list of members that is out of all proportion would be read whole before it could be counted."""
    size = file.seek(0, 2)
    file.seek(max(size - 22 - 2**16 - 20, 0))
    tail = file.read()
    at = len(tail) - 22 if tail[-22:-18] == _END and tail.endswith(b"\0\0") else tail.rfind(_END)
    if at < 0 or len(tail) < at + 22:
        raise zipfile.BadZipFile("it has no end; is it cut short?")
    if tail[max(at - 20, 0) : at].startswith(_END_64):
        raise InputError("a zip file of more than 65,535 members or 4 GiB; none such is read")
    if int.from_bytes(tail[at + 12 : at + 16], "little") > _LARGEST_DIRECTORY:
        raise InputError(f"more than {MOST_MEMBERS} files stand in it")
    file.seek(0)


def _check_members(entries: list[zipfile.ZipInfo], packed: int) -> None:
    if len(entries) > MOST_MEMBERS:
        raise InputError(f"{len(entries)} files stand in it; at most {MOST_MEMBERS} are read")
    seen: set[str] = set()
    for entry in entries:
        name = entry.filename
        if not name:
            raise InputError("a file in it has no name")
        if name.startswith(("/", "\\")) or ".." in Path(name.replace("\\", "/")).parts or ":" in name:
            raise InputError(f"the name {name!r} leaves the archive's folder")
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise InputError(f"{name!r} is a link")
        if entry.is_dir():
            raise InputError(f"{name!r} is a folder; files only are read")
        if name in seen:
            raise InputError(f"a file stands in it twice: {name!r}")
        seen.add(name)
        if entry.compress_type not in _METHODS:
            raise InputError(f"{name!r} is packed by method {entry.compress_type}; stored and deflated files are read")
        if entry.flag_bits & 1:
            raise InputError(f"{name!r} is encrypted")
    size, largest = sum(entry.file_size for entry in entries), min(LARGEST, ALWAYS_READ + LARGEST_RATIO * packed)
    if size > largest:
        raise InputError(f"would unpack to {size} bytes; at most {largest} are read of a file of {packed}")


def _array(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> NDArray[Any]:
    with archive.open(entry) as member:
        start = member.read(8)
        width = {b"\x01\x00": 2, b"\x02\x00": 4}.get(start[6:])
        if start[:6] != _MAGIC or width is None:
            raise InputError(f"{entry.filename!r} is not a NumPy array of format 1 or 2")
        length = int.from_bytes(member.read(width), "little")
        header = member.read(min(length, _LONGEST_HEADER)).decode("latin-1")
        found = _HEADER.fullmatch(header)
        if found is None:
            raise InputError(f"{entry.filename!r} is not an array of numbers or text, but of {header[:80].strip()!r}")
        kind = np.dtype(found[1])
        shape = tuple(int(n) for n in found[3].replace(" ", "").split(",") if n)
        size = entry.file_size - len(start) - width - length
        # before anything of that size is allocated
        if prod(shape) * kind.itemsize != size:
            raise InputError(f"{entry.filename!r} states {kind} {shape}, which {size} bytes are not")
        array = np.empty(prod(shape), kind)
        array.view(np.uint8)[:] = np.frombuffer(member.read(size), np.uint8)
    if kind.kind == "U":
        _check_text(array, entry.filename)
    return array.reshape(shape, order="F" if found[2] == "True" else "C")


def _check_text(array: NDArray[Any], name: str) -> None:
    letters = array.view(array.dtype.byteorder.replace("|", "=") + "u4")
    if ((letters > 0x10FFFF) | ((letters >= 0xD800) & (letters < 0xE000))).any():
        raise InputError(f"{name!r} holds letters that are none")
