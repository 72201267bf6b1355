"""What damaged picture files say of themselves: short printable lines, however many and however odd the notes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from aigenbench.inference.looking.metadata import LONGEST_SHOWN, MOST_FACTS, read
from fuzz import pictures
from fuzz.picture_damage import DAMAGES, chunk, parts, segment

_XMP = (
    b"<x:xmpmeta><rdf:Description xmp:CreatorTool=\"Paint\" tiff:Make='Maker'><Iptc4xmpExt:DigitalSourceType>"
    b"http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia</Iptc4xmpExt:DigitalSourceType>"
    b'<photoshop:Credit><rdf:Alt><rdf:li xml:lang="x-default">Agency</rdf:li></rdf:Alt></photoshop:Credit></x:xmpmeta>'
)
_JUMBF = b"JP\0\1\0\0\0\1\0\0\0\x40jumb\0\0\0\x26jumdc2pa\0\x11\0\x10\x80\0\0\xaa\0\x38\x9b\x71\3c2pa\0"
_IPTC = b"Photoshop 3.0\x008BIM\x04\x04\0\0\0\0\0\x14\x1c\x02\x6e\0\x06Agency\x1c\x02\x41\0\x02ab"
_EXIF = b"II*\0\x08\0\0\0\x02\0\x31\x01\x02\0\x06\0\0\0\x26\0\0\0\x69\x87\x04\0\x01\0\0\0\x2c\0\0\0\0\0\0\0Paint\0"
_EXIF += b"\x01\0\x86\x92\x07\0\x0c\0\0\0\x3e\0\0\0\0\0\0\0UNICODE\0a\0b\0"
NOTES = {
    "JPEG": (
        segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + _XMP),
        segment(0xEB, _JUMBF),
        segment(0xED, _IPTC),
        segment(0xE1, b"Exif\0\0" + _EXIF),
        segment(0xFE, b"Steps: 20, Sampler: Euler"),
    ),
    "PNG": (
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + _XMP),
        chunk(b"caBX", _JUMBF),
        chunk(b"eXIf", _EXIF),
        chunk(b"tEXt", b"parameters\0Steps: 20, Sampler: Euler"),
        chunk(b"zTXt", b"workflow\0\0x\x9c\xab\xae\x05\0\x01\x75\0\xf9"),
    ),
    "WEBP": tuple(
        name + len(body).to_bytes(4, "little") + body + bytes(len(body) % 2)
        for name, body in ((b"XMP ", _XMP), (b"EXIF", _EXIF), (b"C2PA", _JUMBF))
    ),
}
_ANYWHERE = (_XMP, _EXIF, _IPTC, _JUMBF, b"\x21\xff\x0bC2PA_GIF", b"<x:xmpmeta")


def cases(rng: np.random.Generator) -> Iterator[bytes]:
    """A picture file with notes in it, damaged."""
    for case in pictures.cases(rng, 0.5):
        some = parts(case.data, case.kind) if case.data else [b""]
        notes = NOTES.get(case.kind, _ANYWHERE)
        for _ in range(rng.integers(1, 5)):
            some.insert(int(rng.integers(1, len(some) + 1)), notes[rng.integers(len(notes))])
        data = b"".join(some)
        for _ in range(rng.integers(0, 4)):
            data = DAMAGES[str(rng.choice(list(DAMAGES)))](data, case.kind, rng)
        yield data


def check(data: bytes) -> None:
    """Read what a file says."""
    facts = read(data)
    assert len(facts) <= MOST_FACTS
    for fact in facts:
        assert fact.value.isprintable(), repr(fact.value)
        assert 0 < len(fact.value) <= LONGEST_SHOWN, repr(fact.value)
        # a PNG's keyword is the file's own word
        assert len(fact.key) <= 80
        assert fact.key.isprintable(), repr(fact.key)
