"""Whether an answer stays when a picture is scaled or stored again, as happens to most pictures on their way.

The ways are cells of the grid of ``aigenbench robustness`` (augmentations/perturbations.py), each done to the picture
as it is.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from aigenbench.augmentations.jpeg import LONGEST_SIDE
from aigenbench.augmentations.perturbations import GRID, LONGEST_WEBP_SIDE, Perturbation
from aigenbench.data.pictures.decode import Pixels
from aigenbench.errors import InputError
from aigenbench.inference.looking.forms import answers

if TYPE_CHECKING:
    from aigenbench.inference.detector import Detector, Verdict

When = Literal["band", "all", "off"]
"""Of which pictures it is tried: of those in the unsure band, of all, or of none."""
WAYS = ("resize_0.75", "resize_0.5", "jpeg_90", "jpeg_70", "webp_80", "webp_60")
"""Cells of the grid, by name."""
_LONGEST = {"jpeg": LONGEST_SIDE, "webp": LONGEST_WEBP_SIDE}
_TITLES = {"resize": "at {} of its size", "jpeg": "as JPEG of quality {}", "webp": "as WebP of quality {}"}


@dataclass(frozen=True)
class Try:
    """The answer for one other form of a picture.

    Attributes:
        way: name of the cell, such as ``jpeg_70``.
        title: that in words.
        logit: of that form.
        probability: calibrated, 0 to 1.
        verdict: its word.
    """

    way: str
    title: str
    logit: float
    probability: float
    verdict: str


@dataclass(frozen=True)
class Stability:
    """How far the answer moves.

    Attributes:
        tries: one a way; a way whose format holds no side so long, or whose size the model does not take, is left out.
        probability: of the picture as it is.
        lowest, highest: of the probabilities, that one included.
        changes: titles of the ways under which the verdict is another.
        said: all that in a sentence.
    """

    tries: tuple[Try, ...]
    probability: float
    lowest: float
    highest: float
    changes: tuple[str, ...]
    said: str

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON holds it."""
        return asdict(self)


def is_wanted(when: When, verdict: Verdict) -> bool:
    """Whether it is tried of a picture with this verdict."""
    return when == "all" or (when == "band" and verdict.word == "unsure")


def tried(detector: Detector, image: Pixels) -> Stability:
    """Score a picture again in other forms.

    Args:
        detector: an exported detector.
        image: uint8 (h, w, 3), RGB.

    Raises:
        InputError: it cannot be scored as it is, or is too large.
    """
    cells = [cell for cell in GRID if cell.name in WAYS and max(image.shape[:2]) <= _LONGEST.get(cell.family, 2**31)]
    forms = (image if cell is None else cell(image, np.random.default_rng(0)) for cell in (None, *cells))
    first, *others = answers(detector, image, forms)
    if first.verdict is None or first.probability is None:
        raise InputError(f"{first.name}: {first.error}")
    tries = tuple(
        Try(cell.name, _title(cell), answer.logit, answer.probability, answer.verdict.word)
        for cell, answer in zip(cells, others, strict=True)
        # a model that takes pictures as they are need not take each size
        if answer.logit is not None and answer.probability is not None and answer.verdict is not None
    )
    probabilities = [first.probability, *(one.probability for one in tries)]
    changed = [one for one in tries if one.verdict != first.verdict.word]
    lowest, highest = min(probabilities), max(probabilities)
    said = f"it and {len(tries)} other forms give {lowest:.0%} to {highest:.0%}"
    if changed:
        said += "; the verdict becomes " + ", ".join(f"{one.verdict} {one.title}" for one in changed)
    else:
        said += f"; the verdict stays {first.verdict.word}"
    return Stability(tries, first.probability, lowest, highest, tuple(one.title for one in changed), said)


def _title(cell: Perturbation) -> str:
    return _TITLES[cell.family].format(cell.title)
