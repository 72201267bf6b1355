"""Moving every pixel's hue in integer arithmetic.

A shift of the HSV hue keeps a pixel's largest value M and smallest value m. By at most a sixth of the circle, it moves
the middle value by q, the shift's part of the chroma M - m; where that would pass M or m, the excess is taken from (or
given to) the value that was M or m. For a shift from red towards yellow this is

    R' = clip(R - G + (M - q if G >= B else m + q), m, M)

and the same with the channels' parts rotated; in the other direction green and blue change places in it. As all but q
are whole numbers, rounding q is rounding the result.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from aigenbench.augmentations.images import Image

Planes = NDArray[np.uint8]


class HueShift:
    """Moves the hue of tiles of at most ``pixels`` pixels by ``shift`` of the circle, |shift| at most 1/6."""

    def __init__(self, shift: float, pixels: int) -> None:
        assert abs(shift) <= 1 / 6
        self.shift = shift
        self._memory = np.empty((16, pixels), np.uint8)

    def __call__(self, source: Image, target: Image) -> None:
        """Write ``source``, of shape (1, pixels, 3), with its hue moved to ``target``, which may be the same."""
        if self.shift == 0:
            np.copyto(target, source)
            return
        memory = self._memory[:, : source.shape[1]]
        # R G B R G: of each value, the first three planes hold the own channel, the middle three the next one's
        planes, value, difference = memory[:5], memory[5:8], memory[8:11]
        cv2.split(source, [planes[i : i + 1] for i in range(3)])
        planes[3:] = planes[:2]
        own, following, last = planes[:3], planes[1:4], planes[2:]
        if self.shift < 0:
            following, last = last, following
        largest, smallest, below, above = self._ends(planes, memory[11:])
        _choose(cv2.compare(following, last, cv2.CMP_GE, dst=value), below, above)
        # one of the two differences is zero; a sum that leaves 0..255 saturates, which the clip makes good
        cv2.add(value, cv2.subtract(own, following, dst=difference), dst=value)
        cv2.subtract(value, cv2.subtract(following, own, dst=difference), dst=value)
        np.minimum(value, largest, out=value)
        np.maximum(value, smallest, out=value)
        cv2.merge([value[i : i + 1] for i in range(3)], dst=target)

    def _ends(self, planes: Planes, memory: Planes) -> list[Planes]:
        """M, m, M - q and m + q, each of shape (1, pixels)."""
        largest, smallest, step, below, above = (memory[i : i + 1] for i in range(5))
        red, green, blue = (planes[i : i + 1] for i in range(3))
        np.maximum(np.maximum(red, green, out=largest), blue, out=largest)
        np.minimum(np.minimum(red, green, out=smallest), blue, out=smallest)
        np.subtract(largest, smallest, out=step)
        cv2.convertScaleAbs(step, alpha=6 * abs(self.shift), dst=step)
        np.subtract(largest, step, out=below)
        np.add(smallest, step, out=above)
        return [largest, smallest, below, above]


def _choose(mask: Planes, where: Planes, otherwise: Planes) -> None:
    """Replace what is 255 in ``mask`` by ``where`` and what is 0 by ``otherwise``, each of shape (1, pixels)."""
    np.bitwise_and(mask, where ^ otherwise, out=mask)
    np.bitwise_xor(mask, otherwise, out=mask)
