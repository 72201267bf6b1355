"""What a picture file may ask for: pixels, bytes, and steps of the readers that are written in Python.

All are looked at before anything is decoded. Together they hold the memory of one picture under 1.5 GB, and the time
that a small file can take within seconds.
"""

from __future__ import annotations

import io

MAXIMUM_PIXELS = 2**27
"""Of a picture; a phone's 108 megapixels are fewer."""

HEAVY_PIXELS = 5 * 10**7
"""The same where decoding takes some twenty bytes a pixel. The benchmark's own pictures have fewer."""

SLOW_PIXELS = 2**22
"""The same where Pillow's decoder is written in Python and takes a microsecond a pixel."""

MAXIMUM_SIDE = 2**20
"""Pixels along a side: OpenCV's bound."""

MAXIMUM_BYTES = 3 * MAXIMUM_PIXELS
"""Bytes of a file: as many as the largest picture has decoded."""

_READS = 2**18
"""How often a reader may read. One that is written in Python reads once or more for each chunk or segment."""

_READ_OVER = 8
_READ_BESIDE = 2**26
"""Bytes that a reader may read: so many times the file, and these. Every tag of a TIFF file may be the whole file."""


class TooMuchError(ValueError):
    """A picture beyond a limit; the message says which."""


def check_size(name: str, width: int, height: int, maximum_pixels: int) -> None:
    """Refuse a picture whose header tells a size beyond the limits.

    Raises:
        TooMuchError: it has more than ``maximum_pixels`` pixels, or a side beyond ``MAXIMUM_SIDE``.
    """
    if width * height > maximum_pixels:
        raise TooMuchError(f"{name} of more than {maximum_pixels} pixels")
    if max(width, height) > MAXIMUM_SIDE:
        raise TooMuchError(f"{name} with a side of more than {MAXIMUM_SIDE} pixels")


class BoundedFile(io.BytesIO):
    """A file in memory that can be read only so often and so much.

    Args:
        name: of the format, as messages tell it.
        data: its bytes.

    Attributes:
        reads: how often it can still be read.
    """

    def __init__(self, name: str, data: bytes) -> None:
        super().__init__(data)
        self._name, self.reads = name, _READS
        self._bytes = _READ_OVER * len(data) + _READ_BESIDE

    def read(self, size: int | None = -1, /) -> bytes:
        """Read as any file does.

        Raises:
            TooMuchError: too often or too much.
        """
        content = super().read(size)
        self.reads -= 1
        self._bytes -= len(content)
        if self.reads < 0 or self._bytes < 0:
            raise TooMuchError(f"{self._name} of far too many parts")
        return content
