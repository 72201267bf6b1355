"""The vision transformer of DINOv2, with the parameter names of its published weights."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from aigenbench.errors import InputError
from aigenbench.models.tapping import BlockOutputs

PATCH = 14
#: Patches a side at the size that the published position embeddings are for (518 pixels).
GRID = 37


class DinoVisionTransformer(nn.Module):
    """Gives the normalised class token of images whose sides are multiples of 14.

    Args:
        width: D, the features per token.
        depth: Number of blocks.
        heads: Attention heads per block.
        gated: SwiGLU in place of the MLP (the giant model).
        registers: Number of register tokens; 0 or 4.
        grid: Patches a side that there are position embeddings for.
    """

    def __init__(
        self, width: int, depth: int, heads: int, gated: bool = False, registers: int = 0, grid: int = GRID
    ) -> None:
        super().__init__()
        self.num_features = width
        self.block_outputs = BlockOutputs(1 + registers, cls=True, norm="norm")
        self.grid = grid
        self.grad_checkpointing = False
        self.patch_embed = PatchEmbedding(width)
        self.cls_token = nn.Parameter(torch.empty(1, 1, width))
        self.pos_embed = nn.Parameter(torch.empty(1, 1 + grid * grid, width))
        self.register_tokens = nn.Parameter(torch.empty(1, registers, width)) if registers else None
        self.blocks = nn.ModuleList(Block(width, heads, gated) for _ in range(depth))
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self._initialise()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Class tokens (N, D) of normalised images (N, 3, H, W).

        Raises:
            InputError: H or W is no multiple of 14.
        """
        height, width = images.shape[-2:]
        if height % PATCH or width % PATCH:
            raise InputError(
                f"DINOv2 takes images whose sides are multiples of {PATCH}, found {height} x {width}; "
                f"set model_input_size to {max(1, round(height / PATCH)) * PATCH}"
            )
        tokens = self.patch_embed(images)
        tokens = torch.cat([self.cls_token.expand(tokens.shape[0], -1, -1), tokens], dim=1)
        tokens = tokens + self.positions(height // PATCH, width // PATCH).to(tokens.dtype)
        if self.register_tokens is not None:
            registers = self.register_tokens.expand(tokens.shape[0], -1, -1)
            tokens = torch.cat([tokens[:, :1], registers, tokens[:, 1:]], dim=1)
        for block in self.blocks:
            if self.grad_checkpointing and torch.is_grad_enabled():
                tokens = checkpoint(block, tokens, use_reentrant=False)
            else:
                tokens = block(tokens)
        return self.norm(tokens)[:, 0]

    def positions(self, rows: int, columns: int) -> torch.Tensor:
        """Position embeddings (1, 1 + rows * columns, D), interpolated as the models' authors do.

        Bicubic in float32. The models without registers were released with a scale factor that is computed
        from the size plus 0.1, and no antialiasing; those with registers with the plain size and antialiasing.
        """
        grid = self.grid
        if (rows, columns) == (grid, grid):
            return self.pos_embed
        table = self.pos_embed.float()
        patches = table[:, 1:].reshape(1, grid, grid, -1).permute(0, 3, 1, 2)
        if self.register_tokens is None:
            factors = ((rows + 0.1) / grid, (columns + 0.1) / grid)
            resized = F.interpolate(patches, scale_factor=factors, mode="bicubic")
        else:
            resized = F.interpolate(patches, size=(rows, columns), mode="bicubic", antialias=True)
        assert resized.shape[-2:] == (rows, columns)
        return torch.cat([table[:, :1], resized.flatten(2).transpose(1, 2)], dim=1)

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Keep only each block's input for the backward pass, and compute the rest again."""
        self.grad_checkpointing = enable

    def _initialise(self) -> None:
        nn.init.normal_(self.cls_token, std=1e-6)
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        if self.register_tokens is not None:
            nn.init.normal_(self.register_tokens, std=1e-6)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)


class PatchEmbedding(nn.Module):
    """Images (N, 3, H, W) to tokens (N, H/14 * W/14, D)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, PATCH, PATCH)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Tokens row by row."""
        return self.proj(images).flatten(2).transpose(1, 2)


class Block(nn.Module):
    """Attention and MLP, each normalised before and scaled per channel after."""

    def __init__(self, width: int, heads: int, gated: bool) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = Attention(width, heads)
        self.ls1 = LayerScale(width)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = GatedMlp(width) if gated else Mlp(width)
        self.ls2 = LayerScale(width)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """(N, T, D) to (N, T, D)."""
        tokens = tokens + self.ls1(self.attn(self.norm1(tokens)))
        return tokens + self.ls2(self.mlp(self.norm2(tokens)))


class Attention(nn.Module):
    """Multi-head self-attention."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """(N, T, D) to (N, T, D)."""
        n, t, d = tokens.shape
        query, key, value = self.qkv(tokens).view(n, t, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(query, key, value)
        return self.proj(mixed.transpose(1, 2).reshape(n, t, d))


class Mlp(nn.Module):
    """Two layers with GELU, four times as wide inside."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """(N, T, D) to (N, T, D)."""
        return self.fc2(F.gelu(self.fc1(tokens)))


class GatedMlp(nn.Module):
    """SwiGLU: two thirds of the MLP's inner width, rounded up to a multiple of 8."""

    def __init__(self, width: int) -> None:
        super().__init__()
        inner = math.ceil(int(4 * width * 2 / 3) / 8) * 8
        self.w12 = nn.Linear(width, 2 * inner)
        self.w3 = nn.Linear(inner, width)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """(N, T, D) to (N, T, D)."""
        gate, value = self.w12(tokens).chunk(2, dim=-1)
        return self.w3(F.silu(gate) * value)


class LayerScale(nn.Module):
    """A learned factor a channel."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """(N, T, D) to (N, T, D)."""
        return tokens * self.gamma
