"""Scored images that are judged together, sorted once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aigenbench.evaluation.predictions.fusion import log_sigmoid


@dataclass(frozen=True)
class Curve:
    """Counts at every distinct score, from the highest down.

    Attributes:
        thresholds: distinct scores, descending, (t,).
        tps: fakes scored at least ``thresholds``, int64 (t,).
        fps: reals scored at least ``thresholds``, int64 (t,).
    """

    thresholds: NDArray[np.floating]
    tps: NDArray[np.int64]
    fps: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class RankedImages:
    """Images in descending order of ``ranks``, and what can be said of them without weights.

    Attributes:
        scores: probabilities of being fake, (n,).
        fakes: bool (n,).
        ranks: what images are ranked by, (n,): logits where known, else ``scores`` itself.
    """

    scores: NDArray[np.floating]
    fakes: NDArray[np.bool_]
    ranks: NDArray[np.floating]

    def take(self, rows: NDArray[np.bool_] | NDArray[np.integer]) -> RankedImages:
        """The images of a mask (n,), or of row numbers that rise."""
        scores = self.scores[rows]
        return RankedImages(scores, self.fakes[rows], scores if self.ranks is self.scores else self.ranks[rows])

    @cached_property
    def logits(self) -> NDArray[np.float64]:
        """float64 (n,): the ranks where they are logits, else of the scores, kept off 0 and 1 by one rounding."""
        if self.ranks is not self.scores:
            return self.ranks.astype(np.float64)
        smallest = float(np.finfo(self.scores.dtype).eps)
        p = np.clip(self.scores.astype(np.float64), smallest, 1 - smallest)
        return np.log(p) - np.log1p(-p)

    @cached_property
    def losses(self) -> NDArray[np.float64]:
        """Negative log-likelihood of each image in nats, float64 (n,)."""
        return -log_sigmoid(np.where(self.fakes, self.logits, -self.logits))

    @cached_property
    def squares(self) -> NDArray[np.float64]:
        """Squared distance between score and label, float64 (n,)."""
        return (self.scores.astype(np.float64) - self.fakes) ** 2

    @cached_property
    def ones(self) -> NDArray[np.int32]:
        """1 for a fake, 0 for a real, (n,)."""
        return self.fakes.astype(np.int32)

    @cached_property
    def ties(self) -> NDArray[np.intp]:
        """Last row of every run of equal ranks, (t,)."""
        return _last_of_runs(self.ranks)

    @cached_property
    def score_order(self) -> NDArray[np.intp] | None:
        """Rows by descending score, or None where they already stand so."""
        if bool((self.scores[1:] <= self.scores[:-1]).all()):
            return None
        return np.argsort(-self.scores, kind="stable")

    @cached_property
    def score_ties(self) -> NDArray[np.intp]:
        """Last row of every run of equal scores, in ``score_order``."""
        return _last_of_runs(self.scores if self.score_order is None else self.scores[self.score_order])


@dataclass(frozen=True, eq=False)
class Group:
    """Images that are judged together: what every metric is a function of.

    Attributes:
        rows: the images.
        threshold: a score counts as fake where it is strictly greater.
        weights: how often each image counts, int (n,), or None for once.
    """

    rows: RankedImages
    threshold: float = 0.5
    weights: NDArray[np.integer] | None = None

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
        order = np.argsort(-(scores if logits is None else np.asarray(logits)), kind="stable")
        ordered = scores[order]
        ranks = ordered if logits is None else np.asarray(logits)[order]
        return Group(RankedImages(ordered, np.asarray(labels)[order] == 1, ranks), threshold)

    def take(self, mask: NDArray[np.bool_]) -> Group:
        """The images where ``mask`` (n,) is true; nothing is sorted again."""
        return Group(self.rows.take(mask), self.threshold, None if self.weights is None else self.weights[mask])

    def weighted(self, weights: NDArray[np.integer]) -> Group:
        """The same images counted ``weights`` (n,) times each; what is known of the rows is kept."""
        return replace(self, weights=weights)

    @property
    def fakes(self) -> NDArray[np.bool_]:
        """Which rows are fake, (n,)."""
        return self.rows.fakes

    @property
    def scores(self) -> NDArray[np.floating]:
        """Probabilities of being fake, (n,)."""
        return self.rows.scores

    @cached_property
    def n_fakes(self) -> int:
        """Number of fakes."""
        return self.count(self.fakes)

    @cached_property
    def n(self) -> int:
        """Number of images."""
        return len(self.fakes) if self.weights is None else int(self.weights.sum())

    @property
    def n_reals(self) -> int:
        """Number of reals."""
        return self.n - self.n_fakes

    @property
    def both_classes(self) -> bool:
        """Whether there is a real and a fake."""
        return self.n_fakes > 0 and self.n_reals > 0

    @cached_property
    def curve(self) -> Curve:
        """Counts at every distinct rank."""
        return _curve(self.rows.ranks, self.rows.ties, self._sums)

    @cached_property
    def score_curve(self) -> Curve:
        """Counts at every distinct score: coarser than ``curve`` where scores round to the same number."""
        rows = self.rows
        if rows.ranks is rows.scores:
            return self.curve
        if rows.score_order is None:
            return _curve(rows.scores, rows.score_ties, self._sums)
        order = rows.score_order
        counts = None if self.weights is None else self.weights[order]
        return _curve(rows.scores[order], rows.score_ties, _sums(rows.ones[order], counts))

    @cached_property
    def confusion(self) -> tuple[int, int, int, int]:
        """(tp, fp, tn, fn) at the threshold."""
        called_fake = self.scores > self.threshold
        tp = self.count(called_fake & self.fakes)
        fp = self.count(called_fake) - tp
        return tp, fp, self.n_reals - fp, self.n_fakes - tp

    def count(self, mask: NDArray[np.bool_]) -> int:
        """How many images ``mask`` (n,) holds."""
        if self._shares is None:
            return int(np.count_nonzero(mask))
        return int(np.dot(self._shares, mask.astype(np.float64)))

    def mean(self, values: NDArray[np.float64]) -> float:
        """Mean of one value an image, (n,); NaN for an empty group."""
        if not self.n:
            return float("nan")
        if self._shares is None:
            return float(np.mean(values))
        return float(np.dot(values, self._shares)) / self.n

    @cached_property
    def _shares(self) -> NDArray[np.float64] | None:
        return None if self.weights is None else self.weights.astype(np.float64)

    @cached_property
    def _sums(self) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
        return _sums(self.rows.ones, self.weights)


def _sums(
    ones: NDArray[np.int32], counts: NDArray[np.integer] | None
) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
    """Fakes and images from the first row up to each, (n,) both."""
    # sums in one 32-bit type are several times as fast as mixed ones; they count images, so they fit
    if counts is None:
        return np.cumsum(ones, dtype=np.int32), np.arange(1, len(ones) + 1)
    counts = counts.astype(np.int32, copy=False)
    return np.cumsum(counts * ones, dtype=np.int32), np.cumsum(counts, dtype=np.int32)


def _curve(
    values: NDArray[np.floating], ties: NDArray[np.intp], sums: tuple[NDArray[np.integer], NDArray[np.integer]]
) -> Curve:
    fakes, images = sums
    if len(ties) < len(values):
        values, fakes, images = values[ties], fakes[ties], images[ties]
    tps = fakes.astype(np.int64)
    return Curve(values, tps, images - tps)


def _last_of_runs(values: NDArray[np.floating]) -> NDArray[np.intp]:
    return np.append(np.flatnonzero(values[1:] != values[:-1]), len(values) - 1) if len(values) else np.zeros(0, int)
