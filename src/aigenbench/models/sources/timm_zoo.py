"""Any model of timm, with any head removed; and short names for the newer backbones that timm has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from aigenbench.errors import InputError
from aigenbench.models.preprocessing import Preprocessing
from aigenbench.models.probe import pooled_width
from aigenbench.models.sources.base import Card, Example, ModelSource, UnfitWeightsError, weights_of
from aigenbench.models.tapping import BlockOutputs
from aigenbench.models.weights.locate import RemoteFile
from aigenbench.models.weights.reading import StateDict, first_names

#: Short names of our own for the backbones whose frozen features are strongest today.
SHORT_NAMES = {
    "dinov3_vits16": "vit_small_patch16_dinov3.lvd1689m",
    "dinov3_vits16plus": "vit_small_plus_patch16_dinov3.lvd1689m",
    "dinov3_vitb16": "vit_base_patch16_dinov3.lvd1689m",
    "dinov3_vitl16": "vit_large_patch16_dinov3.lvd1689m",
    "dinov3_vith16plus": "vit_huge_plus_patch16_dinov3.lvd1689m",
    "dinov3_vit7b16": "vit_7b_patch16_dinov3.lvd1689m",
    "dinov3_convnext_tiny": "convnext_tiny.dinov3_lvd1689m",
    "dinov3_convnext_small": "convnext_small.dinov3_lvd1689m",
    "dinov3_convnext_base": "convnext_base.dinov3_lvd1689m",
    "dinov3_convnext_large": "convnext_large.dinov3_lvd1689m",
    "pe_core_t16_384": "vit_pe_core_tiny_patch16_384.fb",
    "pe_core_s16_384": "vit_pe_core_small_patch16_384.fb",
    "pe_core_b16": "vit_pe_core_base_patch16_224.fb",
    "pe_core_l14_336": "vit_pe_core_large_patch14_336.fb",
    "pe_core_g14_448": "vit_pe_core_gigantic_patch14_448.fb",
    "siglip2_b16": "vit_base_patch16_siglip_224.v2_webli",
    "siglip2_b16_256": "vit_base_patch16_siglip_256.v2_webli",
    "siglip2_b16_384": "vit_base_patch16_siglip_384.v2_webli",
    "siglip2_l16_256": "vit_large_patch16_siglip_256.v2_webli",
    "siglip2_l16_384": "vit_large_patch16_siglip_384.v2_webli",
    "siglip2_so400m14": "vit_so400m_patch14_siglip_224.v2_webli",
    "siglip2_so400m14_378": "vit_so400m_patch14_siglip_378.v2_webli",
    "siglip2_so400m16_256": "vit_so400m_patch16_siglip_256.v2_webli",
    "siglip2_g16_256": "vit_giantopt_patch16_siglip_256.v2_webli",
    "siglip2_g16_384": "vit_giantopt_patch16_siglip_384.v2_webli",
    # of the weights at 224, the huge ones alone were trained with QuickGELU
    "metaclip2_h14": "vit_huge_patch14_clip_quickgelu_224.metaclip2_worldwide",
    "metaclip2_h14_378": "vit_huge_patch14_clip_378.metaclip2_worldwide",
    "metaclip2_g14": "vit_gigantic_patch14_clip_224.metaclip2_worldwide",
    "metaclip2_g14_378": "vit_gigantic_patch14_clip_378.metaclip2_worldwide",
}


#: Arguments of timm's own about which weights to load.
_OF_WEIGHTS = ("checkpoint_path", "pretrained_cfg", "pretrained_cfg_overlay", "cache_dir")


class Timm(ModelSource):
    """What ``timm.list_models()`` and ``timm.list_pretrained()`` give, and ``SHORT_NAMES``.

    The features are the pooled ones, before any classifier. Arguments are those of ``timm.create_model``
    (``img_size``, ``dynamic_img_size``, ``drop_path_rate`` ...).
    """

    name = "timm"
    example = Example("test_efficientnet", (32, 32))

    def names(self) -> Sequence[str]:
        """Our short names, then architectures, then architectures with their tags of weights."""
        import timm

        return [*SHORT_NAMES, *timm.list_models(), *timm.list_pretrained()]

    def card(self, name: str) -> Card | None:
        """Timm's own data and weights record (``pretrained_cfg``) of the model."""
        import timm

        name = SHORT_NAMES.get(name, name)
        if not timm.is_model(name.split(".", 1)[0]):
            return None
        try:
            config = timm.get_pretrained_cfg(name, allow_unregistered=False)
        except RuntimeError:
            return None
        if config is None:
            return Card(name, Preprocessing())
        return Card(name, Preprocessing.of_timm(vars(config)), _files(config), config.license or "")

    def lookalikes(self, card: Card) -> Sequence[str]:
        """A CLIP's transformer with the other of GELU and QuickGELU."""
        import timm

        name = card.name.split(".", 1)[0]
        quick = "_clip_quickgelu_" in name
        other = name.replace(*(("_clip_quickgelu_", "_clip_") if quick else ("_clip_", "_clip_quickgelu_")))
        return [f"timm/{other}"] if other != name and timm.is_model(other) else []

    def backbone(self, card: Card, state: StateDict | None, **model_args: Any) -> nn.Module:
        """The network with its classifier removed by timm's own ``reset_classifier``."""
        import timm

        for key in _OF_WEIGHTS:
            if key in model_args:
                # timm opens such files by itself, and runs what is in them
                raise InputError(f"model_args of timm/{card.name}: {key} is not taken; name a file by weights: FILE")
        overlay, filled = None, list[torch.Tensor]()
        if state is not None:
            state, filled = _followed(state)
            overlay = {"state_dict": state, "custom_load": False}
        try:
            # with the published number of classes, so that the weights load strictly
            network = timm.create_model(
                card.name, pretrained=state is not None, pretrained_cfg_overlay=overlay, **model_args
            )
        except (TypeError, ValueError, LookupError, AttributeError, AssertionError) as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:160]
            if state is None or "unexpected keyword" in reason:
                raise InputError(f"model_args of timm/{card.name}: {reason}") from error
            # timm converts the names of older files first, which is where a stranger's fail
            raise UnfitWeightsError(f"timm's conversion of the names {first_names(state)} failed ({reason})") from error
        if state is not None and (missing := _other_than(filled, network)):
            raise UnfitWeightsError(f"missing {first_names(missing)}; the file has {first_names(state)}")
        for record in (network.pretrained_cfg, network.default_cfg):
            record.pop("state_dict", None)  # a second copy of the weights
        network.reset_classifier(0)
        return _Pooled(network, model_args.get("img_size"))


