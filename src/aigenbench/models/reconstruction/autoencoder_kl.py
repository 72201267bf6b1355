"""AutoencoderKL: the autoencoder of Stable Diffusion and its kin (Rombach et al., arXiv 2112.10752, appendix G).

Modules are named as in the files that diffusers writes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aigenbench.errors import InputError

_GROUPS = 32
_ONLY = {
    "in_channels": 3,
    "out_channels": 3,
    "act_fn": "silu",
    "down_block_types": "DownEncoderBlock2D",
    "up_block_types": "UpDecoderBlock2D",
}
"""The values of a ``config.json`` that are built here; of lists, those of every entry."""
_OLD_ATTENTION = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}


@dataclass(frozen=True)
class Architecture:
    """What ``config.json`` says of the network.

    Attributes:
        widths: channels at every resolution, the finest first.
        layers: residual blocks at each; the decoder has one more.
        latents: channels of the latent picture.
        groups: of the group norms.
        attention: whether the coarsest resolution attends.
        quant, post_quant: whether a 1 x 1 convolution follows the encoder, and comes before the decoder.
    """

    widths: tuple[int, ...]
    layers: int
    latents: int
    groups: int = _GROUPS
    attention: bool = True
    quant: bool = True
    post_quant: bool = True

    @classmethod
    def of_config(cls, config: Mapping[str, Any], where: str) -> Architecture:
        """From ``config.json``.

        Raises:
            InputError: it describes another kind of network, or is damaged.
        """
        if config.get("_class_name") != "AutoencoderKL":
            raise InputError(f"{where} is of a {config.get('_class_name')!r}; expected an AutoencoderKL")
        for key, only in _ONLY.items():
            found = config.get(key, only)
            if {*found} != {only} if isinstance(found, list) else found != only:
                raise InputError(f"{where}: {key} {found!r} is not built here; expected {only!r}")
        try:
            return cls(
                tuple(map(int, config["block_out_channels"])),
                int(config["layers_per_block"]),
                int(config["latent_channels"]),
                int(config.get("norm_num_groups", _GROUPS)),
                bool(config.get("mid_block_add_attention", True)),
                bool(config.get("use_quant_conv", True)),
                bool(config.get("use_post_quant_conv", True)),
            )._checked(where)
        except (LookupError, TypeError, ValueError) as error:
            # an InputError is a ValueError, and says more
            reason = str(error) if isinstance(error, InputError) else f"{where} is damaged ({error!r})"
            raise InputError(reason) from error

    @classmethod
    def of_tensors(cls, tensors: Mapping[str, Tensor], where: str) -> Architecture:
        """From the tensors' names and shapes; group norms are taken to have 32 groups, which these do not tell.

        Raises:
            InputError: they are no AutoencoderKL's.
        """
        blocks = [name.split(".") for name in tensors if name.startswith("encoder.down_blocks.")]
        try:
            depth = 1 + max(int(parts[2]) for parts in blocks)
            layers = 1 + max(int(parts[4]) for parts in blocks if parts[3] == "resnets")
            widths = [len(tensors[f"encoder.down_blocks.{k}.resnets.0.conv1.weight"]) for k in range(depth)]
            latents = tensors["decoder.conv_in.weight"].shape[1]
        except (LookupError, ValueError, AttributeError) as error:
            raise InputError(
                f"{where} holds no tensors by the names of an AutoencoderKL (encoder.down_blocks.0.resnets.0...): "
                "give a file or folder that diffusers wrote"
            ) from error
        attention = "encoder.mid_block.attentions.0.group_norm.weight" in tensors
        found = cls(tuple(widths), layers, latents, attention=attention)
        quant, post_quant = (f"{name}.weight" in tensors for name in ("quant_conv", "post_quant_conv"))
        return replace(found, quant=quant, post_quant=post_quant)._checked(where)

    def _checked(self, where: str) -> Architecture:
        if not self.widths or min(*self.widths, self.layers, self.latents, self.groups) < 1:
            raise InputError(f"{where}: widths, layers, latents and groups must be whole numbers from 1, found {self}")
        if any(width % self.groups for width in self.widths):
            raise InputError(
                f"{where}: channels {list(self.widths)} cannot be cut into {self.groups} groups; give the folder with "
                "its config.json, which says norm_num_groups"
            )
        return self


class AutoencoderKL(nn.Module):
    """Encoder and decoder; the latent picture is the mean of its distribution, so nothing is drawn.

    Args:
        architecture: of both.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        a = architecture
        self.encoder, self.decoder = _Encoder(a), _Decoder(a)
        self.quant_conv = nn.Conv2d(2 * a.latents, 2 * a.latents, 1) if a.quant else nn.Identity()
        self.post_quant_conv = nn.Conv2d(a.latents, a.latents, 1) if a.post_quant else nn.Identity()
        self.factor = 2 ** (len(a.widths) - 1)
        """Sides of a picture must be multiples of it."""

    def forward(self, pictures: Tensor) -> Tensor:
        """Pictures float (n, 3, H, W) in 0..1, encoded and decoded; what is decoded may lie a little outside."""
        mean = self.quant_conv(self.encoder(2 * pictures - 1)).chunk(2, dim=1)[0]
        decoded: Tensor = self.decoder(self.post_quant_conv(mean))
        return (decoded + 1) / 2

    @staticmethod
    def renamed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Tensors of older files under today's names; their attention was written as 1 x 1 convolutions or not."""
        renamed = {}
        for name, tensor in tensors.items():
            parts = name.split(".")
            if ".attentions." in name and parts[-2] in _OLD_ATTENTION:
                name = ".".join([*parts[:-2], _OLD_ATTENTION[parts[-2]], parts[-1]])
            renamed[name] = tensor.flatten(1) if ".attentions." in name and tensor.ndim == 4 else tensor
        return renamed


