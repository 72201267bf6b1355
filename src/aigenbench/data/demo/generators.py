"""The demo's stand-ins for the timeline's generators: which traces each of them leaves.

A stand-in only takes the place of a name and date on the timeline; it does not imitate the model of that
name. Stand-ins released close to each other belong to one family and leave the same kind of trace, with
parameters of their own; now and then a new family arrives. All of them also weaken the sensor noise, so a
little carries over.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from aigenbench.data.demo import traces
from aigenbench.data.demo.scenes import Image
from aigenbench.protocol.timeline import PUBLISHED

Draw = Callable[[np.random.Generator, Image], Image]
"""(draws, picture) -> the picture with the trace on it; float32 (height, width, 3), 0..255."""


def _own_rng(text: str) -> np.random.Generator:
    key = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest(), "little")
    return np.random.Generator(np.random.Philox(key=key))


def _upsampling_tile(own: np.random.Generator, likeness: float) -> Image:
    # periods 2 to 16: after a resize to a detector's input some of them are left
    weights = (0.6, 1.0, 1.0, float(own.uniform(0.4, 0.8)))
    shared = traces.lattice_tile(_own_rng("upsampling"), (0.6, 1.0, 1.0, 0.6))
    return likeness * shared + (1 - likeness**2) ** 0.5 * traces.lattice_tile(own, weights)


def _lattice(own: np.random.Generator) -> Draw:
    tile, level = _upsampling_tile(own, 0.8), own.uniform(0.8, 1.25)

    def draw(rng: np.random.Generator, picture: Image) -> Image:
        softened = traces.resampled(picture, rng.uniform(1.2, 1.8), cv2.INTER_CUBIC)
        pattern = traces.tiled(tile, *picture.shape[:2])
        return traces.imprint(softened, pattern, level * rng.lognormal(1.5, 0.5))

    return draw


def _patch_grid(own: np.random.Generator) -> Draw:
    side = int(own.choice([8, 12, 16]))
    shared = traces.codebook(_own_rng("patch grid"), 6, side)
    book = 0.8 * shared + 0.6 * traces.codebook(own, 6, side)
    level = own.uniform(0.8, 1.25)

    def draw(rng: np.random.Generator, picture: Image) -> Image:
        decoded = traces.denoised(picture, 2.0, 12.0)
        return traces.imprint(decoded, traces.patchwork(picture, book), level * rng.lognormal(1.8, 0.5))

    return draw


def _denoiser(own: np.random.Generator) -> Draw:
    contrast, fine = own.uniform(25, 45), own.uniform(1.4, 2.2)

    def draw(rng: np.random.Generator, picture: Image) -> Image:
        flat = traces.denoised(picture, 2.5, contrast * rng.lognormal(0, 0.4))
        left = traces.residue(rng, picture.shape, fine, 1.6 * fine)
        return traces.imprint(flat, left, rng.lognormal(1.4, 0.5))

    return draw


def _polished(own: np.random.Generator) -> Draw:
    reach, saturation, contrast = own.uniform(1.5, 2.5), own.uniform(1.15, 1.4), own.uniform(0.2, 0.5)
    tint = own.normal((-4, 0, 6), 5).astype(np.float32)

    def draw(rng: np.random.Generator, picture: Image) -> Image:
        clean = traces.denoised(picture, 2.0, 15.0)
        crisp = traces.sharpened(clean, reach, 1.1 * rng.lognormal(0, 0.5))
        return traces.graded(crisp, saturation, contrast, tint)

    return draw


@dataclass(frozen=True)
class Family:
    """Stand-ins that share a trace.

    Attributes:
        name: in words.
        first: place on the timeline of its first member.
        make: from the draws that are a member's own to its trace.
        noise: how much of the sensor noise is left.
        upsampling: levels of the lattice that every generator's upsampling adds to its trace.
    """

    name: str
    first: int
    make: Callable[[np.random.Generator], Draw]
    noise: float
    upsampling: float


FAMILIES = (
    Family("upsampling lattice", 0, _lattice, 0.7, 0.0),
    Family("patch grid", 12, _patch_grid, 0.6, 0.8),
    Family("denoiser", 20, _denoiser, 0.2, 0.8),
    Family("polished", 30, _polished, 0.2, 1.2),
)


@dataclass(frozen=True)
class StandIn:
    """One demo generator.

    Attributes:
        name: the timeline's name.
        family: what its traces are of.
        draw: its trace.
        tile: one period of its upsampling lattice.
    """

    name: str
    family: Family
    draw: Draw
    tile: Image

    def forge(self, rng: np.random.Generator, picture: Image, noise: Image) -> Image:
        """Turn a picture and its sensor noise, both float32 (height, width, 3) in levels, into a fake."""
        fake = self.draw(rng, picture + np.float32(self.family.noise * rng.uniform(0.6, 1.4)) * noise)
        if not self.family.upsampling:
            return fake
        pattern = traces.tiled(self.tile, *fake.shape[:2])
        return traces.imprint(fake, pattern, self.family.upsampling * rng.lognormal(0, 0.5))


def stand_ins(count: int) -> tuple[StandIn, ...]:
    """The demo's generators: the first ``count`` of the published timeline, by date."""
    return tuple(stand_in(name, place) for place, name in enumerate(PUBLISHED.names[:count]))


def stand_in(name: str, place: int) -> StandIn:
    """The stand-in of a generator by its place on the timeline; one that is later than all is of the last family."""
    family = [f for f in FAMILIES if f.first <= place][-1]
    tile = _upsampling_tile(_own_rng(f"{name}: upsampling"), 0.7)
    return StandIn(name, family, family.make(_own_rng(name)), tile)
