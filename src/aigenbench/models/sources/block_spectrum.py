"""The network behind ``small_cnn``."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional as F

_BLOCK = 8
_WIDTH = 32
_FLOOR = 0.02
# the first window of a small data set has a dozen steps: running averages must arrive within them
_MOMENTUM = 0.2


class BlockSpectrum(nn.Module):
    """What the spectrum of small blocks tells of an image, in 21 thousand weights.

    The first layer is fixed: the cosine transform of 8 x 8 blocks of the grey image, then the logarithm of the
    magnitudes. What a generator leaves is faint in the pixels and plain in this view, so a few dozen optimizer
    steps suffice for the two small convolutions after it.
    """

    num_features = 6 * _WIDTH

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("cosines", block_cosines(), persistent=False)
        self.spectrum_norm = nn.BatchNorm2d(_BLOCK**2, momentum=_MOMENTUM)
        self.mix = nn.Sequential(
            nn.Conv2d(_BLOCK**2, _WIDTH, 1, bias=False),
            nn.BatchNorm2d(_WIDTH, momentum=_MOMENTUM),
            nn.ReLU(inplace=True),
        )
        self.context = nn.Sequential(
            nn.Conv2d(_WIDTH, 2 * _WIDTH, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(2 * _WIDTH, momentum=_MOMENTUM),
            nn.ReLU(inplace=True),
        )
        self.feature_norm = nn.BatchNorm1d(self.num_features, momentum=_MOMENTUM)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Features (N, 192) of normalised float images (N, 3, H, W), H and W at least 8."""
        grey = images.mean(1, keepdim=True)
        magnitudes = F.conv2d(grey, self.get_buffer("cosines"), stride=_BLOCK).abs()
        mixed = self.mix(self.spectrum_norm(torch.log(magnitudes + _FLOOR)))
        pooled = [statistic for layer in (mixed, self.context(mixed)) for statistic in _mean_and_deviation(layer)]
        return self.feature_norm(torch.cat(pooled, 1))


def block_cosines() -> torch.Tensor:
    """The 64 patterns of the orthonormal two-dimensional cosine transform: float32 (64, 1, 8, 8)."""
    index = torch.arange(_BLOCK, dtype=torch.float32)
    waves = torch.cos(math.pi / _BLOCK * (index + 0.5) * index[:, None]) * math.sqrt(2 / _BLOCK)
    waves[0] /= math.sqrt(2)
    return torch.einsum("ui,vj->uvij", waves, waves).reshape(_BLOCK**2, 1, _BLOCK, _BLOCK)


def _mean_and_deviation(layer: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    variance, mean = torch.var_mean(layer, (2, 3), correction=0)
    # the root has no gradient at zero
    return mean, torch.sqrt(variance + 1e-5)
