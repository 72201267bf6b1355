"""Files that appear whole or not at all, and files of strangers: regular ones only, of bounded size."""

from __future__ import annotations

import codecs
import hashlib
import io
import json
import os
import re
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from aigenbench.errors import InputError, MissingFileError
from aigenbench.fences import check_fence, staging_of
from aigenbench.json_text import parse_json

PACKAGE = Path(__file__).resolve().parent
"""Where this package's own files are."""

LARGEST_TEXT = 64 * 2**20
"""Bytes of a text file, CSV included; what it becomes in memory is several times that."""
LARGEST_JSON = 16 * 2**20

_MARKS = (
    # the longer ones first: UTF-32 begins as UTF-16 does
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# control characters, ends of lines, and surrogates, which stand for bytes that are not UTF-8
_ODD = re.compile("[\\\\\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def user_path(path: Path | str) -> Path:
    """A path as a user gave it, with ``~`` and ``~name`` replaced; the one place that does so.

    Where nobody has that name, the path stays as it is.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def read_regular(path: Path) -> bytes:
    """The bytes of a file, never those of a pipe or device, which may have no end.

    Raises:
        OSError: there is no such file, it is of another kind, or it cannot be read.
    """
    with open_regular(path) as file:
        return file.read()


def open_regular(path: Path) -> io.BufferedReader:
    """A file opened for reading bytes; a pipe, device or folder is refused, and none is waited for.

    Raises:
        OSError: as of `read_regular`.
    """
    try:
        # without O_NONBLOCK, opening a pipe waits for a writer
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except ValueError as error:
        # a NUL byte in the name
        raise OSError(f"{str(path)!r}: {error}") from error
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    raise OSError("it is no regular file but a folder, pipe or device")


def file_sha256(path: Path) -> str:
    """SHA-256 of a regular file's content, in lower-case hex digits."""
    with open_regular(path) as data:
        return hashlib.file_digest(data, "sha256").hexdigest()


def read_bytes(path: Path | str, largest: int = LARGEST_TEXT) -> bytes:
    """The bytes of a regular file.

    Raises:
        MissingFileError: there is no such file.
        InputError: it is of another kind, has more than ``largest`` bytes, or cannot be read.
    """
    path = Path(path)
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            data = file.read() if size <= largest else b""
    except FileNotFoundError:
        raise MissingFileError(f"{path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    if size > largest:
        raise InputError(f"{path} has {size} bytes; at most {largest} are read of such a file")
    return data


def read_text(path: Path | str, largest: int = LARGEST_TEXT) -> str:
    """The text of a file in UTF-8, or in another of Unicode's encodings if a byte order mark says so.

    Raises:
        InputError: as of `read_bytes`, or it is not such a text.
    """
    return decoded(read_bytes(path, largest), str(path))


def decoded(data: bytes, where: str) -> str:
    """``data`` as text, as `read_text` reads it; ``where`` is what an error calls it."""
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{where}, line {line}: not {encoding.removesuffix('-sig').upper()} text (byte {data[error.start]:#04x}); "
            "save it as UTF-8"
        ) from error
    if "\0" in text:
        raise InputError(f"{where} is not a text file (it holds NUL bytes); save it as UTF-8")
    return text


def read_json(path: Path | str, kind: type | None = dict, largest: int = LARGEST_JSON) -> Any:
    """The value in a JSON file of at most ``largest`` bytes, as `parse_json` reads it.

    Raises:
        InputError: as of `read_text` and `parse_json`.
    """
    return parse_json(read_text(path, largest), str(path), kind)


class Root:
    """A folder, and the paths that a file in it names: they stay inside, through links too.

    Args:
        folder: the root.
        follow_links: let links and names lead anywhere, where the user has said so.
    """

    def __init__(self, folder: Path | str, follow_links: bool = False) -> None:
        self._folder = Path(folder)
        self._follow_links = follow_links
        self._real = os.path.realpath(folder)
        self._known: dict[str, bool] = {}

    def path(self, name: str) -> Path:
        """Where ``name`` leads, relative to the root unless it is absolute.

        Raises:
            InputError: outside.
        """
        path = self._folder / name
        if self._follow_links:
            return path
        # a folder's links are resolved once, for all files in it
        parent = os.fspath(path.parent)
        if parent not in self._known:
            self._known[parent] = self._holds(parent)
        leads_out = path.name == ".." or (path.is_symlink() and not self._holds(os.fspath(path)))
        if leads_out or not self._known[parent]:
            raise InputError(
                f"{readable_name(str(path))} leads outside {self._folder}; "
                "put the file inside, or give --follow-links if you trust who made the folder"
            )
        return path

    def _holds(self, path: str) -> bool:
        real = os.path.realpath(path)
        return os.path.commonpath((self._real, real)) == self._real


def inside(root: Path | str, path: str, follow_links: bool = False) -> Path:
    """As `Root.path`, for a single one."""
    return Root(root, follow_links).path(path)


def readable_name(name: str) -> str:
    r"""A file's name as text that any program can show, and from which ``name_from_readable`` gives the name.

    Bytes that are not UTF-8, and control characters, become ``\x`` and two digits; a backslash then is doubled. Almost
    every name stays as it is.
    """
    if not _ODD.search(name):
        return name
    return _ODD.sub(lambda found: "\\\\" if found[0] == "\\" else _escaped(found[0]), name)


def name_from_readable(text: str) -> str:
    """What ``readable_name`` was given."""
    raw = text.encode()
    parts = re.split(rb"\\(\\|x[0-9a-f]{2})", raw)
    # odd parts are what stood behind a backslash
    parts[1::2] = [b"\\" if part == b"\\" else bytes([int(part[1:], 16)]) for part in parts[1::2]]
    return b"".join(parts).decode("utf-8", "surrogateescape")


def _escaped(letter: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in letter.encode("utf-8", "surrogateescape"))


@contextmanager
def whole_file(path: Path | str) -> Iterator[Path]:
    """Give a temporary path; on leaving without an error, fsync it and rename it to ``path``.

    Whatever happens, ``path`` holds either its old content or all of the new one, and no temporary file
    is left by a process that could still remove it.

    Raises:
        LostFolderError: another run has taken over the folder that ``path`` lies in.
    """
    path = Path(path)
    check_fence(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # the suffix stays last: writers such as numpy.savez append it where it is missing
    temporary = staging_of(path) / f".{path.stem}.{uuid.uuid4().hex[:8]}.tmp{path.suffix}"
    try:
        yield temporary
        with temporary.open("rb+") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
        fsync_folder(path.parent)
    except FileNotFoundError:
        check_fence(path)
        raise
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()


def fsync_folder(folder: Path) -> None:
    """Make the renames inside ``folder`` durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: Path | str, text: str) -> None:
    """Write ``text`` to ``path`` as UTF-8, whole or not at all."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path | str, value: Any) -> None:
    """Write ``value`` to ``path`` as indented JSON, whole or not at all."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def canonical_json(value: Any) -> str:
    """The one JSON text of ``value``: sorted keys, no blanks, UTF-8; what fingerprints are taken of."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def remove_temporaries(folder: Path) -> None:
    """Remove what writers that were killed left in ``folder``; nobody else may be writing there."""
    for path in folder.glob(".*.tmp*"):
        path.unlink(missing_ok=True)
