"""Scorers: heads without weights, which keep what they need of the training rows.

They take every row of a window once; where a window begins, they begin anew. What they keep are buffers, float32.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from aigenbench.errors import InputError
from aigenbench.models.heads.learned import Head
from aigenbench.models.heads.rows import Rows, Statistics, merged_mean, number, one_of, whole, width_of, zeros
from aigenbench.models.parts import Part

CHUNK = 8192
"""Rows of a bank that a batch is compared with at a time."""


class Scorer(Statistics, Head):
    """Scores features by what it has taken of the training rows; binary alone.

    Args:
        layout: of the features.
        n_outputs: 1.
    """

    trains = False
    needs_rows = True
    count: Tensor

    def __init__(self, layout: Sequence[Part], n_outputs: int) -> None:
        super().__init__()
        if n_outputs != 1:
            raise InputError(
                f"model.head {type(self).__name__.lower()}: a scorer tells real from fake, with one output; use "
                f"training_task: binary, found {n_outputs} outputs"
            )
        self.width = width_of(layout)
        self.register_load_state_dict_post_hook(lambda module, _: module.settle())

    def reset(self) -> None:
        """Forget all rows."""
        for buffer in self.buffers():
            buffer.zero_()

    def training_outputs(self, features: Tensor, rows: Rows) -> list[Tensor]:
        """None: the rows are taken."""
        with torch.no_grad():
            self.add(*rows.everyones(features, rows.labels, rows.generator_ids))
        return []

    def add(self, features: Tensor, labels: Tensor, generator_ids: Tensor) -> None:
        """Take the rows of all processes."""
        raise NotImplementedError

    def settle(self) -> None:
        """Make what scoring needs of what was taken; called before an evaluation and after loading."""

    def train(self, mode: bool = True) -> Scorer:
        """As of every module; an evaluation is about to begin where ``mode`` is False."""
        super().train(mode)
        if not mode:
            self.settle()
        return self


class KNN(Scorer):
    """Log odds of fakes among the ``k`` nearest rows: log((fakes + 1/2) / (reals + 1/2)).

    Args:
        layout: of the features.
        n_outputs: 1.
        k: neighbours that count.
        distance: ``cosine`` or ``euclidean``.
        bank: rows that are kept: all of a window that has no more, else an even draw of them (Vitter's algorithm R).
    """

    features: Tensor
    labels: Tensor

    def __init__(
        self, layout: Sequence[Part], n_outputs: int, k: int = 5, distance: str = "cosine", bank: int = 10_000
    ) -> None:
        super().__init__(layout, n_outputs)
        self.k, self.bank = whole("model.head: knn k", k, 1), whole("model.head: knn bank", bank, 1)
        if self.k > self.bank:
            raise InputError(f"model.head: knn k is {k}, more than the {bank} rows of its bank")
        self.distance = one_of("model.head: knn distance", distance, ("cosine", "euclidean"))
        self.register_buffer("features", zeros(bank, self.width))
        self.register_buffer("labels", zeros(bank))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    def add(self, features: Tensor, labels: Tensor, generator_ids: Tensor) -> None:
        """Keep them, or some of them."""
        first = int(self.count)
        numbers = np.arange(first, first + len(features))
        # the order of the rows is the run's own draw, so places that depend on the count alone are drawn too
        drawn = np.random.default_rng(first).integers(0, numbers + 1)
        places = np.where(numbers < self.bank, numbers, drawn)
        # of two rows with one place the later stays
        kept = {place: row for row, place in enumerate(places.tolist()) if place < self.bank}
        at, row = (torch.tensor(list(of), device=features.device) for of in (kept, kept.values()))
        if kept:
            self.features[at] = self._placed(features[row])
            self.labels[at] = labels[row].float()
        self.count.add_(len(features))

    def forward(self, features: Tensor) -> Tensor:
        """Log odds float32 (n, 1); fewer neighbours count where fewer rows were taken."""
        query = self._placed(features)
        # by shapes of tensors alone: a length in Python would stand in an exported graph as it is now
        near = torch.full_like(query[:, :1].expand(-1, self.k), -math.inf)
        fake = torch.zeros_like(near)
        for start in range(0, self.bank, CHUNK):
            bank, labels = self.features[start : start + CHUNK], self.labels[start : start + CHUNK]
            closeness = query @ bank.T
            if self.distance == "euclidean":
                closeness = 2 * closeness - bank.square().sum(dim=1)
            is_empty = torch.arange(start, start + len(bank), device=bank.device) >= self.count
            closeness = closeness.masked_fill(is_empty, -math.inf)
            joined = torch.cat([near, closeness], dim=1)
            near, places = joined.topk(self.k, dim=1)
            fake = torch.cat([fake, labels.expand_as(closeness)], dim=1).gather(1, places)
        found = (near > -math.inf).float()
        fakes = (fake * found).sum(dim=1, keepdim=True)
        return ((fakes + 0.5) / (found.sum(dim=1, keepdim=True) - fakes + 0.5)).log()

    def _placed(self, features: Tensor) -> Tensor:
        return F.normalize(features, dim=1) if self.distance == "cosine" else features


class Prototypes(Scorer):
    """How much farther the nearest mean of reals is than the nearest mean of fakes: a Euclidean distance less another.

    Args:
        layout: of the features.
        n_outputs: 1.
        by: whose means: ``label``, or ``generator`` (real is one).
        n_classes: real and generators, by ``generator``.
    """

    means: Tensor

    def __init__(self, layout: Sequence[Part], n_outputs: int, by: str = "label", n_classes: int = 37) -> None:
        super().__init__(layout, n_outputs)
        self.by = one_of("model.head: prototypes by", by, ("label", "generator"))
        self.classes = whole("model.head: prototypes n_classes", n_classes, 2) if by == "generator" else 2
        self.register_buffer("means", zeros(self.classes, self.width))
        self.register_buffer("count", torch.zeros(self.classes, dtype=torch.int64))

    def add(self, features: Tensor, labels: Tensor, generator_ids: Tensor) -> None:
        """Move the means of the rows' classes."""
        of = labels if self.by == "label" else generator_ids
        if int(of.max()) >= self.classes:
            raise InputError(
                f"model.head: prototypes has {self.classes} classes, the windows so far hold generator "
                f"{int(of.max())}; set its n_classes to at least {int(of.max()) + 1}"
            )
        members = F.one_hot(of, self.classes).to(features)
        n = members.sum(dim=0)
        sums = members.T @ features
        mean, _ = merged_mean(self.means, self.count[:, None], sums / n.clamp(min=1)[:, None], n[:, None])
        self.means.copy_(torch.where(n[:, None] > 0, mean, self.means))
        self.count.add_(n.long())

    def forward(self, features: Tensor) -> Tensor:
        """Distance to the nearest real less that to the nearest fake: float32 (n, 1)."""
        # about the means' own middle, where squares lose no digits
        middle = self.means.mean(dim=0)
        rows, means = features - middle, self.means - middle
        squares = rows.square().sum(dim=1, keepdim=True) + means.square().sum(dim=1) - 2 * rows @ means.T
        distances = squares.clamp(min=0).sqrt().masked_fill(self.count == 0, math.inf)
        # where nothing was taken of one of them, all lie equally far
        real, fake = distances[:, :1], distances[:, 1:].amin(dim=1, keepdim=True)
        return torch.nan_to_num(real - fake, posinf=0.0, neginf=0.0)


class Distance(Scorer):
    """How far from the reals, fakes left out of account: d^2 over its mean on the training's reals, less 1.

    Args:
        layout: of the features.
        n_outputs: 1.
        covariance: ``shrunk`` (Mahalanobis), or ``identity`` (Euclidean).
        shrinkage: of the covariance towards a multiple of the identity, above 0 and at most 1.
    """

    mean: Tensor
    scatter: Tensor
    precision: Tensor

    def __init__(
        self, layout: Sequence[Part], n_outputs: int, covariance: str = "shrunk", shrinkage: float = 0.1
    ) -> None:
        super().__init__(layout, n_outputs)
        self.covariance = one_of("model.head: distance covariance", covariance, ("shrunk", "identity"))
        self.shrinkage = number("model.head: distance shrinkage", shrinkage, 1e-6, 1)
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))
        self.register_buffer("mean", zeros(self.width))
        self.register_buffer("scatter", zeros(self.width, self.width))
        self.register_buffer("precision", torch.eye(self.width), persistent=False)

    def add(self, features: Tensor, labels: Tensor, generator_ids: Tensor) -> None:
        """Take the reals among them into the mean and the scatter about it."""
        reals = features[labels == 0]
        if not len(reals):
            return
        n, new = len(reals), reals.mean(dim=0)
        mean, gap = merged_mean(self.mean, self.count, new, n)
        within = reals - new
        self.scatter.add_(within.T @ within + torch.outer(gap, gap) * (self.count * n / (self.count + n)))
        self.mean.copy_(mean)
        self.count.add_(n)

    def settle(self) -> None:
        """Invert the covariance, scaled so that the mean of d^2 over the reals is 1."""
        empirical = self.scatter / self.count.clamp(min=1)
        # where nothing varies, or nothing was taken, all distances are scaled alike
        spread = empirical.diagonal().mean().clamp(min=1e-20)
        inverse = torch.eye(self.width, device=empirical.device) / spread
        if self.covariance == "shrunk":
            ridge = self.shrinkage * spread * torch.eye(self.width, device=empirical.device)
            inverse = torch.linalg.inv((1 - self.shrinkage) * empirical + ridge)
        of_reals = (inverse * empirical).sum()
        # in place: a tensor made within an evaluation could not be changed by the training that follows
        self.precision.copy_(inverse / torch.where(of_reals > 0, of_reals, 1.0))

    def forward(self, features: Tensor) -> Tensor:
        """Float32 (n, 1), from -1; 0 is as far as the training's reals are in the mean."""
        away = features - self.mean
        return ((away @ self.precision) * away).sum(dim=1, keepdim=True) - 1