class _Residual(nn.Module):
    def __init__(self, before: int, after: int, groups: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = nn.GroupNorm(groups, before, eps=1e-6), nn.Conv2d(before, after, 3, padding=1)
        self.norm2, self.conv2 = nn.GroupNorm(groups, after, eps=1e-6), nn.Conv2d(after, after, 3, padding=1)
        self.conv_shortcut = nn.Conv2d(before, after, 1) if before != after else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        inner = self.conv1(F.silu(self.norm1(x)))
        added: Tensor = self.conv_shortcut(x) + self.conv2(F.silu(self.norm2(inner)))
        return added


class _Attention(nn.Module):
    """One head over all places."""

    def __init__(self, width: int, groups: int) -> None:
        super().__init__()
        self.group_norm = nn.GroupNorm(groups, width, eps=1e-6)
        self.to_q, self.to_k, self.to_v = (nn.Linear(width, width) for _ in range(3))
        self.to_out = nn.ModuleList([nn.Linear(width, width)])

    def forward(self, x: Tensor) -> Tensor:
        places = self.group_norm(x).flatten(2).transpose(1, 2)
        found = F.scaled_dot_product_attention(*(to(places)[:, None] for to in (self.to_q, self.to_k, self.to_v)))[:, 0]
        return x + self.to_out[0](found).transpose(1, 2).reshape(x.shape)


class _Middle(nn.Module):
    def __init__(self, a: Architecture) -> None:
        super().__init__()
        width = a.widths[-1]
        self.resnets = nn.ModuleList(_Residual(width, width, a.groups) for _ in range(2))
        self.attentions = nn.ModuleList([_Attention(width, a.groups)] if a.attention else [])

    def forward(self, x: Tensor) -> Tensor:
        x = self.resnets[0](x)
        for attention in self.attentions:
            x = attention(x)
        after: Tensor = self.resnets[1](x)
        return after


class _Halved(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        halved: Tensor = self.conv(F.pad(x, (0, 1, 0, 1)))
        return halved


class _Doubled(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        doubled: Tensor = self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        return doubled


class _Blocks(nn.Module):
    """Residual blocks of one resolution, and the step to the next; ``scaled`` is that step's name in files."""

    def __init__(self, widths: Sequence[int], groups: int, scaled: str, step: nn.Module | None) -> None:
        super().__init__()
        self.resnets = nn.ModuleList(_Residual(a, b, groups) for a, b in pairwise(widths))
        self._scaled = scaled
        self.add_module(scaled, nn.ModuleList([] if step is None else [step]))

    def forward(self, x: Tensor) -> Tensor:
        for block in (*self.resnets, *self.get_submodule(self._scaled).children()):
            x = block(x)
        return x


class _Encoder(nn.Module):
    def __init__(self, a: Architecture) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(3, a.widths[0], 3, padding=1)
        self.down_blocks = nn.ModuleList()
        before = a.widths[0]
        for k, width in enumerate(a.widths):
            step = _Halved(width) if k + 1 < len(a.widths) else None
            self.down_blocks.append(_Blocks([before] + a.layers * [width], a.groups, "downsamplers", step))
            before = width
        self.mid_block = _Middle(a)
        self.conv_norm_out = nn.GroupNorm(a.groups, before, eps=1e-6)
        self.conv_out = nn.Conv2d(before, 2 * a.latents, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_in(x)
        for block in self.down_blocks:
            x = block(x)
        moments: Tensor = self.conv_out(F.silu(self.conv_norm_out(self.mid_block(x))))
        return moments


class _Decoder(nn.Module):
    def __init__(self, a: Architecture) -> None:
        super().__init__()
        before = a.widths[-1]
        self.conv_in = nn.Conv2d(a.latents, before, 3, padding=1)
        self.mid_block = _Middle(a)
        self.up_blocks = nn.ModuleList()
        for k, width in enumerate(reversed(a.widths)):
            step = _Doubled(width) if k + 1 < len(a.widths) else None
            self.up_blocks.append(_Blocks([before] + (a.layers + 1) * [width], a.groups, "upsamplers", step))
            before = width
        self.conv_norm_out = nn.GroupNorm(a.groups, before, eps=1e-6)
        self.conv_out = nn.Conv2d(before, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.mid_block(self.conv_in(x))
        for block in self.up_blocks:
            x = block(x)
        picture: Tensor = self.conv_out(F.silu(self.conv_norm_out(x)))
        return picture


def build(architecture: Architecture) -> AutoencoderKL:
    """The network, its shapes alone: weights are given to it, not copied into it."""
    with torch.device("meta"):
        return AutoencoderKL(architecture)
