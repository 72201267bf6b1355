"""What a head sees of its backbones: a row of parts, each a vector of one backbone, layer and kind of token."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """One of the vectors that features are concatenated from.

    Attributes:
        backbone: ``source/name``, or "" of a module that has no name.
        width: numbers an image.
        layer: the block, counted from 0, after which it is taken; None of a backbone's own output.
        tokens: ``cls``, ``patches`` (their mean) or ``default``.
    """

    backbone: str
    width: int
    layer: int | None = None
    tokens: str = "default"

    @property
    def name(self) -> str:
        """Such as ``openai/ViT-B/16 layer 6 cls``; of a backbone's own output its name alone."""
        where = "" if self.layer is None else f" layer {self.layer}"
        return f"{self.backbone or 'features'}{where}{'' if self.tokens == 'default' else f' {self.tokens}'}"
