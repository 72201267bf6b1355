"""What picture files say of themselves: read from every container, bounded, and told as it stands there."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngInfo

from aigenbench.inference.looking.metadata import LONGEST_SHOWN, MOST_FACTS, Fact, read

PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8))
SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/"
GENERATED = "trainedAlgorithmicMedia"
AS_ATTRIBUTE = '<rdf:Description Iptc4xmpExt:DigitalSourceType="%s"/>'
AS_ELEMENT = "<rdf:Description><Iptc4xmpExt:DigitalSourceType>%s</Iptc4xmpExt:DigitalSourceType></rdf:Description>"
AS_RESOURCE = '<rdf:Description><Iptc4xmpExt:DigitalSourceType rdf:resource="%s"/></rdf:Description>'


def packet(inside: str) -> bytes:
    return f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF>{inside}</rdf:RDF></x:xmpmeta>'.encode()


def saved(kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    PICTURE.save(buffer, kind, **options)
    return buffer.getvalue()


def exif(**values: str) -> bytes:
    record = Image.Exif()
    for name, value in values.items():
        record[getattr(ExifTags.Base, name)] = value
    return record.tobytes()


def segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def in_jpeg(*segments: bytes) -> bytes:
    data = saved("JPEG")
    return data[:2] + b"".join(segments) + data[2:]


def in_png(*chunks: bytes) -> bytes:
    data = saved("PNG")
    return data[:33] + b"".join(chunks) + data[33:]


def by_key(facts: list[Fact]) -> dict[str, Fact]:
    return {f"{fact.where} {fact.key}": fact for fact in facts}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_camera_and_software_are_read_from_the_exif_record_of_every_format(kind: str) -> None:
    record = exif(Make="Maker", Model="One", Software="Paint 3")
    # Pillow wants a TIFF file's as an object
    options = {"exif": record} if kind != "TIFF" else {"tiffinfo": {0x10F: "Maker", 0x110: "One", 0x131: "Paint 3"}}
    found = by_key(read(saved(kind, **options)))
    assert found["EXIF Make"] == Fact("EXIF", "Make", "Maker", "camera")
    assert found["EXIF Model"].value == "One"
    assert (found["EXIF Software"].value, found["EXIF Software"].hint) == ("Paint 3", "")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "GIF"])
@pytest.mark.parametrize("form", [AS_ATTRIBUTE, AS_ELEMENT, AS_RESOURCE])
def test_the_digital_source_type_is_read_from_xmp_in_each_way_of_writing_it(kind: str, form: str) -> None:
    xmp = packet(form % (SOURCE_TYPE + GENERATED))
    if kind == "PNG":
        data = in_png(chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(xmp)))
    elif kind == "GIF":
        data = saved("GIF").removesuffix(b";") + b"\x21\xff\x0bXMP DataXMP" + xmp + b"\0;"
    elif kind == "TIFF":
        data = saved("TIFF", tiffinfo={700: xmp})
    else:
        data = saved(kind, xmp=xmp)
    (fact,) = (fact for fact in read(data) if fact.key == "DigitalSourceType")
    assert fact == Fact("XMP", "DigitalSourceType", GENERATED, "generated", "made by a trained model")


def test_other_values_of_xmp_are_read() -> None:
    inside = (
        '<rdf:Description xmp:CreatorTool="Adobe Firefly" photoshop:Credit="Agency" '
        f"Iptc4xmpExt:DigitalSourceType='{SOURCE_TYPE}digitalCapture'/>"
        '<dc:x><rdf:Alt><rdf:li xml:lang="x-default">no</rdf:li></rdf:Alt></dc:x>'
        '<Iptc4xmpExt:AISystemUsed><rdf:Alt>\n<rdf:li xml:lang="x-default">A Model</rdf:li></rdf:Alt>'
        "</Iptc4xmpExt:AISystemUsed>"
    )
    found = by_key(read(saved("JPEG", xmp=packet(inside))))
    assert found["XMP CreatorTool"].hint == "generated"
    assert (found["XMP Credit"].value, found["XMP Credit"].hint) == ("Agency", "")
    assert found["XMP DigitalSourceType"].hint == "camera"
    assert (found["XMP AISystemUsed"].value, found["XMP AISystemUsed"].hint) == ("A Model", "generated")
    assert len(found) == 4


@pytest.mark.parametrize("compressed", [False, True])
def test_png_texts_that_generators_write_are_told_with_who_writes_them(compressed: bool) -> None:
    info = PngInfo()
    info.add_text("parameters", "a cat\nSteps: 20, Sampler: Euler a", zip=compressed)
    info.add_itxt("workflow", '{"nodes": []}', zip=compressed)
    info.add_text("Software", "NovelAI", zip=compressed)
    info.add_text("Author", "Somebody", zip=compressed)
    info.add_text("date:create", "2026-01-01")
    found = by_key(read(saved("PNG", pnginfo=info)))
    assert found["PNG text parameters"].value == "a cat Steps: 20, Sampler: Euler a"
    assert {key for key, fact in found.items() if fact.hint == "generated"} == {
        "PNG text parameters",
        "PNG text workflow",
        "PNG text Software",
    }
    assert "ComfyUI" in found["PNG text workflow"].meaning
    assert set(found) - {"PNG text Author"} == {f"PNG text {key}" for key in ("parameters", "workflow", "Software")}


@pytest.mark.parametrize("order", ["utf-16-be", "utf-16-le"])
def test_what_generators_write_into_jpeg_comments_is_read(order: str) -> None:
    record = Image.Exif()
    record.get_ifd(ExifTags.IFD.Exif)[0x9286] = b"UNICODE\0" + "a cat Steps: 20, Sampler: Euler".encode(order)
    found = by_key(read(saved("JPEG", exif=record.tobytes(), comment=b"plain")))
    assert found["EXIF UserComment"].value == "a cat Steps: 20, Sampler: Euler"
    assert found["EXIF UserComment"].hint == "generated"
    assert found["comment comment"].value == "plain"


def test_iptc_credit_is_read() -> None:
    sets = (
        b"\x1c\x02\x6e"
        + struct.pack(">H", 19)
        + b"Made with Google AI"
        + b"\x1c\x02\x41"
        + struct.pack(">H", 3)
        + b"abc"
    )
    body = b"Photoshop 3.0\x008BIM\x04\x04\0\0" + struct.pack(">I", len(sets)) + sets
    found = by_key(read(in_jpeg(segment(0xED, body))))
    assert found["IPTC Credit"].hint == "generated"
    assert found["IPTC OriginatingProgram"].value == "abc"


JUMBF = b"JP\0\1\0\0\0\1\0\0\0\x40jumb\0\0\0\x26jumdc2pa\0\x11\0\x10\x80\0\0\xaa\0\x38\x9b\x71\3c2pa\0"
C2PA_FILES = {
    "JPEG": in_jpeg(segment(0xEB, JUMBF)),
    "PNG": in_png(chunk(b"caBX", JUMBF)),
    "WEBP": (lambda data: data + b"C2PA" + struct.pack("<I", 4) + b"jumb")(saved("WEBP")),
    "AVIF": saved("AVIF")
    + struct.pack(">I", 28)
    + b"uuid"
    + bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
    + bytes(4),
    "GIF": saved("GIF").removesuffix(b";") + b"\x21\xff\x0bC2PA_GIF\1\0\0\0;",
    "TIFF": saved("TIFF", tiffinfo={0xCD41: b"jumb"}),
}


@pytest.mark.parametrize("kind", C2PA_FILES)
def test_content_credentials_are_told_to_be_there_and_not_to_be_verified(kind: str) -> None:
    (fact,) = (fact for fact in read(C2PA_FILES[kind]) if fact.where == "C2PA")
    assert "not verified" in fact.meaning
    assert fact.hint == ""


def test_a_plain_picture_and_what_is_none_say_nothing() -> None:
    assert [read(saved(kind)) for kind in ("JPEG", "PNG", "WEBP", "AVIF", "GIF", "BMP")] == [[]] * 6
    assert read(b"") == read(b"not a picture, Steps: 20, Sampler: x") == []


def test_what_is_shown_is_a_short_printable_line() -> None:
    info = PngInfo()
    info.add_text("Description", "a\x1b[31m\nb\u202e" + "c" * 5000)
    (fact,) = read(saved("PNG", pnginfo=info))
    assert fact.value.isprintable()
    assert len(fact.value) == LONGEST_SHOWN


@pytest.mark.parametrize(
    "data",
    [
        in_png(*[chunk(b"tEXt", b"prompt\0%d" % i) for i in range(5000)]),
        in_png(*[chunk(b"zTXt", b"prompt\0\0" + zlib.compress(bytes(2**25)))] * 40),
        in_jpeg(*[segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + b" a:Make=" * 8000)] * 200),
        in_jpeg(*[segment(0xED, b"Photoshop 3.0\0" + b"\x1c\2\x6e\xff\xff" * 12000)] * 200),
        b"GIF89a" + b"<x:xmpmeta" * 500_000,
        saved("AVIF") + b"II*\0\x08\0\0\0\xff\xff" * 200_000,
        b"II*\0\x08\0\0\0\xff\xff" + struct.pack("<HHII", 0x8769, 4, 1, 8) * 65535,
        in_jpeg(segment(0xE1, b"Exif\0\0" + b"II*\0\x08\0\0\0\1\0" + struct.pack("<HHII", 0x131, 2, 2**31, 9))),
    ],
    ids=["texts", "bombs", "xmp", "iptc", "xmp without end", "tiff starts", "a directory in itself", "a huge value"],
)
def test_hostile_files_take_bounded_work(data: bytes) -> None:
    # without the bounds, minutes or gigabytes
    assert len(read(data)) <= MOST_FACTS
