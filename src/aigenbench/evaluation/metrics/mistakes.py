"""The most confident mistakes of a detector: what to look at first."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aigenbench.evaluation.metrics.periods import WindowGroups
from aigenbench.evaluation.predictions.experiment import ExperimentPredictions
from aigenbench.protocol.published import windows_with_next

SHOWN = 12

Thumbnail = Callable[[int], bytes | None]
"""Gives the JPEG bytes of a small copy of an image by its id, or None where there is none."""


@dataclass(frozen=True)
class Mistake:
    """One image on the wrong side.

    Attributes:
        image_id: row number in its split.
        fake: whether it is fake.
        generator: name of its generator, "" for a real.
        score: the probability of being fake it was given.
        picture: a ``data:`` address of a thumbnail, or "".
    """

    image_id: int
    fake: bool
    generator: str
    score: float
    picture: str


def shrink(pixels: NDArray[np.uint8], side: int = 160) -> bytes:
    """A small JPEG file of an RGB image (H, W, 3), at most ``side`` pixels wide and high."""
    from PIL import Image

    small = Image.fromarray(pixels)
    small.thumbnail((side, side))
    target = io.BytesIO()
    small.save(target, "JPEG", quality=80)
    return target.getvalue()


def data_url(kind: str, data: bytes) -> str:
    """The ``data:`` address of a picture's file, of a kind such as ``png``."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def gallery_window(experiment: ExperimentPredictions) -> int:
    """The last window with a Next period, or the last there is."""
    with_next = [k for k in experiment.windows if k in windows_with_next(experiment.n_windows)]
    return max(with_next or experiment.windows)


def confident_mistakes(
    experiment: ExperimentPredictions, window: int, thumbnail: Thumbnail | None = None, count: int = SHOWN
) -> tuple[list[Mistake], list[Mistake]]:
    """The ``count`` reals scored highest and fakes scored lowest, of the Next period where there is one.

    Images on the right side of one half are left out.
    """
    p = experiment.windows[window]
    groups = WindowGroups(p)
    generators = groups.period_generators("immediate_future", window)
    rows = groups.order[groups.mask(generators)] if generators else groups.order
    called_fake, fake = p.fused_scores[rows] > groups.whole.threshold, p.fused_labels[rows] == 1
    reals, fakes = rows[~fake & called_fake][:count], rows[fake & ~called_fake][::-1][:count]

    def told(row: int) -> Mistake:
        image_id, generator = int(p.fused_identifiers[row]), int(p.fused_generator_ids[row])
        small = thumbnail(image_id) if thumbnail else None
        picture = "" if small is None else data_url("jpeg", small)
        name = p.generator_id_to_name[generator]
        return Mistake(image_id, generator > 0, name, float(p.fused_scores[row]), picture)

    return [told(int(r)) for r in np.asarray(reals)], [told(int(r)) for r in np.asarray(fakes)]
