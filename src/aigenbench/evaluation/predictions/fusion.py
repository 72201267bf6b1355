"""From the scores of an image's crops to the score of the image (protocol section 7)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aigenbench.errors import InputError, nearest

KINDS = ("mean", "max", "learned")
INPUTS = ("mean", "max", "thumbnail")
"""Logits of an image that a learned rule may look at."""
MEAN = "mean of the crops' probabilities"
"""What records call the benchmark's own rule (protocol section 7)."""
_RIDGE = 1e-2
"""Of the learned rule: it stays near the first logit it looks at, where the images do not say otherwise."""


def sigmoid(logits: ArrayLike) -> NDArray[np.float64]:
    """Probabilities of ``logits`` in float64, without overflow."""
    return np.exp(log_sigmoid(logits))


def log_sigmoid(logits: ArrayLike) -> NDArray[np.float64]:
    """log(1 / (1 + exp(-x))) in float64, exact to rounding for every finite x."""
    x = np.asarray(logits, dtype=np.float64)
    return np.minimum(x, 0.0) - np.log1p(np.exp(-np.abs(x)))


def fuse_logits(crop_logits: ArrayLike, crop_to_image_index: ArrayLike) -> NDArray[np.float64]:
    """log(p / (1 - p)) of the mean probability p of each image's crops.

    Computed as a difference of log-sum-exps, so that it neither overflows nor saturates: two crops of logits
    100 and 90 give about 90.7, where the probabilities themselves round to 1. An image of one crop keeps its
    logit.

    Args:
        crop_logits: (m,), an image's crops together.
        crop_to_image_index: (m,), rising from 0 to n - 1 in steps of at most one.

    Returns:
        float64 (n,).
    """
    logits = np.asarray(crop_logits, dtype=np.float64)
    index = np.asarray(crop_to_image_index)
    if not len(logits):
        return logits
    starts = _starts(index)
    counts = np.diff(starts, append=len(logits))
    fused = _log_sum(log_sigmoid(logits), starts, index) - _log_sum(log_sigmoid(-logits), starts, index)
    return np.where(counts == 1, logits[starts], fused)


def _log_sum(values: NDArray[np.float64], starts: NDArray[np.int64], index: NDArray[np.int64]) -> NDArray[np.float64]:
    largest = np.maximum.reduceat(values, starts)
    return largest + np.log(np.add.reduceat(np.exp(values - largest[index]), starts))


def _starts(index: NDArray[np.integer]) -> NDArray[np.int64]:
    """The first crop of each image."""
    assert index[0] == 0, "the crops of the first image come first"
    assert np.isin(np.diff(index), (0, 1)).all(), "an image's crops stand together"
    return np.flatnonzero(np.diff(index, prepend=-1))


