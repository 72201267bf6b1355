"""Pictures whole, damaged and malicious: read as Pillow reads them, or refused."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from PIL import ExifTags, Image, ImageOps

from aigenbench.data.sources.decode import UnreadableImageError, decode
from aigenbench.data.sources.formats import FORMATS, HEAD, format_of, load_plugin

MODES = {
    "JPEG": ("L", "RGB", "CMYK"),
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
    "WEBP": ("RGB", "RGBA"),
    "GIF": ("1", "L", "P", "RGB"),
    "BMP": ("1", "L", "P", "RGB", "RGBA"),
    "TIFF": ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "F"),
    "AVIF": ("RGB", "RGBA"),
    "JPEG2000": ("L", "LA", "RGB", "RGBA"),
    "PPM": ("1", "L", "RGB", "I;16"),
}
"""Of each format that Pillow writes, by its name of it."""

ORIENTED = ("JPEG", "PNG", "WEBP", "TIFF", "AVIF")
LIKELY = ("JPEG",) * 5 + ("PNG",) * 4 + ("WEBP",) * 3 + ("GIF", "BMP", "TIFF", "AVIF", "JPEG2000", "PPM")


class Case(NamedTuple):
    """A file: its format, what was done to it, its bytes."""

    kind: str
    done: tuple[str, ...]
    data: bytes


def cases(rng: np.random.Generator) -> Iterator[Case]:
    """Files without end, one in six of them whole."""
    while True:
        kind = str(rng.choice(LIKELY))
        data, done = whole(kind, rng), []
        if rng.random() > 1 / 6:
            for _ in range(rng.integers(1, 4)):
                name = str(rng.choice(list(DAMAGES)))
                data = DAMAGES[name](data, kind, rng)
                done.append(name)
        yield Case(kind, tuple(done), data)


def check(case: Case) -> str:
    """Decode a file; "read" or the reason why it is refused.

    Raises:
        AssertionError: Pillow does otherwise.
    """
    expected = pillows(case.data)
    try:
        pixels = decode(case.data)
    except UnreadableImageError as error:
        assert "\n" not in str(error)
        assert case.done or isinstance(expected, str), f"whole, but refused: {error}"
        return str(error)
    assert not isinstance(expected, str), f"Pillow refuses: {expected}"
    assert pixels.shape == expected.shape, f"{pixels.shape}, Pillow {expected.shape}"
    differing = np.any(pixels != expected, -1).mean()
    assert not differing, f"{differing:.1%} of the pixels are not Pillow's"
    return "read"


def pillows(data: bytes) -> np.ndarray | str:
    """The picture of Pillow's own open, load, exif_transpose and convert, or its error."""
    picture = format_of(data[:HEAD])
    if picture is None:
        return "of no format read"
    try:
        with (
            warnings.catch_warnings(action="ignore"),
            Image.open(io.BytesIO(data), formats=[load_plugin(picture)]) as image,
        ):
            if image.width * image.height > picture.maximum_pixels:
                return "too large"
            image.load()
            return as_rgb(turned(image))
    except Exception as error:  # noqa: BLE001 - its readers end in errors of any kind
        return f"{type(error).__name__}: {error}"


