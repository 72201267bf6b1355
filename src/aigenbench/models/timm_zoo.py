"""Any model of timm, with any head removed; and short names for the newer backbones that timm has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from aigenbench.errors import InputError
from aigenbench.models.preprocessing import INTERPOLATIONS, Preprocessing
from aigenbench.models.reading import StateDict
from aigenbench.models.source import Card, Source
from aigenbench.models.weights import RemoteFile


class Timm(Source):
    """Any name that ``timm.list_models()`` or ``timm.list_pretrained()`` gives; features are its pooled ones."""

    name = "timm"

    def names(self) -> Sequence[str]:
        """Architectures, then architectures with their tags of weights."""
        import timm

        architectures = timm.list_models()
        tagged = set(timm.list_models(pretrained=True, include_tags=True)) - set(architectures)
        return [*architectures, *sorted(tagged)]

    def card(self, name: str) -> Card | None:
        """Timm's own data and weights record (``pretrained_cfg``) of the model."""
        import timm

        if not timm.is_model(name.split(".", 1)[0]):
            return None
        try:
            config = timm.get_pretrained_cfg(name, allow_unregistered=False)
        except RuntimeError:
            return None
        if config is None:
            return Card(name, Preprocessing())
        interpolation = config.interpolation if config.interpolation in INTERPOLATIONS else "bicubic"
        preprocessing = Preprocessing(
            mean=config.mean,
            std=config.std,
            input_size=tuple(config.input_size[-2:]),
            interpolation=interpolation,
        )
        return Card(name, preprocessing, _files(config), config.license or "")

    def backbone(self, card: Card, state: StateDict | None, **model_args: Any) -> nn.Module:
        """The network with its classifier removed by timm's own ``reset_classifier``."""
        import timm

        overlay = {"state_dict": state, "custom_load": False} if state is not None else None
        try:
            # with the published number of classes, so that the weights load strictly
            network = timm.create_model(
                card.name, pretrained=state is not None, pretrained_cfg_overlay=overlay, **model_args
            )
        except TypeError as error:
            raise InputError(f"model_args of timm/{card.name}: {error}") from error
        for record in (network.pretrained_cfg, network.default_cfg):
            record.pop("state_dict", None)  # a second copy of the weights
        network.reset_classifier(0)
        return _Pooled(network)


class _Pooled(nn.Module):
    """A timm network without classifier; its forward pass gives the pooled features."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        width: Any = getattr(network, "head_hidden_size", None) or network.num_features
        self.num_features = int(width)

    def forward(self, images: Any) -> Any:
        """Features (N, D) of images (N, 3, H, W)."""
        return self.network(images)

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """As timm's."""
        self.network.set_grad_checkpointing(enable)  # type: ignore[operator]


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
