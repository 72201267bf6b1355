"""Which regions of a picture drove its score, by taking the detail out of each in turn (occlusion).

Works with every detector, as it asks for nothing but logits: the picture is cut into cells, each cell in turn is
blurred until nothing but its colours is left, and the whole picture is scored again, crops and all. What the logit
loses is what the cell had added to it. After Zeiler and Fergus, "Visualizing and understanding convolutional networks"
(2014); blurring in place of a grey patch after Fong and Vedaldi, "Interpretable explanations of black boxes by
meaningful perturbation" (2017): the edges of a patch would be traces of their own, so the blur fades in.

Attention maps are not offered: they show where a transformer looks, not which way that moved the score.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from aigenbench.data.pictures.decode import Pixels
from aigenbench.errors import InputError
from aigenbench.files import whole_file
from aigenbench.inference.looking.forms import answers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aigenbench.inference.detector import Answer, Detector

CELLS = 8
"""Cells along each side."""
WHAT_IT_IS_NOT = (
    "This map shows where blurring the picture moves this detector's score; it is no map of manipulated places, and no "
    "evidence of how the picture was made."
)
LEAST_SCALE = 0.5
"""Logit that is drawn in full colour at least: lesser differences are not blown up."""

_TOWARDS, _AGAINST = (200, 30, 20), (20, 90, 200)
_LONGEST_SIDE = 768
_OPACITY = 0.6
_LINE = 16


@dataclass(frozen=True, eq=False)
class Heat:
    """What each cell of a picture adds to its logit.

    Attributes:
        values: float64 (cells down, cells along), in logits; positive where the cell speaks for "generated".
        logit: of the picture as it is.
        said: the sentence that belongs to it.
    """

    values: npt.NDArray[np.float64]
    logit: float
    said: str = WHAT_IT_IS_NOT

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON holds it."""
        return {"values": np.round(self.values, 4).tolist(), "logit": self.logit, "said": self.said}


def heat(detector: Detector, image: Pixels, cells: int = CELLS) -> Heat:
    """What each cell of a picture adds to its logit, by scoring it ``cells * cells + 1`` times.

    Args:
        detector: an exported detector.
        image: uint8 (h, w, 3), RGB.
        cells: along each side; fewer where the side has fewer pixels.

    Raises:
        InputError: it cannot be scored, or is too large.
    """
    down, along = min(cells, image.shape[0]), min(cells, image.shape[1])
    logits = np.array([_logit(answer) for answer in answers(detector, image, _forms(image, down, along))])
    return Heat(logits[0] - logits[1:].reshape(down, along), float(logits[0]))


def _logit(answer: Answer) -> float:
    if answer.logit is None:
        raise InputError(f"{answer.name}: {answer.error}")
    return answer.logit


def _forms(image: Pixels, down: int, along: int) -> Iterator[Pixels]:
    """The picture, and then with each cell blurred, row by row."""
    yield image
    height, width = image.shape[:2]
    # the mean of every cell, smoothly between their centres: no detail finer than a cell is left
    means = cv2.resize(image, (along, down), interpolation=cv2.INTER_AREA)
    rows, columns = (np.linspace(0, side, n + 1).round().astype(int) for side, n in ((height, down), (width, along)))
    margin = max(1, min(height // down, width // along) // 8)
    for i in range(down):
        for j in range(along):
            top, bottom = max(rows[i] - margin, 0), min(rows[i + 1] + margin, height)
            left, right = max(columns[j] - margin, 0), min(columns[j + 1] + margin, width)
            form = image.copy()
            form[top:bottom, left:right] = _blurred(
                image[top:bottom, left:right], _part(means, (top, bottom, left, right), (height, width)), margin
            )
            yield form


def _part(means: Pixels, box: tuple[int, int, int, int], size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """A box of the picture that ``means`` would be if it were enlarged to ``size``, bilinearly."""
    top, bottom, left, right = box
    scale_y, scale_x = means.shape[0] / size[0], means.shape[1] / size[1]
    y = ((np.arange(top, bottom) + 0.5) * scale_y - 0.5).astype(np.float32)
    x = ((np.arange(left, right) + 0.5) * scale_x - 0.5).astype(np.float32)
    grid_x, grid_y = np.meshgrid(x, y)
    return np.asarray(
        cv2.remap(means.astype(np.float32), grid_x, grid_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    )


def _blurred(box: Pixels, blur: npt.NDArray[np.float32], margin: int) -> Pixels:
    """``box`` with ``blur`` in its middle, fading in over twice the margin from each edge."""
    ramps = [np.minimum(np.arange(n) + 1, np.arange(n, 0, -1)) / (2 * margin + 1) for n in box.shape[:2]]
    opacity = np.minimum(np.outer(*(np.minimum(ramp, 1.0) for ramp in ramps)), 1.0)[..., None].astype(np.float32)
    return np.rint(box * (1 - opacity) + blur * opacity).astype(np.uint8)


def overlay(image: Pixels, found: Heat) -> Image.Image:
    """The picture, at most 768 pixels a side and in grey, under its map, with a line that tells the colours."""
    scale = min(1.0, _LONGEST_SIDE / max(image.shape[:2]))
    width, height = (max(1, round(side * scale)) for side in (image.shape[1], image.shape[0]))
    grey = cv2.cvtColor(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    most = max(float(np.abs(found.values).max()), LEAST_SCALE)
    values = cv2.resize(found.values, (width, height), interpolation=cv2.INTER_LINEAR)[..., None] / most
    colours = np.where(values > 0, np.array(_TOWARDS), np.array(_AGAINST))
    opacity = _OPACITY * np.abs(values)
    pixels = np.rint(grey[..., None] * (1 - opacity) + colours * opacity).astype(np.uint8)
    return _captioned(pixels, most)


def _captioned(pixels: Pixels, most: float) -> Image.Image:
    lines = (
        ("red: speaks for generated", _TOWARDS),
        ("blue: speaks for real", _AGAINST),
        (f"full colour: {most:.1f} of logit", (60, 60, 60)),
    )
    height, width = pixels.shape[:2]
    page = Image.new("RGB", (max(width, 190), height + _LINE * len(lines) + 8), "white")
    page.paste(Image.fromarray(pixels), (0, 0))
    draw = ImageDraw.Draw(page)
    for i, (text, colour) in enumerate(lines):
        draw.text((4, height + 3 + i * _LINE), text, fill=colour, font=ImageFont.load_default(13))
    return page


def write_overlay(path: Path, image: Pixels, found: Heat) -> None:
    """Write ``overlay`` as PNG, whole or not at all, with ``said`` in its text chunk ``Description``."""
    notes = PngInfo()
    notes.add_text("Description", found.said)
    with whole_file(path) as temporary:
        overlay(image, found).save(temporary, "PNG", pnginfo=notes)
