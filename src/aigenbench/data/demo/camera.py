"""From light to a file: what a camera and a web site do to every demo picture, real or fake."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from aigenbench.data.demo.scenes import Image
from aigenbench.errors import InputError

Pixels = npt.NDArray[np.uint8]


def photograph(rng: np.random.Generator, scene: Image) -> tuple[Image, Image]:
    """Take a picture of ``scene``: lens blur, white balance, vignetting, tone curve, sensor noise.

    Args:
        rng: where the draws come from.
        scene: linear light, float32 (height, width, 3).

    Returns:
        The picture without noise and the noise, both float32 (height, width, 3) in units of 0..255.
    """
    height, width = scene.shape[:2]
    light = cv2.GaussianBlur(scene, (0, 0), float(rng.uniform(0.4, 0.8)))
    light *= rng.normal(1, 0.06, 3).clip(0.8, 1.2).astype(np.float32)
    # the exposure meter corrects part of the way
    light *= np.float32((rng.uniform(0.15, 0.4) / max(float(light.mean()), 0.02)) ** 0.7)
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    light *= (1 - np.float32(rng.uniform(0, 0.15)) * (x * x + y * y))[..., None]
    # a film-like shoulder keeps highlights below white
    light *= 1.6 / (light + np.float32(0.6))
    tone = np.sqrt(np.minimum(light, 1))
    grain = rng.standard_normal(scene.shape, dtype=np.float32)
    # neighbouring pixels share samples of the colour filter array
    grain = cv2.GaussianBlur(grain, (3, 3), float(rng.uniform(0.3, 0.6)))
    # photons: the noise grows with the light
    grain *= np.float32(rng.uniform(1.0, 4.5)) * (0.5 + np.sqrt(tone))
    return 255 * tone, grain


def to_pixels(image: Image) -> Pixels:
    """Round and clip to uint8."""
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def encode(pixels: Pixels, image_format: str, quality: int) -> bytes:
    """Compress RGB uint8 (height, width, 3) as ``jpeg`` (4:2:0), ``webp`` or ``png`` (lossless)."""
    options = {
        "jpeg": [cv2.IMWRITE_JPEG_QUALITY, quality],
        "webp": [cv2.IMWRITE_WEBP_QUALITY, quality],
        "png": [cv2.IMWRITE_PNG_COMPRESSION, 4],
    }
    done, data = cv2.imencode(f".{image_format}", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), options[image_format])
    if not done:
        raise InputError(f"demo data: this OpenCV cannot write {image_format}; install opencv-python-headless")
    return data.tobytes()


def recompress(pixels: Pixels, quality: int) -> Pixels:
    """What remains of RGB uint8 pixels after one JPEG at ``quality``."""
    data = np.frombuffer(encode(pixels, "jpeg", quality), np.uint8)
    return cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
