"""The few values of an EXIF record that tell where a picture comes from."""

from __future__ import annotations

import struct

TAGS = {
    0x000B: "ProcessingSoftware",
    0x010E: "ImageDescription",
    0x010F: "Make",
    0x0110: "Model",
    0x0131: "Software",
    0x013B: "Artist",
    0x013C: "HostComputer",
    0x9003: "DateTimeOriginal",
    0x9286: "UserComment",
    0x9C9C: "XPComment",
    0xA434: "LensModel",
}
"""Names by number: Exif 2.32 (CIPA DC-008), 4.6.4 and 4.6.5; Microsoft's ``XPComment``."""
C2PA = 0xCD41
"""The tag that holds a C2PA manifest in a TIFF file (C2PA specification, "Embedding manifests into TIFF")."""

MOST_ENTRIES = 512
"""Entries of a directory that are looked at."""
LONGEST_VALUE = 2**16
"""Bytes of a value that are looked at."""

_EXIF_DIRECTORY = 0x8769
_BYTE, _ASCII, _UNDEFINED, _UTF8 = 1, 2, 7, 129
_TEXTS = (_BYTE, _ASCII, _UNDEFINED, _UTF8)


def read_exif(record: bytes) -> dict[int, str]:
    """The texts of a record's first directory and of its EXIF directory, by the numbers in ``TAGS``.

    ``C2PA`` has an empty text. A record that is none, is cut or leads outside itself gives what can be read of it.
    """
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(record[:4])
    if order is None or len(record) < 8:
        return {}
    found: dict[int, str] = {}
    (first,) = struct.unpack_from(order + "I", record, 4)
    inner = _read_directory(record, order, first, found)
    if inner:
        _read_directory(record, order, inner, found)
    return found


def _read_directory(record: bytes, order: str, start: int, found: dict[int, str]) -> int:
    """Read a directory into ``found``; where the EXIF directory is, or nought."""
    if start + 2 > len(record):
        return 0
    (count,) = struct.unpack_from(order + "H", record, start)
    inner = 0
    for at in range(start + 2, start + 2 + 12 * min(count, MOST_ENTRIES), 12):
        if at + 12 > len(record):
            break
        tag, kind, number, value = struct.unpack_from(order + "HHII", record, at)
        if tag == _EXIF_DIRECTORY:
            inner = value
        elif tag == C2PA:
            found[C2PA] = ""
        elif tag in TAGS and kind in _TEXTS:
            place = at + 8 if number <= 4 else value
            text = _text(record[place : place + min(number, LONGEST_VALUE)], tag, order)
            if text:
                found.setdefault(tag, text)
    return inner


def _text(value: bytes, tag: int, order: str) -> str:
    if TAGS[tag] == "XPComment":
        return value.decode("utf-16-le", "replace")
    if TAGS[tag] == "UserComment":
        # Exif 2.32, 4.6.5: eight bytes name the characters
        code, value = value[:8], value[8:]
        if code == b"UNICODE\0":
            # which byte comes first is not said; writers differ whatever the record's order is
            high_first = value[::2].count(0) > value[1::2].count(0) if value else order == ">"
            return value.decode("utf-16-be" if high_first else "utf-16-le", "replace")
    return value.decode("utf-8", "replace")