def turned(image: Image.Image) -> Image.Image:
    """Turned as EXIF says; a record that cannot be read turns nothing, and none is written anew."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
        plain = Image.Exif()
        plain[ExifTags.Base.Orientation] = orientation if orientation in range(1, 9) else 1
    except Exception:  # noqa: BLE001 - as above
        return image
    image._exif = plain  # noqa: SLF001
    plain._loaded = True  # noqa: SLF001
    image.info = {}
    return ImageOps.exif_transpose(image)


def as_rgb(image: Image.Image) -> np.ndarray:
    """As the documentation says: 16 bits divided by 256, floats rounded, all else converted."""
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8))
    elif image.mode == "F":
        image = Image.fromarray(np.rint(np.asarray(image)).clip(0, 255).astype(np.uint8))
    return np.asarray(image.convert("RGB"))


def whole(kind: str, rng: np.random.Generator) -> bytes:
    """A valid file of some mode, size, orientation and way of storing it."""
    mode = str(rng.choice(MODES[kind]))
    side = 1 if rng.random() < 0.03 else 8
    size = tuple(int(x) for x in rng.integers(side, side * 12, 2))
    levels = rng.integers(0, 256, (4, 5, 3), dtype=np.uint8)
    image = Image.fromarray(levels).resize(size)
    image = (
        Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
        if mode == "I;16"
        else image.convert(mode)
    )
    options = OPTIONS.get(kind, lambda mode, rng: {})(mode, rng)
    if kind in ORIENTED and rng.random() < 0.5:
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = int(rng.integers(1, 9))
        exif[ExifTags.Base.Make] = "Maker"
        options["exif"] = exif
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _jpeg_options(mode: str, rng: np.random.Generator) -> dict[str, object]:
    options: dict[str, object] = {"quality": int(rng.integers(1, 101)), "progressive": bool(rng.random() < 0.4)}
    options |= {} if mode == "L" else {"subsampling": int(rng.integers(0, 3))}
    options |= {"optimize": True} if rng.random() < 0.3 else {}
    options |= {"restart_marker_blocks": int(rng.integers(1, 9))} if rng.random() < 0.3 else {}
    return options | ({"comment": b"a note"} if rng.random() < 0.3 else {})


def _png_options(mode: str, rng: np.random.Generator) -> dict[str, object]:
    options: dict[str, object] = {"compress_level": int(rng.integers(0, 10))}
    options |= {"icc_profile": b"not a profile"} if rng.random() < 0.2 else {}
    options |= {"transparency": 0} if mode in ("L", "P") and rng.random() < 0.3 else {}
    return options | ({"transparency": (1, 2, 3)} if mode == "RGB" and rng.random() < 0.1 else {})


def _webp_options(mode: str, rng: np.random.Generator) -> dict[str, object]:
    options: dict[str, object] = {
        "lossless": bool(rng.random() < 0.4),
        "quality": int(rng.integers(1, 101)),
        "method": 0,
    }
    return options | ({"icc_profile": b"not a profile"} if rng.random() < 0.2 else {})


def _tiff_options(mode: str, rng: np.random.Generator) -> dict[str, object]:
    compressions = ["raw", "tiff_lzw", "tiff_deflate", "packbits"] + (["group4"] if mode == "1" else [])
    return {"compression": str(rng.choice(compressions)) if mode != "YCbCr" else "tiff_lzw"}


OPTIONS: dict[str, Callable[[str, np.random.Generator], dict[str, object]]] = {
    "JPEG": _jpeg_options,
    "PNG": _png_options,
    "WEBP": _webp_options,
    "TIFF": _tiff_options,
    "GIF": lambda mode, rng: {"interlace": int(rng.integers(0, 2))},
    "AVIF": lambda mode, rng: {"speed": 10, "quality": int(rng.integers(1, 101))},
    "JPEG2000": lambda mode, rng: {
        "irreversible": bool(rng.integers(0, 2)),
        "num_resolutions": int(rng.integers(1, 4)),
    },
}


def parts(data: bytes, kind: str) -> list[bytes]:
    """A file cut where its format cuts it: segments, chunks, blocks; one that nobody knows stays whole."""
    cut = {"JPEG": _jpeg_cuts, "PNG": _png_cuts, "WEBP": _riff_cuts, "AVIF": _box_cuts, "JPEG2000": _box_cuts}.get(
        kind, _no_cuts
    )
    ends = sorted({end for end in cut(data) if 0 < end < len(data)} | {len(data)})
    return [data[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def _jpeg_cuts(data: bytes) -> Iterator[int]:
    at = 2
    while at + 4 <= len(data):
        yield at
        marker = data[at + 1] if data[at] == 0xFF else 0
        if marker and marker != 0xFF and not 0xD0 <= marker <= 0xD8:
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
            yield at
        found = next(
            (i for i in range(at, len(data) - 1) if data[i] == 0xFF and data[i + 1] not in (0, 0xFF)), len(data)
        )
        at = found if found > at else at if marker and at < len(data) and data[at] == 0xFF else len(data)
        if found == len(data):
            return
        if data[found + 1] in range(0xD0, 0xDA):
            yield found
            at = found + 2


def _png_cuts(data: bytes) -> Iterator[int]:
    at = 8
    while at + 8 <= len(data):
        yield at
        at += 12 + int.from_bytes(data[at : at + 4], "big")


def _riff_cuts(data: bytes) -> Iterator[int]:
    at = 12
    while at + 8 <= len(data):
        yield at
        at += 8 + (int.from_bytes(data[at + 4 : at + 8], "little") + 1) // 2 * 2


def _box_cuts(data: bytes) -> Iterator[int]:
    at = 0
    while at + 8 <= len(data):
        yield at
        at += max(int.from_bytes(data[at : at + 4], "big"), 8)


def _no_cuts(data: bytes) -> Iterator[int]:
    yield min(len(data) // 2, 64)


def _flip(data: bytes, kind: str, rng: np.random.Generator) -> bytes:
    out = bytearray(data)
    for at in rng.integers(0, len(out), rng.integers(1, 4)) if out else ():
        out[at] ^= int(rng.integers(1, 256))
    return bytes(out)


def _in_the_header(data: bytes, kind: str, rng: np.random.Generator) -> bytes:
    out = bytearray(data)
    values = [0, 1, 2, 3, 4, 5, 6, 8, 9, 16, 127, 128, 254, 255, int(rng.integers(256))]
    for at in rng.integers(0, max(min(len(out), 700), 1), rng.integers(1, 3)):
        if at < len(out):
            out[at] = int(rng.choice(values))
    return bytes(out)


def _cut_short(data: bytes, kind: str, rng: np.random.Generator) -> bytes:
    return data[: rng.integers(0, len(data) + 1)] if rng.random() < 0.5 else data[: -int(rng.integers(1, 40))]


def _more(data: bytes, kind: str, rng: np.random.Generator) -> bytes:
    return data + [b"\xff\xd9", b"\0", rng.bytes(rng.integers(1, 2000)), data][rng.integers(4)]


def _inserted(data: bytes, kind: str, rng: np.random.Generator) -> bytes:
    at = int(rng.integers(0, len(data) + 1))
    new = [rng.bytes(rng.integers(1, 9)), b"\xff", b"\xff\xd9", bytes([255, rng.integers(0xC0, 256)]), b"\0\0\0\0"]
    return data[:at] + new[rng.integers(len(new))] + data[at:]


def _removed(data: bytes, kind: str, rng: np.random.Generator) -> bytes:
    at = int(rng.integers(0, len(data) + 1))
    return data[:at] + data[at + int(rng.integers(1, 30)) :]


def _part_removed(data: bytes, kind: str, rng: np.random.Generator) -> bytes:
    some = parts(data, kind)
    del some[int(rng.integers(len(some)))]
    return b"".join(some)


def _part_twice(data: bytes, kind: str, rng: np.random.Generator) -> bytes:
    some = parts(data, kind)
    some.insert(int(rng.integers(len(some) + 1)), some[rng.integers(len(some))])
    return b"".join(some)


def _parts_swapped(data: bytes, kind: str, rng: np.random.Generator) -> bytes:
    some = parts(data, kind)
    one, other = rng.integers(0, len(some), 2)
    some[one], some[other] = some[other], some[one]
    return b"".join(some)


def _part_of_another(data: bytes, kind: str, rng: np.random.Generator) -> bytes:
    some, others = parts(data, kind), parts(whole(kind, rng), kind)
    some[rng.integers(len(some))] = others[rng.integers(len(others))]
    return b"".join(some)


def _part_damaged(data: bytes, kind: str, rng: np.random.Generator) -> bytes:
    """Damage within a part; the checksum of a PNG's chunk is mended, so that the damage is met."""
    some = parts(data, kind)
    at = int(rng.integers(len(some)))
    damaged = _flip(some[at], kind, rng)
    if kind == "PNG" and at and len(damaged) >= 12:
        damaged = damaged[:-4] + struct.pack(">I", zlib.crc32(damaged[4:-4]))
    some[at] = damaged
    return b"".join(some)


