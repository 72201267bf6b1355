from __future__ import annotations

import io
import struct
import subprocess
import sys
import zlib
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image, PngImagePlugin, features

from aigenbench.data.pictures import decode as decoding
from aigenbench.data.pictures.decode import UnreadableImageError, decode
from aigenbench.data.pictures.formats import FORMATS, HEAD, SUFFIXES, format_of, what_it_is

PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (5, 6, 3), dtype=np.uint8)).resize((24, 16))
OPTIONS = {"AVIF": {"quality": 90}}


def saved(kind: str, image: Image.Image = PICTURE, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def brands(*names: bytes) -> bytes:
    return struct.pack(">I", 8 + 4 + 4 * len(names)) + b"ftyp" + names[0] + b"\0\0\0\0" + b"".join(names[1:])


SAVED = [one for one in FORMATS if one.name != "HEIC" and (one.name != "AVIF" or features.check("avif"))]


@pytest.mark.parametrize("picture", SAVED, ids=lambda one: one.name)
def test_each_format_is_known_by_its_content_and_read(picture) -> None:
    data = saved(picture.plugin, **OPTIONS.get(picture.plugin, {}))
    assert format_of(data[:HEAD]) is picture
    with Image.open(io.BytesIO(data)) as image:
        np.testing.assert_array_equal(decode(data), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("mode", ["1", "L", "RGB"])
def test_all_ppms(mode: str) -> None:
    data = saved("PPM", PICTURE.convert(mode))
    np.testing.assert_array_equal(decode(data), np.asarray(PICTURE.convert(mode).convert("RGB")))
    plain = b"P2\n# a note\n2 1\n255\n7 200\n"
    assert decode(plain).tolist() == [[[7] * 3, [200] * 3]]


def test_a_picture_of_several_frames_is_a_jpeg() -> None:
    data = saved("MPO", save_all=True, append_images=[PICTURE.rotate(180)])
    np.testing.assert_array_equal(decode(data), decode(saved("JPEG")))


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (brands(b"avif", b"mif1"), "AVIF"),
        (brands(b"mif1", b"avif", b"miaf"), "AVIF"),
        (brands(b"heic", b"mif1"), "HEIC"),
        (brands(b"mif1", b"heic"), "HEIC"),
        (brands(b"msf1"), "HEIC"),
        (brands(b"isom", b"mp42"), None),
        (b"BM, a text that begins so", None),
        (b"P2P networks", None),
        (b"P5", None),
        (b"RIFF\0\0\0\0WAVE", None),
        (b"", None),
    ],
)
def test_what_only_looks_alike(head: bytes, name: str | None) -> None:
    found = format_of(head)
    assert (None if found is None else found.name) == name


OTHERS = {
    "EPS": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EOF\n",
    "ICO": b"\0\0\1\0\1\0\x10\x10\0\0\1\0\x20\0",
    "PDF": b"%PDF-1.4",
    "PSD": b"8BPS\0\1",
    "XBM": b"#define a_width 8\n#define a_height 8\nstatic char a_bits[] = {\n0,0,0,0,0,0,0,0};\n",
    "SVG": b'<svg xmlns="http://www.w3.org/2000/svg"/>',
}


