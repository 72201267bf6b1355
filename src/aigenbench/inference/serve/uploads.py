"""The body of a request: read in bounds of size and time, and kept in memory alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.exceptions import HTTPException
from starlette.requests import Request

MOST_IMAGES = 16
"""In one request."""
MOST_FIELDS = 32
LONGEST_FIELD = 1024
LONGEST_HEADER = 4096
CHUNK_SECONDS = 10.0
"""Without a byte, after which a request is cut."""
UPLOAD_SECONDS = 60.0
"""For a whole body."""


@dataclass(frozen=True)
class Upload:
    """What a form brought: pictures with their names, and the values of its other fields."""

    pictures: list[tuple[str, bytes]]
    fields: dict[str, list[str]]


async def read_upload(request: Request, most_bytes: int) -> Upload:
    """Read a ``multipart/form-data`` body.

    Args:
        request: whose body has not been read.
        most_bytes: of the body, counted as it comes.

    Raises:
        HTTPException: 400 where it is malformed or has no picture, 408 where it stalls, 413 beyond a limit, 415 where
            it is of another kind.
    """
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind != b"multipart/form-data":
        raise HTTPException(415, "expected multipart/form-data with a field image, as curl -F image=@FILE sends")
    if not options.get(b"boundary"):
        raise HTTPException(400, "a form without a boundary")
    form = _Form(options[b"boundary"])
    try:
        async with asyncio.timeout(UPLOAD_SECONDS):
            async for chunk in _bounded(request, most_bytes):
                form.parser.write(chunk)
        form.parser.finalize()
    except FormParserError as error:
        raise HTTPException(400, "not a form that can be read") from error
    except TimeoutError as error:
        raise HTTPException(408, "the upload stalled", {"Connection": "close"}) from error
    return _upload(form.parts)


async def _bounded(request: Request, most_bytes: int) -> AsyncGenerator[bytes, None]:
    too_large = HTTPException(413, f"larger than {most_bytes / 2**20:g} MiB, the most this server takes at once")
    if int(request.headers.get("content-length", 0)) > most_bytes:
        raise too_large
    chunks, received = request.stream(), 0
    while True:
        try:
            chunk = await asyncio.wait_for(anext(chunks), CHUNK_SECONDS)
        except StopAsyncIteration:
            return
        received += len(chunk)
        if received > most_bytes:
            raise too_large
        yield chunk


@dataclass
class _Part:
    """Of a form: its ``Content-Disposition``, and what it holds."""

    disposition: bytes = b""
    content: bytearray = field(default_factory=bytearray)


class _Form:
    """Parts as they come; a library's own form would put large ones on disk."""

    def __init__(self, boundary: bytes) -> None:
        self.parts: list[_Part] = []
        self._header, self._value = bytearray(), bytearray()
        self.parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._on_part_begin,
                "on_header_field": lambda data, start, end: self._add(self._header, data[start:end]),
                "on_header_value": lambda data, start, end: self._add(self._value, data[start:end]),
                "on_header_end": self._on_header_end,
                "on_part_data": lambda data, start, end: self.parts[-1].content.extend(data[start:end]),
            },
        )

    def _on_part_begin(self) -> None:
        if len(self.parts) == MOST_IMAGES + MOST_FIELDS:
            raise HTTPException(400, f"more than {MOST_IMAGES} pictures or {MOST_FIELDS} other fields")
        self.parts.append(_Part())

    @staticmethod
    def _add(to: bytearray, more: bytes) -> None:
        if len(to) + len(more) > LONGEST_HEADER:
            raise FormParserError("a header of a part is too long")
        to.extend(more)

    def _on_header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self.parts[-1].disposition = bytes(self._value)
        self._header.clear()
        self._value.clear()


def _upload(parts: list[_Part]) -> Upload:
    upload = Upload([], {})
    for part in parts:
        _, options = parse_options_header(part.disposition)
        name = options.get(b"name", b"").decode("utf-8", "replace")
        file_name = options.get(b"filename")
        if file_name is None:
            value = part.content[:LONGEST_FIELD].decode("utf-8", "replace")
            upload.fields.setdefault(name, []).append(value)
        # a browser sends an empty, nameless file where none was chosen
        elif name == "image" and (file_name or part.content):
            upload.pictures.append((file_name.decode("utf-8", "replace"), bytes(part.content)))
    if not upload.pictures:
        raise HTTPException(400, "no picture: expected files in the field image")
    if len(upload.pictures) > MOST_IMAGES:
        raise HTTPException(400, f"{len(upload.pictures)} pictures; at most {MOST_IMAGES} in a request")
    return upload
