"""The image tower of a CLIP model, built by open_clip."""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from aigenbench.models.sources.base import built_with
from aigenbench.models.tapping import BlockOutputs
from aigenbench.models.weights.reading import StateDict


class ImageTower(nn.Module):
    """Image embeddings (N, D) of normalised images (N, 3, H, W).

    Args:
        visual: open_clip's tower; where it also gives tokens (CoCa), they are dropped.
        num_features: D.
        normalised: Divide each embedding by its Euclidean norm, in float32.
    """

    def __init__(self, visual: nn.Module, num_features: int, normalised: bool = False) -> None:
        super().__init__()
        self.visual = visual
        self.num_features = num_features
        self.normalised = normalised
        size: Any = visual.image_size
        self.input_size = (size, size) if isinstance(size, int) else tuple(size)
        self.block_outputs = _block_outputs(visual)

    @classmethod
    def build(
        cls,
        architecture: str,
        state: StateDict | None,
        normalised: bool = False,
        image_size: int | tuple[int, int] | None = None,
    ) -> ImageTower:
        """The tower of open_clip's ``architecture``, loaded from a CLIP's state dict (or its tower's alone).

        Args:
            architecture: A name of ``open_clip.list_models()``; ``-quickgelu`` where the weights ask for it.
            state: With or without the text tower; None for random weights.
            normalised: As for the class.
            image_size: Other than the architecture's own; position embeddings are interpolated to it.
        """
        import open_clip
        from open_clip.model import _build_vision_tower, resize_pos_embed

        config = open_clip.get_model_config(architecture)
        vision = copy.deepcopy(config["vision_cfg"])
        if image_size is not None:
            vision["image_size"] = tuple(image_size) if isinstance(image_size, list | tuple) else image_size

        def make() -> ImageTower:
            visual = _build_vision_tower(config["embed_dim"], vision, config.get("quick_gelu", False))
            return cls(visual, config["embed_dim"], normalised)

        if state is not None:
            if any(key.startswith("visual.") for key in state):
                state = {key: value for key, value in state.items() if key.startswith("visual.")}
            else:
                state = {f"visual.{key}": value for key, value in state.items()}
            if image_size is not None:
                resize_pos_embed(state, SimpleNamespace(visual=make().visual))
        return built_with(state, make)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Embeddings (N, D)."""
        embeddings = self.visual(images)
        if isinstance(embeddings, tuple):
            embeddings = embeddings[0]
        return F.normalize(embeddings.float(), dim=-1) if self.normalised else embeddings

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """As open_clip's, whose ResNets would do nothing about it.

        Raises:
            NotImplementedError: The tower is a ResNet.
        """
        from open_clip.modified_resnet import ModifiedResNet

        if isinstance(self.visual, ModifiedResNet):
            raise NotImplementedError("open_clip's ModifiedResNet has no gradient checkpointing")
        self.visual.set_grad_checkpointing(enable)  # type: ignore[operator]


def _block_outputs(visual: nn.Module) -> BlockOutputs:
    if hasattr(visual, "trunk"):
        from aigenbench.models.sources.timm_zoo import timm_block_outputs

        return timm_block_outputs(visual.trunk, "visual.trunk.")  # type: ignore[arg-type]
    if not hasattr(visual, "transformer"):
        return BlockOutputs()
    # CoCa's norm comes after a pooling by attention, of another width
    norm = "visual.ln_post" if visual.attn_pool is None else ""
    return BlockOutputs(1, cls=True, norm=norm, pooled_first=bool(visual.final_ln_after_pool))
