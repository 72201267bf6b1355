"""Transforms of features, in front of a head."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aigenbench.errors import InputError
from aigenbench.models.heads.rows import Rows, Statistics, merged_mean, number, width_of, zeros
from aigenbench.models.parts import Part


class Transform(nn.Module):
    """Changes features. Parameters that it has train, and are in checkpoints and exports as its buffers are.

    Args:
        layout: what the features it gets are concatenated from.
    """

    needs_rows = False
    """Whether it does in training what it does not do in an evaluation."""

    def __init__(self, layout: Sequence[Part]) -> None:
        super().__init__()
        self.layout = tuple(layout)
        """Of the features that it gives; the same unless changed here."""

    def forward(self, features: Tensor, rows: Rows | None = None) -> Tensor:
        """Features float32 (n, D') of features float32 (n, D).

        ``rows`` are given in training, where ``needs_rows``.
        """
        raise NotImplementedError


class Gate(Transform):
    """The sum of parts of one width, weighted by a softmax that is learned; it starts as their mean."""

    def __init__(self, layout: Sequence[Part]) -> None:
        super().__init__(layout)
        widths = [part.width for part in layout]
        if len(widths) < 2 or len(set(widths)) > 1:
            told = ", ".join(f"{part.name} ({part.width})" for part in layout)
            raise InputError(f"model.transform gate: expected two or more parts of one width, found {told}")
        self.layout = (Part("", widths[0]),)
        self.weight = nn.Parameter(torch.zeros(len(widths)))

    def forward(self, features: Tensor, rows: Rows | None = None) -> Tensor:
        """The weighted sum: (n, width of a part)."""
        parts = features.unflatten(1, (len(self.weight), -1))
        return (parts * self.weight.float().softmax(dim=0)[:, None]).sum(dim=1)


class Normalise(Transform):
    """Puts each row on the unit sphere."""

    def forward(self, features: Tensor, rows: Rows | None = None) -> Tensor:
        """Rows of length 1; a row of zeros stays."""
        return F.normalize(features, dim=1)


class Standardise(Statistics, Transform):
    """Each feature less its mean, over its standard deviation, of all rows that were trained on so far."""

    needs_rows = True
    count: Tensor
    mean: Tensor
    squares: Tensor

    def __init__(self, layout: Sequence[Part]) -> None:
        super().__init__(layout)
        width = width_of(layout)
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))
        self.register_buffer("mean", zeros(width))
        self.register_buffer("squares", zeros(width))

    def forward(self, features: Tensor, rows: Rows | None = None) -> Tensor:
        """Standardised rows, of a feature that never varied 0; a training batch is counted first."""
        if rows is not None:
            self._take(rows.everyones(features.detach())[0])
        deviation = (self.squares / self.count.clamp(min=1)).sqrt()
        return (features - self.mean) / torch.where(deviation > 0, deviation, 1.0)

    def _take(self, features: Tensor) -> None:
        n, new = len(features), features.mean(dim=0)
        mean, gap = merged_mean(self.mean, self.count, new, n)
        # squared distances from the mean, of two sets of rows together (Chan, Golub, LeVeque 1983)
        between = gap**2 * (self.count * n / (self.count + n))
        self.squares.add_((features - new).square().sum(dim=0) + between)
        self.mean.copy_(mean)
        self.count.add_(n)


class SimLBR(Transform):
    """In training, some fakes are moved towards a real of their batch, and stay fakes (after arXiv 2602.20412).

    Args:
        layout: as of every transform.
        share: of the fakes that are moved.
        alpha: (low, high), the share of the real in the blend, drawn evenly between them for each row.
    """

    needs_rows = True

    def __init__(self, layout: Sequence[Part], share: float = 0.5, alpha: Sequence[float] = (0.0, 0.8)) -> None:
        super().__init__(layout)
        self.share = number("model.transform: simlbr share", share, 0, 1)
        if isinstance(alpha, str) or not isinstance(alpha, Sequence) or len(alpha) != 2 or self.share == 0:
            raise InputError(f"model.transform: simlbr takes a share above 0 and alpha [low, high]; {share}, {alpha}")
        self.low = number("model.transform: simlbr alpha's low", alpha[0], 0, 1, below=True)
        self.high = number("model.transform: simlbr alpha's high", alpha[1], self.low, 1, below=True)

    def forward(self, features: Tensor, rows: Rows | None = None) -> Tensor:
        """The features, in training with some rows blended; a batch without a real stays."""
        if rows is None:
            return features
        reals = rows.labels.cpu().eq(0).nonzero()[:, 0]
        n = len(features)
        # on the CPU, where they are the same whatever device trains; the run seeds them for each batch
        chosen, alpha, partner = torch.rand(n), torch.rand(n), torch.rand(n)
        if not len(reals):
            return features
        alpha = (self.low + (self.high - self.low) * alpha) * (chosen < self.share) * rows.labels.cpu()
        real = features[reals[(partner * len(reals)).long()].to(features.device)]
        return torch.lerp(features, real, alpha.to(features)[:, None])


TRANSFORMS: dict[str, type[Transform]] = {
    "gate": Gate,
    "normalise": Normalise,
    "standardise": Standardise,
    "simlbr": SimLBR,
}
"""Transforms by their names in a config."""
