"""What a header says is what decoding finds, and nothing is decoded for it."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFile

from aigenbench.data.pictures.decode import UnreadableImageError, decode
from aigenbench.data.pictures.facts import NO_JPEG, SUBSAMPLINGS, picture_facts

NOISE = np.random.default_rng(0).integers(0, 256, (40, 24, 3), dtype=np.uint8)


def stored(form: str, mode: str = "RGB", orientation: int = 0, **how: Any) -> bytes:
    buffer = io.BytesIO()
    if orientation:
        how["exif"] = Image.Exif()
        how["exif"][0x112] = orientation
    Image.fromarray(NOISE).convert(mode).save(buffer, form, **how)
    return buffer.getvalue()


@pytest.mark.parametrize("orientation", [0, 1, 3, 6, 8])
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "JPEG2000"])
def test_size_as_shown(form: str, orientation: int, monkeypatch: pytest.MonkeyPatch) -> None:
    has_exif = form in ("JPEG", "PNG", "WEBP")
    data = stored(form, orientation=orientation if has_exif or form == "TIFF" else 0)
    shape = decode(data).shape
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda image: pytest.fail("it was decoded"))
    facts = picture_facts(data)
    assert (facts.height, facts.width, 3) == shape
    assert facts.exif == (has_exif and orientation > 0)
    assert facts.form.replace(" ", "").upper() == form
    assert facts.mode == ("P" if form == "GIF" else "RGB")
    if form != "JPEG":
        assert (facts.table, facts.quality, facts.subsampling) == (NO_JPEG,) * 3


@pytest.mark.parametrize("quality", [1, 5, 25, 49, 50, 51, 75, 90, 95, 100])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_a_jpegs_quality_and_subsampling(quality: int, subsampling: int) -> None:
    facts = picture_facts(stored("JPEG", quality=quality, subsampling=subsampling))
    assert facts.quality == quality
    assert facts.subsampling == subsampling
    assert SUBSAMPLINGS[facts.subsampling] == ("4:4:4", "4:2:2", "4:2:0")[subsampling]


def test_grey_and_cmyk() -> None:
    grey, cmyk = (picture_facts(stored("JPEG", mode, quality=80)) for mode in ("L", "CMYK"))
    assert (grey.mode, grey.quality, grey.subsampling) == ("L", 80, -1)
    assert (cmyk.mode, cmyk.quality) == ("CMYK", 80)


@pytest.mark.parametrize(
    ("data", "said"),
    [(b"", "empty"), (b"text", "not an image"), (stored("PNG")[:20], "damaged"), (stored("JPEG")[:30], "damaged")],
)
def test_what_is_no_picture_is_told(data: bytes, said: str) -> None:
    with pytest.raises(UnreadableImageError, match=said):
        picture_facts(data)
