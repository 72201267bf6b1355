"""Scored images that are judged together, sorted once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Curve:
    """Counts at every distinct score, from the highest down.

    Attributes:
        thresholds: distinct scores, descending, (t,).
        tps: fakes scored at least ``thresholds``, int64 (t,).
        fps: reals scored at least ``thresholds``, int64 (t,).
    """

    thresholds: NDArray[np.float64]
    tps: NDArray[np.int64]
    fps: NDArray[np.int64]

    @staticmethod
    def of_sorted(values: NDArray[np.floating], fakes: NDArray[np.bool_]) -> Curve:
        """The curve of ``values`` that stand in descending order, (n,), with n > 0."""
        last_of_tie = np.append(np.flatnonzero(values[1:] != values[:-1]), len(values) - 1)
        tps = np.cumsum(fakes, dtype=np.int64)[last_of_tie]
        return Curve(values[last_of_tie], tps, last_of_tie + 1 - tps)


@dataclass(frozen=True, eq=False)
class Group:
    """Scored images that are judged together: what every metric is a function of.

    Attributes:
        scores: probabilities of being fake, (n,).
        fakes: bool (n,).
        ranks: what images are ranked by, in descending order, (n,): logits where known, else scores.
        threshold: decision threshold on ``scores``.
    """

    scores: NDArray[np.floating]
    fakes: NDArray[np.bool_]
    ranks: NDArray[np.floating]
    threshold: float = 0.5

    @staticmethod
    def of(scores: ArrayLike, labels: ArrayLike, logits: ArrayLike | None = None, threshold: float = 0.5) -> Group:
        """Make a group of images in any order.

        Args:
            scores: (n,) in 0..1.
            labels: (n,), 0 real, 1 fake.
            logits: (n,) or None.
            threshold: see the class.
        """
        scores = np.asarray(scores)
        ranks = scores if logits is None else np.asarray(logits)
        order = np.argsort(-ranks, kind="stable")
        ordered = scores[order]
        fakes = np.asarray(labels)[order] == 1
        return Group(ordered, fakes, ordered if logits is None else ranks[order], threshold)

    def take(self, rows: NDArray[np.bool_] | NDArray[np.integer]) -> Group:
        """The images of a mask (n,), or of row numbers that do not fall; nothing is sorted again."""
        scores = self.scores[rows]
        ranks = scores if self.ranks is self.scores else self.ranks[rows]
        return Group(scores, self.fakes[rows], ranks, self.threshold)

    @cached_property
    def n_fakes(self) -> int:
        """Number of fakes."""
        return int(np.count_nonzero(self.fakes))

    @cached_property
    def n_reals(self) -> int:
        """Number of reals."""
        return len(self.fakes) - self.n_fakes

    @cached_property
    def both_classes(self) -> bool:
        """Whether there is a real and a fake."""
        return self.n_fakes > 0 and self.n_reals > 0

    @cached_property
    def curve(self) -> Curve:
        """Counts at every distinct rank."""
        return Curve.of_sorted(self.ranks, self.fakes)

    @cached_property
    def score_curve(self) -> Curve:
        """Counts at every distinct score: coarser than ``curve`` where scores round to the same number."""
        if self.ranks is self.scores:
            return self.curve
        order = np.argsort(-self.scores, kind="stable")
        return Curve.of_sorted(self.scores[order], self.fakes[order])

    @cached_property
    def confusion(self) -> tuple[int, int, int, int]:
        """(tp, fp, tn, fn) at the threshold."""
        called_fake = self.scores > self.threshold
        tp = int(np.count_nonzero(called_fake & self.fakes))
        fp = int(np.count_nonzero(called_fake)) - tp
        return tp, fp, self.n_reals - fp, self.n_fakes - tp

    @cached_property
    def logits(self) -> NDArray[np.float64]:
        """float64 (n,): the ranks where they are logits, else of the scores, kept off 0 and 1 by one rounding."""
        if self.ranks is not self.scores:
            return self.ranks.astype(np.float64)
        smallest = float(np.finfo(self.scores.dtype).eps)
        p = np.clip(self.scores.astype(np.float64), smallest, 1 - smallest)
        return np.log(p) - np.log1p(-p)
