"""Files that appear whole or not at all."""

from __future__ import annotations

import json
import os
import re
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).resolve().parent
"""Where this package's own files are."""

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
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(f"{path} is no regular file")
    return path.read_bytes()


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
    """Give a temporary path beside ``path``; on leaving without an error, fsync it and rename it to ``path``.

    Whatever happens, ``path`` holds either its old content or all of the new one, and no temporary file
    is left by a process that could still remove it.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # the suffix stays last: writers such as numpy.savez append it where it is missing
    temporary = path.with_name(f".{path.stem}.{uuid.uuid4().hex[:8]}.tmp{path.suffix}")
    try:
        yield temporary
        with temporary.open("rb+") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
        fsync_folder(path.parent)
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
