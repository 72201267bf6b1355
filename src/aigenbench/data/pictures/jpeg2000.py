"""How much memory a JPEG 2000 file takes to decode, by its headers: its code-blocks may be as small as 4 x 4 pixels."""

from __future__ import annotations

from collections.abc import Iterator

from aigenbench.data.pictures.limits import TooMuchError

MAXIMUM_MEMORY = 1.35e9
_PIXEL, _SAMPLE, _BLOCK = 5, 5, 1400
"""Bytes that OpenJPEG and Pillow keep for a pixel, for each of its components, and for a code-block or precinct."""

MAXIMUM_SEGMENTS = 2**17
"""Segments of the file's header and of those of the parts of its tiles."""

_START = b"\xff\x4f\xff\x51"
_SIZE, _STYLE, _STYLE_OF_ONE, _TILE_PART, _DATA = 0xFF51, 0xFF52, 0xFF53, 0xFF90, 0xFF93


def check_memory(data: bytes) -> None:
    """Refuse a file that would take too much memory.

    Raises:
        TooMuchError: more than ``MAXIMUM_MEMORY``, or its header has more than ``MAXIMUM_SEGMENTS`` segments.
    """
    # a file of boxes may hold several, of which the decoder chooses
    start = data.find(_START)
    while start >= 0:
        pixels = samples = 0
        for marker, content in _segments(data, start + 2):
            blocks = 0.0
            if marker == _SIZE:
                width, height = (_number(content, at, 4) - _number(content, at + 8, 4) for at in (2, 6))
                pixels = width * height
                samples = pixels * _number(content, 34, 2)
            elif marker == _STYLE and len(content) >= 10:
                blocks = samples * _density(content[0], content[5:])
            elif marker == _STYLE_OF_ONE and len(content) >= 7:
                blocks = samples * _density(content[1], content[2:])
            if _PIXEL * pixels + _SAMPLE * samples + _BLOCK * blocks > MAXIMUM_MEMORY:
                raise TooMuchError("JPEG 2000 of too many pixels or code-blocks")
        start = data.find(_START, start + len(_START))


def _segments(data: bytes, position: int) -> Iterator[tuple[int, bytes]]:
    """Marker and content of the segments of the main header and of the headers of all tile parts."""
    next_part = 0
    for _ in range(MAXIMUM_SEGMENTS):
        marker, length = _number(data, position, 2), _number(data, position + 2, 2)
        if marker == _DATA:
            position = next_part
            continue
        content = data[position + 4 : position + 2 + length]
        if marker < 0xFF00 or length < 2 or len(content) < length - 2:
            return
        yield marker, content
        if marker == _TILE_PART:
            next_part = position + max(_number(content, 2, 4), length)
        position += 2 + length
    raise TooMuchError(f"JPEG 2000 of more than {MAXIMUM_SEGMENTS} segments")


def _density(style: int, content: bytes) -> float:
    """Code-blocks and precincts a sample, over all resolutions; ``content`` begins with the number of these."""
    levels = min(content[0], 32)
    # without sizes of their own, precincts are the largest there are
    precincts = content[5:] if style & 1 else b""
    sizes = precincts.ljust(levels + 1, b"\xff")
    found = 0.0
    for level in range(levels + 1):
        across, down = sizes[level] & 15, sizes[level] >> 4
        share = 0.25 ** (levels - level)
        blocks = min(content[1] + 2, max(across - (level > 0), 0)) + min(content[2] + 2, max(down - (level > 0), 0))
        found += share * (2.0**-blocks + 2.0 ** -(across + down))
    return found


def _number(data: bytes, start: int, length: int) -> int:
    return int.from_bytes(data[start : start + length], "big")