@pytest.mark.parametrize("kind", OTHERS)
def test_other_formats_are_refused_in_a_line_and_start_nothing(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("Pillow was asked")

    monkeypatch.setattr(decoding.Image, "open", refuse)
    with pytest.raises(UnreadableImageError, match="the formats read are JPEG, PNG, WebP") as told:
        decode(OTHERS[kind])
    assert "\n" not in str(told.value)


@pytest.mark.filterwarnings("ignore:IM image format is deprecated:DeprecationWarning")
@pytest.mark.parametrize("kind", ["ICO", "TGA", "PCX", "SGI", "DDS", "IM"])
def test_what_else_pillow_writes_is_not_read(kind: str) -> None:
    with pytest.raises(UnreadableImageError, match="the formats read are"):
        decode(saved(kind))


def test_only_the_plugin_of_a_format_is_loaded() -> None:
    program = (
        "import io, sys; from PIL import Image; from aigenbench.data.pictures.decode import decode\n"
        f"decode({saved('TIFF')!r}); decode({saved('WEBP', PICTURE.convert('RGBA'))!r})\n"
        "print([name for name in sys.modules if name.startswith('PIL.') and ('Eps' in name or 'Psd' in name)])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_heic_asks_for_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pi_heif", None)
    decoding.load_plugin.cache_clear()
    with pytest.raises(UnreadableImageError, match=r"pip install 'aigenbench\[heic\]'"):
        decode(brands(b"heic", b"mif1", b"heic") + bytes(40))
    decoding.load_plugin.cache_clear()


def test_heic_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, object]] = []
    installed = SimpleNamespace(register_heif_opener=lambda **options: asked.append(options))
    monkeypatch.setitem(sys.modules, "pi_heif", installed)
    decoding.load_plugin.cache_clear()
    heic = next(one for one in FORMATS if one.name == "HEIC")
    assert decoding.load_plugin(heic) == "HEIF"
    assert asked == [{"thumbnails": False}]
    decoding.load_plugin.cache_clear()


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def with_chunk(png: bytes, name: bytes, body: bytes) -> bytes:
    at = png.index(b"IDAT") - 4
    return png[:at] + chunk(name, body) + png[at:]


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize("stored", [True, False])
@pytest.mark.parametrize("name", ["iCCP", "zTXt", "iTXt", "tEXt"])
def test_pngs_with_much_metadata(mode: str, stored: bool, name: str) -> None:
    text = b"x" * 3_000_000
    packed = zlib.compress(text, 0 if stored else 9)
    body = {
        "iCCP": b"Display\0\0" + packed,
        "zTXt": b"workflow\0\0" + packed,
        "iTXt": b"workflow\0\1\0\0\0" + packed,
        "tEXt": b"workflow\0" + text,
    }[name]
    image = PICTURE.convert(mode)
    data = with_chunk(saved("PNG", image), name.encode(), body)
    np.testing.assert_array_equal(decode(data), np.asarray(PICTURE))


def test_metadata_has_a_bound() -> None:
    bomb = zlib.compress(bytes(2**26 + 1), 9)
    with pytest.raises(UnreadableImageError, match="its metadata is larger than 64 MiB"):
        decode(with_chunk(saved("PNG"), b"zTXt", b"workflow\0\0" + bomb))
    many = saved("PNG")
    for _ in range(3):
        many = with_chunk(many, b"zTXt", b"workflow\0\0" + zlib.compress(bytes(2**25), 9))
    with pytest.raises(UnreadableImageError, match="its metadata is larger than 64 MiB"):
        decode(many)


def test_a_jpeg_cut_before_its_scan_though_a_thumbnail_ends() -> None:
    whole = saved("JPEG", exif=b"Exif\0\0" + b"a thumbnail \xff\xd8 that ends \xff\xd9")
    with pytest.raises(UnreadableImageError):
        decode(whole[: whole.index(b"\xff\xda") + 20])


def test_a_camera_s_raw_file_is_no_picture() -> None:
    for tags in ({254: 1}, {50706: b"\1\4\0\0"}):
        with pytest.raises(UnreadableImageError, match="raw file"):
            decode(saved("TIFF", tiffinfo=tags))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "JPEG2000", "PPM"])
def test_whatever_happens_to_a_file_it_is_told_in_a_line(kind: str) -> None:
    data = saved(kind)
    rng = np.random.default_rng(0)
    said = []
    for _ in range(60):
        broken = bytearray(data[: rng.integers(1, len(data) + 1)])
        for at in rng.integers(0, len(broken), rng.integers(0, 5)):
            broken[at] = rng.integers(0, 256)
        try:
            assert decode(bytes(broken)).ndim == 3
        except UnreadableImageError as error:
            said.append(str(error))
    assert said
    assert all(line and "\n" not in line for line in said)


def test_suffixes_name_all_formats() -> None:
    assert {".jpg", ".png", ".jp2", ".ppm", ".heic", ".avif"} <= SUFFIXES
    assert "Git LFS" in what_it_is(b"version https://git-lfs.github.com/spec/v1\noid")
    assert "empty file" in what_it_is(b"")


def test_text_of_a_png_that_is_small_stays_fast() -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("parameters", "a cat")
    np.testing.assert_array_equal(decode(saved("PNG", pnginfo=info)), np.asarray(PICTURE))
