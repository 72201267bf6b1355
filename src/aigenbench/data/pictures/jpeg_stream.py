"""The segments of a JPEG file, and whether they stand as the standard says: told without decoding anything."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from aigenbench.data.pictures.limits import TooMuchError

EXIF_START = b"Exif\0\0"

MAXIMUM_SEGMENTS = 4096
"""Segments and scans of a file. Long colour profiles and depth maps take some hundred."""

MAXIMUM_SCANNED = 10**9
"""Pixels times scans. The ten scans of a usual progressive file may have a hundred megapixels, for which all
coefficients are kept; a scan takes time however few bytes it has."""

_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PLAIN_FRAMES = (0xC0, 0xC1, 0xC2)
"""Baseline, extended and progressive; what other kinds give is Pillow's to say."""
_PROGRESSIVE = 0xC2
_HUFFMAN, _QUANTIZATION, _RESTARTS, _SCAN, _END, _EXIF, _COMMENT = 0xC4, 0xDB, 0xDD, 0xDA, 0xD9, 0xE1, 0xFE
_PLAIN = frozenset({_HUFFMAN, _QUANTIZATION, _RESTARTS, _SCAN, _COMMENT, *_PLAIN_FRAMES, *range(0xE0, 0xF0)})

_BLOCK = 2**16
"""Bytes of entropy-coded data that are searched at once."""


@dataclass
class JpegStream:
    """What stands in a JPEG file up to the end of its (first) picture.

    Attributes:
        segments: marker and place of the content of every segment.
        scans: how many of them begin a scan.
        header: where the first scan begins; the length of the file without one.
        well_formed: nothing stands between segments, none is unknown or cut, restarts are in order, the end is marked.
    """

    segments: list[tuple[int, int]] = field(default_factory=list)
    scans: int = 0
    header: int = 0
    well_formed: bool = True


def read_stream(view: memoryview) -> JpegStream:
    """Walk through a JPEG file as its decoder does.

    Raises:
        TooMuchError: more than ``MAXIMUM_SEGMENTS`` segments.
    """
    levels = np.frombuffer(view, np.uint8)
    stream = JpegStream(header=len(view))
    position = 2
    while True:
        if _is_marker(view[position : position + 2]):
            at, restarts_in_order = position, True
        else:
            at, restarts_in_order = _next_marker(levels, position)
        in_scan = bool(stream.segments) and stream.segments[-1][0] == _SCAN
        if not (restarts_in_order if in_scan else at == position):
            stream.well_formed = False
        if at + 4 > len(view) or view[at + 1] == _END:
            stream.well_formed &= at + 2 <= len(view) and view[at + 1] == _END
            return stream
        marker = view[at + 1]
        stream.segments.append((marker, at + 4))
        if len(stream.segments) > MAXIMUM_SEGMENTS:
            raise TooMuchError(f"JPEG of more than {MAXIMUM_SEGMENTS} segments")
        if marker == _SCAN:
            stream.header = at if not stream.scans else stream.header
            stream.scans += 1
        if marker not in _PLAIN:
            stream.well_formed = False
        # one without a length
        position = at + 2 if marker == 1 else at + 2 + max(segment_length(view, at + 4), 2)


def _is_marker(pair: memoryview) -> bool:
    """Whether two bytes are a marker that is no restart; a second 0xFF is padding."""
    return len(pair) == 2 and pair[0] == 0xFF and pair[1] not in (0, 0xFF) and pair[1] & 0xF8 != 0xD0


def _next_marker(levels: npt.NDArray[np.uint8], position: int) -> tuple[int, bool]:
    """Where the next marker is that is no restart, and whether the restarts until there count from 0 to 7 in turn."""
    restarts: list[npt.NDArray[np.uint8]] = []
    found = len(levels)
    while position < len(levels) - 1:
        block = levels[position : position + _BLOCK + 1]
        candidates = (block[:-1] == 0xFF) & (block[1:] != 0)
        if candidates[candidates.argmax()]:
            at = np.flatnonzero(candidates)
            after = block[at + 1]
            stops = np.flatnonzero((after & 0xF8 != 0xD0) & (after != 0xFF))
            restarts.append(after[: stops[0]] if len(stops) else after)
            if len(stops):
                found = position + int(at[stops[0]])
                break
        position += _BLOCK
    numbers = np.concatenate(restarts) if restarts else np.empty(0, np.uint8)
    return found, bool((numbers == 0xD0 + np.arange(len(numbers)) % 8).all())


def segment_length(view: memoryview, place: int) -> int:
    """Bytes of the segment whose content is at ``place``, with the two that tell it."""
    return int.from_bytes(view[place - 2 : place], "big")


def frame_size(view: memoryview, stream: JpegStream) -> tuple[int, int]:
    """Width and height that the first frame tells; nought without one."""
    place = next((place for marker, place in stream.segments if marker in _FRAMES), None)
    if place is None:
        return 0, 0
    return int.from_bytes(view[place + 3 : place + 5], "big"), int.from_bytes(view[place + 1 : place + 3], "big")


def exif_records(view: memoryview, stream: JpegStream) -> list[memoryview]:
    """The EXIF records before the first scan, each without its beginning."""
    return [
        view[place + len(EXIF_START) : place - 2 + segment_length(view, place)]
        for marker, place in stream.segments
        if marker == _EXIF and place < stream.header and view[place : place + len(EXIF_START)] == EXIF_START
    ]


def is_plain(view: memoryview, stream: JpegStream) -> bool:
    """Whether OpenCV gives Pillow's pixels: one frame, grey or of three components of 8 bits, and all its scans."""
    frames = [(marker, place) for marker, place in stream.segments if marker in _FRAMES]
    if not stream.well_formed or len(frames) != 1:
        return False
    marker, place = frames[0]
    scans = [place for marker, place in stream.segments if marker == _SCAN]
    if not scans or scans[0] < place or bytes(view[place : place + 1]) != b"\x08" or view[place + 5] not in (1, 3):
        return False
    # a component scanned twice is an error that OpenCV does not wait for
    return marker == _PROGRESSIVE or sum(view[scan] for scan in scans) == view[place + 5]


def check_scans(view: memoryview, stream: JpegStream) -> None:
    """Refuse a file whose scans take too much time or memory.

    Raises:
        TooMuchError: pixels times scans are more than ``MAXIMUM_SCANNED``.
    """
    width, height = frame_size(view, stream)
    if stream.scans > 1 and width * height * max(stream.scans, 10) > MAXIMUM_SCANNED:
        raise TooMuchError(f"JPEG of {width} x {height} pixels in {stream.scans} scans")