def _followed(state: StateDict) -> tuple[StateDict, list[torch.Tensor]]:
    """``state`` in tensors that note where they, or what is made of them, are copied to; and the list of their notes.

    A few of timm's families load leniently, and only log what they miss.
    """
    filled: list[torch.Tensor] = []

    class Followed(torch.Tensor):
        @classmethod
        def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func is torch.Tensor.copy_:
                filled.append(args[0])
            return super().__torch_function__(func, types, args, kwargs)

        def __deepcopy__(self, memo: Any) -> Any:
            return self  # timm copies its records, and would copy the weights with them

    return {name: tensor.as_subclass(Followed) for name, tensor in state.items()}, filled


def _other_than(filled: list[torch.Tensor], network: nn.Module) -> list[str]:
    """The names of the weights of ``network`` that are not among ``filled``."""
    known = set(map(id, filled))
    return [name for name, tensor in weights_of(network.state_dict(keep_vars=True)).items() if id(tensor) not in known]


class _Pooled(nn.Module):
    """A timm network without classifier; its forward pass gives the pooled features."""

    def __init__(self, network: nn.Module, image_size: int | tuple[int, int] | None = None) -> None:
        super().__init__()
        self.network = network
        self.input_size = (image_size, image_size) if isinstance(image_size, int) else image_size
        self.num_features = pooled_width(network)
        self.block_outputs = timm_block_outputs(network, "network.")

    def forward(self, images: Any) -> Any:
        """Features (N, D) of images (N, 3, H, W)."""
        return self.network(images)

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """As timm's."""
        self.network.set_grad_checkpointing(enable)  # type: ignore[operator]


def timm_block_outputs(network: nn.Module, at: str) -> BlockOutputs:
    """What timm says of the tokens or maps that a network's blocks give; ``at`` stands before its modules' paths."""
    prefix = getattr(network, "num_prefix_tokens", None)
    # these put their class token beside the patches only after their blocks
    apart = any(hasattr(network, name) for name in ("blocks_token_only", "cls_attn_blocks"))
    if prefix is None or apart:
        return BlockOutputs(channels_last=getattr(network, "output_fmt", "") == "NHWC")
    has_cls = getattr(network, "cls_token", None) is not None
    norms = [name for name in ("norm", "fc_norm") if not isinstance(getattr(network, name, nn.Identity()), nn.Identity)]
    norm = norms[0] if norms else ""
    return BlockOutputs(prefix, has_cls, at + norm if norm else "", pooled_first=norm == "fc_norm")


def _files(config: Any) -> tuple[RemoteFile, ...]:
    """On the hub, safetensors before pickles; then the URL, unless the file there is in a format of its own."""
    files = []
    if config.hf_hub_id:
        named = config.hf_hub_filename
        names = [named] if named else ["model.safetensors", "pytorch_model.bin"]
        files += [RemoteFile(name, repo=config.hf_hub_id) for name in names]
    if config.url and not config.custom_load:
        files.append(RemoteFile.at(config.url))
    return tuple(files)