@dataclass(frozen=True)
class Fusion:
    """A rule that makes an image's logit of those of its crops.

    Attributes:
        kind: ``mean`` of their probabilities, the largest (``max``), or ``learned``: a logistic regression.
        inputs: what a learned rule looks at, some of `INPUTS`; ``thumbnail`` is an image's last view.
        weights: of each of these, once it is fitted.
        offset: likewise.
    """

    kind: str = "mean"
    inputs: tuple[str, ...] = ()
    weights: tuple[float, ...] = ()
    offset: float = 0.0

    @classmethod
    def of(cls, value: Any) -> Fusion:
        """From a config: a kind's name, or a mapping of the one name to its arguments.

        Raises:
            InputError: no kind has that name, or it has no such argument.
        """
        is_one = isinstance(value, Mapping) and len(value) == 1
        ((kind, arguments),) = value.items() if is_one else ((value, None),)
        if kind not in KINDS:
            raise InputError(f"model.fusion: unknown {kind!r}; known: {', '.join(KINDS)}{nearest(str(kind), KINDS)}")
        arguments = {} if arguments is None else arguments
        known = ("inputs",) if kind == "learned" else ()
        if not isinstance(arguments, Mapping) or not set(arguments) <= set(known):
            raise InputError(f"model.fusion: {kind} takes {', '.join(known) or 'no arguments'}, found {arguments!r}")
        if kind != "learned":
            return cls(kind)
        given = arguments.get("inputs", ("mean", "max"))
        if not isinstance(given, list | tuple) or not given or not set(given) <= set(INPUTS):
            raise InputError(f"model.fusion: learned inputs: expected some of {', '.join(INPUTS)}, found {given!r}")
        return cls(kind, tuple(dict.fromkeys(given)))

    @property
    def is_ready(self) -> bool:
        """Whether it can be used as it is: a learned rule must be fitted first."""
        return self.kind != "learned" or bool(self.weights)

    def __call__(self, crop_logits: ArrayLike, crop_to_image_index: ArrayLike) -> NDArray[np.float64]:
        """Logits of the images, float64 (n,); arguments as of ``fuse_logits``."""
        if self.kind == "mean":
            return fuse_logits(crop_logits, crop_to_image_index)
        assert self.is_ready, "a learned rule is fitted before it is used"
        if self.kind == "max":
            return _looked_at(crop_logits, crop_to_image_index, ("max",))[:, 0]
        return _looked_at(crop_logits, crop_to_image_index, self.inputs) @ np.array(self.weights) + self.offset

    def fitted(
        self,
        crop_logits: ArrayLike,
        crop_to_image_index: ArrayLike,
        labels: NDArray[np.bool_],
        chosen: NDArray[np.bool_],
    ) -> Fusion:
        """A learned rule fitted on some of the images; one that is ready is returned as it is.

        Args:
            crop_logits: as of ``fuse_logits``.
            crop_to_image_index: likewise.
            labels: of all images, true for a fake, bool (n,).
            chosen: which of them to fit it on, bool (n,).
        """
        if self.is_ready:
            return self
        features = _looked_at(crop_logits, crop_to_image_index, self.inputs)[chosen]
        features = np.column_stack([features, np.ones(len(features))])
        start = np.eye(features.shape[1])[0]
        *weights, offset = fit_logistic(features, labels[chosen], start, _RIDGE).tolist()
        return replace(self, weights=tuple(weights), offset=offset)

    def to_record(self) -> str | dict[str, Any]:
        """The rule in plain values, for JSON."""
        if self.kind != "learned":
            return MEAN if self.kind == "mean" else self.kind
        return {"kind": self.kind, "inputs": list(self.inputs), "weights": list(self.weights), "offset": self.offset}

    @classmethod
    def from_record(cls, record: Any) -> Fusion:
        """What ``to_record`` gave of a rule that is ready.

        Raises:
            LookupError, TypeError, ValueError: it is of another form.
        """
        if record in (MEAN, "max"):
            return cls("mean" if record == MEAN else record)
        if not isinstance(record, Mapping) or record.get("kind") != "learned":
            raise ValueError(f"an unknown rule of fusion {str(record)[:80]!r}")
        inputs, weights, offset = tuple(record["inputs"]), tuple(map(float, record["weights"])), float(record["offset"])
        if not inputs or not set(inputs) <= set(INPUTS) or len(inputs) != len(weights):
            raise ValueError(f"a learned rule of fusion with {len(weights)} weights for {', '.join(map(str, inputs))}")
        if not all(map(isfinite, (*weights, offset))):
            raise ValueError("a rule of fusion whose weights are no finite numbers")
        return cls("learned", inputs, weights, offset)


def _looked_at(crop_logits: ArrayLike, index: ArrayLike, inputs: tuple[str, ...]) -> NDArray[np.float64]:
    """Logits of the images, a column for each of ``inputs``: float64 (n, k)."""
    logits = np.asarray(crop_logits, dtype=np.float64)
    starts = _starts(np.asarray(index))
    columns = {
        "mean": lambda: fuse_logits(logits, index),
        "max": lambda: np.maximum.reduceat(logits, starts),
        "thumbnail": lambda: logits[np.append(starts[1:], len(logits)) - 1],
    }
    return np.column_stack([columns[name]() for name in inputs])


def fit_logistic(
    features: NDArray[np.float64], labels: NDArray[np.bool_], start: NDArray[np.float64], ridge: float
) -> NDArray[np.float64]:
    """Weights (k,) of least mean negative log-likelihood plus ``ridge`` x their squared distance from ``start``.

    Damped Newton steps on a convex function; labels that are separated perfectly still give finite weights.

    Args:
        features: (n, k).
        labels: bool (n,), true for a fake.
        start: (k,).
        ridge: above 0.
    """
    signs = np.where(labels, 1.0, -1.0)

    def loss(theta: NDArray[np.float64]) -> float:
        return float(-log_sigmoid(signs * (features @ theta)).mean() + ridge * np.sum((theta - start) ** 2))

    theta, best = start, loss(start)
    for _ in range(100):
        p = sigmoid(features @ theta)
        gradient = features.T @ (p - labels) / len(labels) + 2 * ridge * (theta - start)
        curvature = features.T @ (features * (p * (1 - p))[:, None]) / len(labels)
        step = np.linalg.solve(curvature + 2 * ridge * np.eye(len(theta)), gradient)
        scale = 1.0
        while scale > 1e-10 and loss(theta - scale * step) > best:
            scale /= 2
        theta = theta - scale * step
        previous, best = best, loss(theta)
        if previous - best < 1e-14:
            break
    return theta
