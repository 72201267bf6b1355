"""The body of a request: read in bounds of size and time, and kept in memory alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

MOST_IMAGES = 16
"""In one request."""
MOST_FIELDS = 32
LONGEST_FIELD = 1024
CHUNK_SECONDS = 10.0
"""Without a byte, after which a request is cut."""
UPLOAD_SECONDS = 60.0
"""For a whole body."""


@dataclass(frozen=True)
class Upload:
    """What a form brought: pictures with their names, and its other fields."""

    pictures: list[tuple[str, bytes]]
    fields: FormData


async def read_upload(request: Request, most_bytes: int) -> Upload:
    """Read a ``multipart/form-data`` body.

    Args:
        request: whose body has not been read.
        most_bytes: of the body, counted as it comes.

    Raises:
        HTTPException: 400 where it is malformed or has no picture, 408 where it stalls, 413 beyond a limit, 415 where
            it is of another kind.
    """
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        raise HTTPException(415, "expected multipart/form-data with a field image, as curl -F image=@FILE sends")
    # the space is what decides that no part of it is written to disk
    parser = _InMemory(
        request.headers,
        _bounded(request, most_bytes),
        max_files=MOST_IMAGES,
        max_fields=MOST_FIELDS,
        max_part_size=LONGEST_FIELD,
    )
    parser.spool_max_size = most_bytes + 1
    try:
        async with asyncio.timeout(UPLOAD_SECONDS):
            form = await parser.parse()
    except MultiPartException as error:
        raise HTTPException(400, f"not a form that can be read: {error.message}") from error
    except TimeoutError as error:
        raise HTTPException(408, "the upload stalled", {"Connection": "close"}) from error
    pictures = [one for one in form.getlist("image") if isinstance(one, UploadFile)]
    # a browser sends an empty, nameless file where none was chosen
    named = [(one.filename or "", await one.read()) for one in pictures if one.filename or one.size]
    await form.close()
    if not named:
        raise HTTPException(400, "no picture: expected files in the field image")
    return Upload(named, FormData([(key, value) for key, value in form.multi_items() if isinstance(value, str)]))


class _InMemory(MultiPartParser):
    """Starlette's, with a limit of its own for what is kept in memory."""


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
