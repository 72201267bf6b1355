"""The networks behind ``classical/...``."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class NeighbouringPixels(nn.Module):
    """Residuals of neighbouring pixels, then the first half of a residual network (NPR; Tan et al., arXiv 2312.10461).

    Generators end in upsampling, so the pixels of a 2 x 2 block depend on each other in a way that cameras do not
    make. The residual is the picture less its top left pixel of each block; 1.4 million weights.
    """

    num_features = 512

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(_normed(3, 64, 3, stride=2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, padding=1))
        self.layers = nn.Sequential(
            *(_Bottleneck(64 if i == 0 else 256, 64, 1) for i in range(3)),
            *(_Bottleneck(256 if i == 0 else 512, 128, 2 if i == 0 else 1) for i in range(4)),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Features (N, 512) of normalised float images (N, 3, H, W), H and W at least 16."""
        return self.layers(self.stem(pixel_residuals(images) * 2 / 3)).mean(dim=(2, 3))


def pixel_residuals(images: Tensor) -> Tensor:
    """Each pixel less the top left one of its 2 x 2 block: (N, C, H, W), cut to even sides."""
    height, width = images.shape[-2] // 2 * 2, images.shape[-1] // 2 * 2
    even = images[..., :height, :width]
    return even - even[..., ::2, ::2].repeat_interleave(2, dim=-2).repeat_interleave(2, dim=-1)


class TinyPatch(nn.Module):
    """Four small convolutions over a fixed gradient: each 5 x 5 patch speaks, and the mean counts (Tiny-LaDeDa).

    After Cavia et al., arXiv 2406.09398: the picture's diagonal gradient takes its content away, and what is left is
    judged patch by patch. There it is distilled from a larger network; here it is trained by itself. 1,000 weights.
    """

    num_features = 8

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(_normed(3, 8, 3, padding=0), nn.ReLU(inplace=True), _normed(8, 8, 3, padding=0), nn.ReLU(inplace=True)),
            *(_normed(8, 8, 1), nn.ReLU(inplace=True), _normed(8, 8, 1), nn.ReLU(inplace=True)),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Features (N, 8) of normalised float images (N, 3, H, W), H and W at least 6."""
        # the head is linear, so the mean of features gives the mean of the patches' logits
        return self.layers(diagonal_gradients(images)).mean(dim=(2, 3))


def diagonal_gradients(images: Tensor) -> Tensor:
    """Each pixel less its neighbour below and to the right: (N, C, H - 1, W - 1)."""
    return images[..., :-1, :-1] - images[..., 1:, 1:]


class FrequencyNetwork(nn.Module):
    """Learns on high frequencies of picture and features, amplitude and phase apart (FreqNet).

    After Tan et al., arXiv 2403.07240: what lies below a quarter of the sampling rate is taken out of the picture, and
    out of the features before each stage; between them a layer mixes channels in the spectrum. 0.25 million weights.
    """

    num_features = 256

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(_normed(3, 64, 3, stride=2), nn.ReLU(inplace=True))
        self.first = nn.Sequential(SpectralMixing(64), _Bottleneck(64, 32, 2), _Bottleneck(128, 32, 1))
        self.second = nn.Sequential(SpectralMixing(128), _Bottleneck(128, 64, 2), _Bottleneck(256, 64, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Features (N, 256) of normalised float images (N, 3, H, W), H and W at least 16."""
        features = self.stem(high_frequencies(images))
        features = self.first(high_frequencies(features))
        return self.second(high_frequencies(features)).mean(dim=(2, 3))


def high_frequencies(maps: Tensor) -> Tensor:
    """What is left of maps (N, C, H, W) without frequencies below a quarter of the sampling rate in both directions."""
    rows = torch.fft.fftfreq(maps.shape[-2], device=maps.device).abs()
    columns = torch.fft.rfftfreq(maps.shape[-1], device=maps.device)
    kept = (rows[:, None] >= 0.25) | (columns >= 0.25)
    # no half-precision transform takes every size
    spectrum = torch.fft.rfft2(maps.float(), norm="ortho") * kept
    return torch.fft.irfft2(spectrum, s=maps.shape[-2:], norm="ortho").to(maps.dtype)


class SpectralMixing(nn.Module):
    """Channels mixed at each frequency, the amplitudes and the phases by a layer each, beside the maps themselves."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.amplitude = nn.Conv2d(channels, channels, 1)
        self.phase = nn.Conv2d(channels, channels, 1)

    def forward(self, maps: Tensor) -> Tensor:
        """Maps (N, C, H, W) to maps of the same shape."""
        spectrum = torch.fft.rfft2(maps.float(), norm="ortho")
        # the angle of nearly nothing has no direction, nor a gradient
        safe = torch.where(spectrum.abs() > 1e-6, spectrum, torch.ones_like(spectrum) * 1e-6)
        amplitude, phase = F.relu(self.amplitude(safe.abs())), self.phase(safe.angle())
        mixed = torch.fft.irfft2(torch.polar(amplitude.float(), phase.float()), s=maps.shape[-2:], norm="ortho")
        return maps + mixed.to(maps.dtype)


class _Bottleneck(nn.Module):
    """A residual block of three convolutions; its output has four times ``width`` channels."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            *(_normed(channels, width, 1), nn.ReLU(inplace=True)),
            *(_normed(width, width, 3, stride=stride), nn.ReLU(inplace=True)),
            _normed(width, 4 * width, 1),
        )
        same = stride == 1 and channels == 4 * width
        self.outer = nn.Identity() if same else _normed(channels, 4 * width, 1, stride=stride)

    def forward(self, maps: Tensor) -> Tensor:
        return F.relu(self.inner(maps) + self.outer(maps))


def _normed(channels: int, out: int, side: int, stride: int = 1, padding: int | None = None) -> nn.Sequential:
    around = side // 2 if padding is None else padding
    return nn.Sequential(nn.Conv2d(channels, out, side, stride, around, bias=False), nn.BatchNorm2d(out))


NETWORKS = {"npr": NeighbouringPixels, "tiny_patch": TinyPatch, "frequency": FrequencyNetwork}
