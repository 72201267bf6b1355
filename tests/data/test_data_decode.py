from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from aigenbench.data.pictures.decode import UnreadableImageError, decode

RNG = np.random.default_rng(0)
PICTURE = np.asarray(Image.fromarray(RNG.integers(0, 256, (6, 8, 3), dtype=np.uint8)).resize((64, 48)))


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def expected(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("quality", [30, 75, 100])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg_pixels_are_pillows(quality: int, subsampling: int, progressive: bool) -> None:
    data = saved(Image.fromarray(PICTURE), "JPEG", quality=quality, subsampling=subsampling, progressive=progressive)
    assert np.array_equal(decode(data), expected(data))


@pytest.mark.parametrize(
    ("mode", "kind"),
    [("L", "PNG"), ("1", "PNG"), ("P", "PNG"), ("LA", "PNG"), ("RGBA", "PNG"), ("CMYK", "TIFF"), ("YCbCr", "TIFF")],
)
def test_any_mode_becomes_rgb(mode: str, kind: str) -> None:
    # before version 13, Pillow could not read the plain YCbCr that it wrote
    packed = {"compression": "tiff_lzw"} if kind == "TIFF" else {}
    data = saved(Image.fromarray(PICTURE).convert(mode), kind, **packed)
    pixels = decode(data)
    assert np.array_equal(pixels, expected(data))
    assert pixels.dtype == np.uint8
    assert pixels.flags["C_CONTIGUOUS"]


def test_grey_jpeg_and_cmyk_jpeg() -> None:
    for mode in ("L", "CMYK"):
        data = saved(Image.fromarray(PICTURE).convert(mode), "JPEG", quality=95)
        assert np.array_equal(decode(data), expected(data))


def test_sixteen_bits_are_scaled() -> None:
    values = np.linspace(0, 65535, 48 * 64).reshape(48, 64).astype(np.uint16)
    pixels = decode(saved(Image.fromarray(values), "PNG"))
    assert np.array_equal(pixels[..., 0], (values >> 8).astype(np.uint8))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_exif_orientation_is_applied(orientation: int, kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(Image.fromarray(PICTURE), kind, exif=exif, **({"lossless": True} if kind == "WEBP" else {}))
    plain = expected(data)
    turned = {
        1: plain,
        2: plain[:, ::-1],
        3: plain[::-1, ::-1],
        4: plain[::-1],
        5: plain.transpose(1, 0, 2),
        6: np.rot90(plain, -1),
        7: plain[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(plain),
    }[orientation]
    assert np.array_equal(decode(data), turned)


def test_first_frame_of_an_animation() -> None:
    frames = [Image.fromarray(np.full((9, 9, 3), value, dtype=np.uint8)) for value in (10, 200)]
    for kind in ("GIF", "WEBP", "PNG"):
        buffer = io.BytesIO()
        frames[0].save(
            buffer, kind, save_all=True, append_images=frames[1:], **({"lossless": True} if kind == "WEBP" else {})
        )
        assert np.abs(decode(buffer.getvalue()).astype(int) - 10).max() <= 1


def test_one_pixel() -> None:
    assert decode(saved(Image.new("RGB", (1, 1), (1, 2, 3)), "PNG")).tolist() == [[[1, 2, 3]]]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_truncated_files_are_told(kind: str) -> None:
    data = saved(Image.fromarray(np.tile(PICTURE, (4, 4, 1))), kind)
    with pytest.raises(UnreadableImageError):
        decode(data[: len(data) // 2])


@pytest.mark.parametrize("data", [b"", b"\xff\xd8\xff", b"not an image", b"\xff\xd8\xff\xd9" + b"\x00" * 50])
def test_what_is_no_image_is_told(data: bytes) -> None:
    with pytest.raises(UnreadableImageError):
        decode(data)


def test_reads_from_a_buffer_that_is_not_bytes() -> None:
    data = saved(Image.fromarray(PICTURE), "PNG")
    assert np.array_equal(decode(memoryview(bytearray(data))), PICTURE)


@pytest.mark.slow
def test_a_hundred_megapixels() -> None:
    data = saved(Image.new("RGB", (10_000, 10_000), (9, 8, 7)), "JPEG")
    pixels = decode(data)
    assert pixels.shape == (10_000, 10_000, 3)
    assert decode(saved(Image.new("L", (10_000, 10_000)), "PNG")).shape == (10_000, 10_000, 3)
