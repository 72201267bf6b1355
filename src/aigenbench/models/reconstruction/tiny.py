"""TAESD: tiny autoencoders of Stable Diffusion, Flux and others (madebyollin/taesd), a state dict for each half."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from aigenbench.errors import InputError

_STAGES = 3
"""Halvings: a latent picture has an eighth of the picture's side."""


class TinyAutoencoder(nn.Module):
    """Both halves, as their state dicts are: rows of layers by number.

    Args:
        latents: channels of the latent picture.
        width: channels of every other layer.
        pools: names of the blocks (``encoder.11``) that have a pool; those beside the latent picture may.
    """

    factor = 2**_STAGES
    """Sides of a picture must be multiples of it."""

    def __init__(self, latents: int, width: int, pools: frozenset[str]) -> None:
        super().__init__()

        def blocks(half: str, start: int, n: int) -> list[nn.Module]:
            return [_Block(width, f"{half}.{start + k}" in pools) for k in range(n)]

        encoder: list[nn.Module] = [nn.Conv2d(3, width, 3, padding=1), *blocks("encoder", 1, 1)]
        for _ in range(_STAGES):
            encoder.append(nn.Conv2d(width, width, 3, padding=1, stride=2, bias=False))
            encoder += blocks("encoder", len(encoder), 3)
        encoder.append(nn.Conv2d(width, latents, 3, padding=1))
        decoder: list[nn.Module] = [_Clamp(), nn.Conv2d(latents, width, 3, padding=1), nn.ReLU()]
        for _ in range(_STAGES):
            decoder += blocks("decoder", len(decoder), 3)
            decoder += [nn.Upsample(scale_factor=2), nn.Conv2d(width, width, 3, padding=1, bias=False)]
        decoder += [*blocks("decoder", len(decoder), 1), nn.Conv2d(width, 3, 3, padding=1)]
        self.encoder, self.decoder = nn.Sequential(*encoder), nn.Sequential(*decoder)

    def forward(self, pictures: Tensor) -> Tensor:
        """As of ``AutoencoderKL``."""
        decoded: Tensor = self.decoder(self.encoder(pictures))
        return decoded


class _Clamp(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x / 3) * 3


class _Block(nn.Module):
    def __init__(self, width: int, pool: bool) -> None:
        super().__init__()
        layers = [nn.Conv2d(width, width, 3, padding=1) for _ in range(3)]
        self.conv = nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2])
        self.pool = (
            nn.Sequential(
                nn.Conv2d(width, 4 * width, 1, bias=False),
                nn.GroupNorm(4, 4 * width),
                nn.ReLU(),
                nn.Conv2d(4 * width, width, 1, bias=False),
            )
            if pool
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        if self.pool is not None:
            x = x + self.pool(x)
        return torch.relu(self.conv(x) + x)


def build(tensors: Mapping[str, Tensor], where: str) -> TinyAutoencoder:
    """The network that these tensors, ``encoder.<n>...`` and ``decoder.<n>...``, are of, its shapes alone.

    Raises:
        InputError: they are no such network's.
    """
    first, last = tensors.get("encoder.0.weight"), tensors.get("decoder.1.weight")
    if first is None or last is None or first.ndim != 4 or last.ndim != 4:
        raise InputError(f"{where} holds no encoder and decoder of TAESD's form (layers named 0.weight, 1.conv.0...)")
    pools = frozenset(name.partition(".pool.")[0] for name in tensors if ".pool." in name)
    with torch.device("meta"):
        return TinyAutoencoder(last.shape[1], len(first), pools)
