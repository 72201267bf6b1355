"""What goes between the server and its workers: JSON and, after it, the bytes of a picture; never a pickle."""

from __future__ import annotations

import json
import struct
from asyncio import StreamReader
from typing import Any, BinaryIO

_LENGTHS = struct.Struct(">II")

Frame = tuple[Any, bytes]


def pack(value: Any, body: bytes = b"") -> bytes:
    """A frame: both lengths, the value as JSON, the body."""
    text = json.dumps(value).encode()
    return _LENGTHS.pack(len(text), len(body)) + text + body


def read(file: BinaryIO) -> Frame | None:
    """The next frame of a pipe; None at its end."""
    lengths = file.read(_LENGTHS.size)
    if len(lengths) < _LENGTHS.size:
        return None
    of_text, of_body = _LENGTHS.unpack(lengths)
    return json.loads(file.read(of_text)), file.read(of_body)


async def receive(reader: StreamReader) -> Frame:
    """The same, on the server's side.

    Raises:
        asyncio.IncompleteReadError: the pipe ended.
    """
    of_text, of_body = _LENGTHS.unpack(await reader.readexactly(_LENGTHS.size))
    return json.loads(await reader.readexactly(of_text)), await reader.readexactly(of_body)
