"""The traces image generators leave, each as a function of a picture.

Pictures are float32 (height, width, 3) in units of 0..255; every function returns a new one.
"""

from __future__ import annotations

import cv2
import numpy as np

from aigenbench.data.demo.scenes import Image


def activity(picture: Image) -> Image:
    """How much happens around each pixel: float32 (height, width), 0 where flat, about 1 in texture, at most 2."""
    luma = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    detail = np.abs(luma - cv2.blur(luma, (7, 7)))
    return np.minimum(cv2.blur(detail, (9, 9)) * np.float32(1 / 6), 2)


def imprint(picture: Image, pattern: Image, strength: float) -> Image:
    """Add ``pattern`` (height, width, 3), of unit deviation, at ``strength`` levels, less where little happens."""
    return picture + np.float32(strength) * (0.5 + 0.5 * activity(picture))[..., None] * pattern


def lattice_tile(rng: np.random.Generator, weights: tuple[float, ...]) -> Image:
    """The periodic pattern of a stack of transposed convolutions.

    Stage ``j`` of the stack doubles the resolution and treats its 2 x 2 phases unequally; the later stages
    enlarge that pattern.

    Args:
        rng: where the phases come from.
        weights: one for every stage, from the last one (period 2 pixels) backwards (4, 8, ...).

    Returns:
        One period, float32 (p, p, 3) with p = 2 ** len(weights), mean 0, deviation 1.
    """
    side = 2 ** len(weights)
    tile = np.zeros((side, side, 3), np.float32)
    for stage, weight in enumerate(weights):
        phases = rng.standard_normal((2, 2, 1)) + 0.3 * rng.standard_normal((2, 2, 3))
        phases = (phases - phases.mean((0, 1))) / phases.std()
        enlarged = np.repeat(np.repeat(phases, 2**stage, 0), 2**stage, 1)
        copies = side // (2 * 2**stage)
        tile += np.float32(weight) * np.tile(enlarged, (copies, copies, 1)).astype(np.float32)
    return tile / tile.std()


def tiled(tile: Image, height: int, width: int) -> Image:
    """``tile`` repeated over (height, width)."""
    rows, columns = np.arange(height) % tile.shape[0], np.arange(width) % tile.shape[1]
    return tile[rows[:, None], columns[None, :]]


def codebook(rng: np.random.Generator, entries: int, side: int) -> Image:
    """Patches a decoder can draw, smooth, with an offset each: float32 (entries, side, side, 3), deviation 1."""
    coarse = rng.standard_normal((entries, 4, 4, 1)) + 0.3 * rng.standard_normal((entries, 4, 4, 3))
    coarse -= 0.7 * coarse.mean((1, 2), keepdims=True)
    patches = [cv2.resize(c, (side, side), interpolation=cv2.INTER_LINEAR) for c in coarse.astype(np.float32)]
    book = np.stack(patches)
    return book / book.std()


def patchwork(picture: Image, book: Image) -> Image:
    """The repeating patch grid of a quantised decoder: each cell takes the entry its brightness calls for.

    Returns:
        The pattern to imprint, float32 (height, width, 3).
    """
    height, width = picture.shape[:2]
    side = book.shape[1]
    rows, columns = -(-height // side), -(-width // side)
    cells = cv2.resize(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), (columns, rows), interpolation=cv2.INTER_AREA)
    chosen = book[(cells * np.float32(0.4)).astype(np.int64) % len(book)]
    grid = chosen.transpose(0, 2, 1, 3, 4).reshape(rows * side, columns * side, 3)
    return grid[:height, :width]


def resampled(picture: Image, factor: float, interpolation: int) -> Image:
    """The picture drawn smaller by ``factor`` and enlarged: what is finer than the small grid is gone."""
    height, width = picture.shape[:2]
    small = (max(8, round(width / factor)), max(8, round(height / factor)))
    return cv2.resize(
        cv2.resize(picture, small, interpolation=cv2.INTER_AREA), (width, height), interpolation=interpolation
    )


def denoised(picture: Image, reach: float, contrast: float) -> Image:
    """Edge-preserving smoothing: texture fainter than ``contrast`` levels melts, edges stay."""
    return cv2.bilateralFilter(picture, 0, contrast, reach)


def sharpened(picture: Image, reach: float, amount: float) -> Image:
    """Halos ``reach`` pixels wide around every edge."""
    return picture + np.float32(amount) * (picture - cv2.GaussianBlur(picture, (0, 0), reach))


def graded(picture: Image, saturation: float, contrast: float, tint: Image) -> Image:
    """Colours of a trained taste: more saturation and contrast, shadows tinted by ``tint`` (3,) levels."""
    luma = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[..., None]
    toned = luma + np.float32(saturation) * (picture - luma)
    t = np.clip(toned, 0, 255) * np.float32(1 / 255)
    curved = toned + np.float32(contrast) * 255 * (t * t * (3 - 2 * t) - t)
    return curved + (1 - luma * np.float32(1 / 255)) * tint


def residue(rng: np.random.Generator, shape: tuple[int, ...], fine: float, coarse: float) -> Image:
    """What an unfinished denoising leaves: noise between two scales in pixels; float32 ``shape``, deviation 1."""
    white = rng.standard_normal(shape, dtype=np.float32)
    band = cv2.GaussianBlur(white, (0, 0), fine) - cv2.GaussianBlur(white, (0, 0), coarse)
    return band / band.std()