def _pixels_damaged(data: bytes, kind: str, rng: np.random.Generator) -> bytes:
    """A PNG's compressed rows with errors in them under a checksum that is right; any other file's latter half."""
    if kind != "PNG":
        return data[: len(data) // 2] + _flip(data[len(data) // 2 :], kind, rng)
    some = parts(data, kind)
    where = [i for i, part in enumerate(some) if part[4:8] == b"IDAT"]
    if not where:
        return data
    body = some[where[0]][8:-4]
    try:
        rows = zlib.decompress(body)
    except zlib.error:
        return data
    chosen = rng.integers(4)
    body = [
        lambda: zlib.compress(rows[: -int(rng.integers(1, 50))]),
        lambda: zlib.compress(rows + rng.bytes(99)),
        lambda: zlib.compress(_flip(rows, kind, rng)),
        lambda: body[:-4] + rng.bytes(4),
    ][chosen]()
    some[where[0]] = struct.pack(">I", len(body)) + b"IDAT" + body + struct.pack(">I", zlib.crc32(b"IDAT" + body))
    return b"".join(some)


def _note_added(data: bytes, kind: str, rng: np.random.Generator) -> bytes:
    """An EXIF or XMP record of some form, between any two parts."""
    record = _exif_record(rng) if rng.random() < 0.7 else b'<a tiff:Orientation="%d"/>' % rng.integers(0, 10)
    is_xmp = record[:1] == b"<"
    some = parts(data, kind)
    if kind == "JPEG":
        body = (b"http://ns.adobe.com/xap/1.0/\0" if is_xmp else b"Exif\0\0") + record
        note = b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body
    elif kind == "PNG":
        name = b"iTXt" if is_xmp else b"eXIf"
        body = b"XML:com.adobe.xmp\0\0\0\0\0" + record if is_xmp else record
        note = struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
    elif kind == "WEBP":
        note = (b"XMP " if is_xmp else b"EXIF") + struct.pack("<I", len(record)) + record + bytes(len(record) % 2)
    else:
        return data
    some.insert(int(rng.integers(1, len(some) + 1)), note)
    return b"".join(some)


def _exif_record(rng: np.random.Generator) -> bytes:
    order = str(rng.choice(["<", ">"]))
    entries = []
    for _ in range(rng.integers(1, 4)):
        tag = int(rng.choice([0x112, 0x112, 0x10F, 0x100, 0x8769]))
        kind = int(rng.choice([3, 3, 1, 2, 4, 5, 7, 8, 9, 11, 12, 13, 16, 0, 77]))
        value = struct.pack(
            order + ("HH" if kind in (3, 8) else "I"), *([int(rng.integers(0, 10)), 0][: 2 if kind in (3, 8) else 1])
        )
        entries.append(struct.pack(order + "HHI", tag, kind, int(rng.choice([1, 1, 1, 0, 2, 3, 2**31]))) + value)
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, int(rng.choice([8, 8, 8, 10, 9999])))
    return head + struct.pack(order + "H", len(entries)) + b"".join(entries) + bytes(4)


DAMAGES: dict[str, Callable[[bytes, str, np.random.Generator], bytes]] = {
    "flip": _flip,
    "in the header": _in_the_header,
    "cut short": _cut_short,
    "more": _more,
    "inserted": _inserted,
    "removed": _removed,
    "part removed": _part_removed,
    "part twice": _part_twice,
    "parts swapped": _parts_swapped,
    "part of another": _part_of_another,
    "part damaged": _part_damaged,
    "pixels damaged": _pixels_damaged,
    "note added": _note_added,
}
