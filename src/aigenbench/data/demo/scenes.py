"""Procedural scenes: the content that demo photographs and demo fakes share.

A scene is linear light, float32 (height, width, 3), mostly in 0..1. Its parts are what natural pictures are
made of: 1/f textures, shaded bodies, occluding edges, gradients, cast shadows and thin strokes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.float32]

_BANK_SIDE = 512
_BANK_SEED = 20_17
# amplitude spectra 1/f^e: from rough gravel to clouds; photographs average about 1
_BANK_EXPONENTS = (0.75, 0.9, 1.0, 1.1, 1.25, 1.4, 1.6, 1.9)


@lru_cache(maxsize=1)
def _fractal_bank() -> tuple[Image, ...]:
    rng = np.random.Generator(np.random.Philox(_BANK_SEED))
    frequency = np.hypot(np.fft.fftfreq(_BANK_SIDE)[:, None], np.fft.rfftfreq(_BANK_SIDE)[None, :])
    frequency[0, 0] = np.inf
    bank = []
    for exponent in _BANK_EXPONENTS:
        white = np.fft.rfft2(rng.standard_normal((_BANK_SIDE, _BANK_SIDE)))
        field = np.fft.irfft2(white * frequency**-exponent, s=(_BANK_SIDE, _BANK_SIDE))
        bank.append((field / field.std()).astype(np.float32))
    return tuple(bank)


def fractal(
    rng: np.random.Generator, height: int, width: int, roughness: tuple[int, int] = (0, 8), zoom: float = 1.0
) -> Image:
    """A random cut of a 1/f texture: float32 (height, width), mean about 0, standard deviation about 1.

    Args:
        rng: where the draws come from.
        height: rows.
        width: columns.
        roughness: range of exponents, from 0 (roughest) to 8 (excluded).
        zoom: above 1 shows the texture from nearer.
    """
    field = _fractal_bank()[rng.integers(*roughness)]
    side = max(height, width) * float(rng.uniform(0.8, 1.25)) / zoom
    scale = min(1.0, (_BANK_SIDE - 1) / side)
    rows, columns = max(4, int(height / zoom * scale)), max(4, int(width / zoom * scale))
    top = rng.integers(0, _BANK_SIDE - min(rows, _BANK_SIDE) + 1)
    left = rng.integers(0, _BANK_SIDE - min(columns, _BANK_SIDE) + 1)
    cut = field[top : top + rows, left : left + columns]
    if rng.random() < 0.5:
        cut = cut[:, ::-1]
    return cv2.resize(np.ascontiguousarray(cut), (width, height), interpolation=cv2.INTER_CUBIC)


def colour(rng: np.random.Generator, brightness: tuple[float, float] = (0.08, 0.6)) -> Image:
    """A natural colour in linear light: mostly muted, float32 (3,)."""
    # earth, foliage and sky are common, anything else is not
    hue = (rng.normal(0.08, 0.03), rng.normal(0.25, 0.05), rng.normal(0.58, 0.04), rng.random())[
        rng.choice(4, p=(0.45, 0.25, 0.2, 0.1))
    ]
    saturation = rng.beta(1.6, 2.4)
    ramp = np.abs((hue * 6 + np.array([0.0, 4.0, 2.0])) % 6 - 3) - 1
    pure = np.clip(ramp, 0, 1)
    value = rng.uniform(*brightness)
    return (value * (1 - saturation * (1 - pure))).astype(np.float32)


def relief(rng: np.random.Generator, height: int, width: int, roughness: tuple[int, int] = (3, 8)) -> Image:
    """Light falling on a rough surface: float32 (height, width), around 1."""
    surface = fractal(rng, height, width, roughness) * float(np.exp(rng.uniform(-0.7, 1.2)))
    angle = rng.uniform(0, 2 * np.pi)
    dx = cv2.Sobel(surface, cv2.CV_32F, 1, 0, ksize=3, scale=0.125)
    dy = cv2.Sobel(surface, cv2.CV_32F, 0, 1, ksize=3, scale=0.125)
    facing = 1 + dx * np.float32(np.cos(angle)) + dy * np.float32(np.sin(angle))
    return np.clip(facing / np.sqrt(1 + 0.5 * (dx * dx + dy * dy)), 0.15, 2.0)


def textured(rng: np.random.Generator, height: int, width: int) -> Image:
    """A surface: two colours mixed by a texture, lit as a relief; float32 (height, width, 3)."""
    mix = fractal(rng, height, width) * np.float32(rng.uniform(0.3, 1.5))
    mix = 0.5 + 0.5 * mix / (1 + np.abs(mix))
    first = colour(rng)
    second = np.clip(first * np.float32(rng.uniform(0.4, 1.2)) + rng.normal(0, 0.06, 3).astype(np.float32), 0, 1)
    if rng.random() < 0.7:
        lit = relief(rng, height, width)
        return cv2.merge([lit * (a + mix * (b - a)) for a, b in zip(first, second, strict=True)])
    return cv2.merge([a + mix * (b - a) for a, b in zip(first, second, strict=True)])


def gradient(rng: np.random.Generator, height: int, width: int, vertical: bool = False) -> Image:
    """A smooth transition between two colours: float32 (height, width, 3)."""
    angle = np.pi / 2 if vertical else rng.uniform(0, 2 * np.pi)
    y = np.linspace(-0.5, 0.5, height, dtype=np.float32)[:, None]
    x = np.linspace(-0.5, 0.5, width, dtype=np.float32)[None, :]
    t = np.clip(x * np.float32(np.cos(angle)) + y * np.float32(np.sin(angle)) + 0.5, 0, 1)[..., None]
    first, second = colour(rng, (0.2, 0.9)), colour(rng, (0.05, 0.5))
    return first + t * (second - first)


def blend(image: Image, layer: Image | np.floating, mask: Image) -> None:
    """Lay ``layer`` (a picture, colour or grey) over ``image`` in place, as opaque as ``mask`` (height, width) says."""
    image += mask[..., None] * (layer - image)


def shadow(rng: np.random.Generator, image: Image, centre: tuple[float, float], radius: float) -> None:
    """Darken a soft ellipse below a body, in place."""
    height, width = image.shape[:2]
    y = (np.arange(height, dtype=np.float32)[:, None] - centre[0] - 0.85 * radius) / (0.35 * radius)
    x = (np.arange(width, dtype=np.float32)[None, :] - centre[1] - 0.3 * radius) / (1.1 * radius)
    image *= (1 - np.float32(rng.uniform(0.3, 0.7)) * np.exp(-(x * x + y * y)))[..., None]


def body(rng: np.random.Generator, image: Image, centre: tuple[float, float], radius: float, light: float) -> None:
    """Draw a lit, textured ellipsoid in place: diffuse shading, a highlight, darker rims."""
    height, width = image.shape[:2]
    top, bottom = max(0, int(centre[0] - 1.3 * radius)), min(height, int(centre[0] + 1.3 * radius) + 2)
    left, right = max(0, int(centre[1] - 1.3 * radius)), min(width, int(centre[1] + 1.3 * radius) + 2)
    if bottom - top < 4 or right - left < 4:
        return
    turn, squeeze = rng.uniform(0, np.pi), rng.uniform(0.6, 1.0)
    y = (np.arange(top, bottom, dtype=np.float32)[:, None] - np.float32(centre[0])) / np.float32(radius)
    x = (np.arange(left, right, dtype=np.float32)[None, :] - np.float32(centre[1])) / np.float32(radius)
    u = x * np.float32(np.cos(turn)) + y * np.float32(np.sin(turn))
    v = (y * np.float32(np.cos(turn)) - x * np.float32(np.sin(turn))) / np.float32(squeeze)
    distance = np.sqrt(u * u + v * v)
    distance += fractal(rng, bottom - top, right - left, (5, 8)) * np.float32(rng.choice([0.0, 0.02, 0.06]))
    z = np.sqrt(np.clip(1 - distance * distance, 0, 1))
    lit = np.clip(x * np.float32(np.cos(light)) + y * np.float32(np.sin(light)) + 0.7 * z, 0, None)
    surface = textured(rng, bottom - top, right - left) * (0.2 + lit)[..., None]
    surface += (np.float32(rng.choice([0.0, 0.3, 0.8])) * np.clip(lit, 0, 1.25) ** 24 * 0.02)[..., None]
    mask = np.clip((1 - distance) * np.float32(radius) + 0.5, 0, 1)
    blend(image[top:bottom, left:right], surface, mask)


def polygon(rng: np.random.Generator, image: Image, points: npt.NDArray[np.float64], layer: Image) -> None:
    """Fill an antialiased polygon, ``points`` (n, 2) as x, y, with ``layer``, in place."""
    mask = np.zeros(image.shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.round(points * 16).astype(np.int32)], 255, cv2.LINE_AA, shift=4)
    shade = np.float32(rng.uniform(0.7, 1.2))
    blend(image, layer * shade, mask * np.float32(1 / 255))


def strokes(rng: np.random.Generator, image: Image, count: int) -> None:
    """Draw thin curved strokes (grass, hair, twigs) in place, all in tones of one colour."""
    height, width = image.shape[:2]
    tone = colour(rng, (0.1, 0.9))
    root = rng.uniform(0, [width, height], (count, 2)) * [1, 0.4] + [0, 0.5 * height]
    lean = rng.normal(0, 0.25, (count, 1)) + rng.normal(0, 0.3)
    length = rng.uniform(0.1, 0.35) * height * rng.uniform(0.5, 1.0, (count, 1))
    t = np.linspace(0, 1, 6)[None, :]
    x = root[:, :1] + lean * length * t * t
    y = root[:, 1:] - length * t
    curves = np.round(np.stack([x, y], -1) * 16).astype(np.int32)
    tones = np.clip(tone * rng.uniform(0.4, 1.3, (count, 1)), 0, 1)
    thickness = 1 if max(height, width) < 200 else 2
    for curve, shade in zip(curves, tones.tolist(), strict=True):
        cv2.polylines(image, [curve], False, shade, thickness, cv2.LINE_AA, shift=4)


def _landscape(rng: np.random.Generator, height: int, width: int) -> Image:
    image = gradient(rng, height, width, vertical=True)
    cloud = np.clip(fractal(rng, height, width, (4, 7)) - np.float32(rng.uniform(-0.3, 1.0)), 0, 1.5) / 1.5
    blend(image, np.float32(rng.uniform(0.7, 0.95)), cloud)
    haze = image[0, 0].copy()
    columns = np.linspace(0, width, 33)
    horizon = rng.uniform(0.25, 0.55)
    layers = int(rng.integers(2, 5))
    for layer in range(layers):
        far = 1 - (layer + 1) / layers
        ridge = cv2.resize(fractal(rng, 33, 33, (4, 8))[16:17], (33, 1))[0]
        level = height * (horizon + 0.5 * layer / layers) + ridge * height * 0.05
        points = np.stack([np.r_[columns, width + 2, -2], np.r_[level, height + 2, height + 2]], -1)
        ground = textured(rng, height, width)
        polygon(rng, image, points, ground + np.float32(0.7 * far) * (haze - ground))
    if rng.random() < 0.6:
        strokes(rng, image, int(rng.integers(30, 120)))
    return image


def _table(rng: np.random.Generator, height: int, width: int) -> Image:
    image = gradient(rng, height, width)
    image *= (1 + 0.12 * fractal(rng, height, width, (3, 8)))[..., None]
    edge = rng.uniform(0.35, 0.7) * height
    slope = rng.normal(0, 0.04) * height
    corners = np.array([[-2, edge], [width + 2, edge + slope], [width + 2, height + 2], [-2, height + 2]])
    polygon(rng, image, corners, textured(rng, height, width))
    light = rng.uniform(0, 2 * np.pi)
    side = min(height, width)
    for y in np.sort(rng.uniform(0.4, 0.85, rng.integers(2, 6))):
        centre, radius = (y * height, rng.uniform(0.05, 0.95) * width), rng.uniform(0.1, 0.28) * side
        shadow(rng, image, centre, radius)
        body(rng, image, centre, radius, light)
    return image


def _facade(rng: np.random.Generator, height: int, width: int) -> Image:
    image = textured(rng, height, width)
    wall = 0.3 * image + 0.7 * colour(rng, (0.3, 0.8))
    rows, columns = int(rng.integers(2, 6)), int(rng.integers(2, 6))
    glass = gradient(rng, height, width) * np.float32(rng.uniform(0.2, 0.6))
    frame = colour(rng, (0.2, 0.9))
    margin_y, margin_x = rng.uniform(0.15, 0.3, 2)
    for row in range(rows):
        for column in range(columns):
            top, bottom = (np.array([row + margin_y, row + 1 - margin_y]) * height / rows).astype(int)
            left, right = (np.array([column + margin_x, column + 1 - margin_x]) * width / columns).astype(int)
            wall[top - 1 : bottom + 2, left - 1 : right + 2] = frame
            wall[top:bottom, left:right] = glass[top:bottom, left:right] * np.float32(rng.uniform(0.5, 1.6))
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    moved = corners + rng.uniform(-0.18, 0.18, (4, 2)).astype(np.float32) * [width, height]
    warp = cv2.getPerspectiveTransform(corners, moved.astype(np.float32))
    warped = cv2.warpPerspective(wall, warp, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return warped * relief(rng, height, width, (5, 8))[..., None]


def _close_up(rng: np.random.Generator, height: int, width: int) -> Image:
    image = textured(rng, height, width)
    for _ in range(rng.integers(1, 4)):
        edge = fractal(rng, height, width, (4, 8)) * np.float32(rng.uniform(2, 12))
        blend(image, textured(rng, height, width), np.clip(edge + 0.5, 0, 1))
    return image


def _portrait(rng: np.random.Generator, height: int, width: int) -> Image:
    image = gradient(rng, height, width)
    for _ in range(rng.integers(3, 12)):
        spot = np.zeros((height, width), np.float32)
        place = (int(rng.uniform(0, width)), int(rng.uniform(0, height)))
        cv2.circle(spot, place, int(rng.uniform(0.03, 0.12) * max(height, width)) + 1, 1.0, -1, cv2.LINE_AA)
        blend(
            image,
            np.broadcast_to(colour(rng, (0.4, 1.0)), image.shape),
            spot * np.float32(rng.uniform(0.2, 0.8)),
        )
    image = cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.01, 0.04)) * max(height, width))
    light, side = rng.uniform(0, 2 * np.pi), min(height, width)
    middle = rng.uniform(0.35, 0.65) * width
    body(rng, image, (0.95 * height, middle), rng.uniform(0.35, 0.5) * side, light)
    body(rng, image, (rng.uniform(0.38, 0.5) * height, middle), rng.uniform(0.22, 0.33) * side, light)
    if rng.random() < 0.5:
        strokes(rng, image, int(rng.integers(40, 150)))
    return image


_SCENES: dict[str, Callable[[np.random.Generator, int, int], Image]] = {
    "a landscape with ridges": _landscape,
    "bodies on a table": _table,
    "a facade with windows": _facade,
    "a rough surface, close": _close_up,
    "a figure before a blurred background": _portrait,
}


def render_scene(rng: np.random.Generator, height: int, width: int) -> tuple[Image, str]:
    """Draw a scene.

    Returns:
        Linear light, float32 (height, width, 3), not below 0; and a short description in words.
    """
    description = str(rng.choice(list(_SCENES)))
    image = _SCENES[description](rng, height, width)
    return np.maximum(image, 0, out=np.ascontiguousarray(image, np.float32)), description
