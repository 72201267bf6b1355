"""A backbone with a head, the backbone trained along (``tune``) or frozen and hidden (``probe``)."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from aigenbench.models.heads.learned import Head, Linear
from aigenbench.models.heads.rows import Rows
from aigenbench.models.heads.transforms import Transform
from aigenbench.models.parts import Part
from aigenbench.models.preprocessing import Preprocessing
from aigenbench.models.tapping import SideBySide


class Classifier(nn.Module):
    """Features of a backbone, then transforms of them, none at first, and a head, one linear layer at first.

    With ``frozen`` the backbone is not a registered submodule: it is absent from ``parameters()``,
    ``modules()``, ``state_dict()`` and ``train()``, stays in eval mode and runs without gradients, so neither
    an optimizer, nor BatchNorm statistics, nor a checkpoint can touch it. It still follows ``to()``,
    ``half()`` and their kin, deep copies and pickles. Otherwise nothing differs.

    Args:
        backbone: Takes float images (N, 3, H, W), gives features (N, ``num_features``).
        num_classes: Logits per image; 1 for a binary detector.
        frozen: Probe (True) or tune (False).
        num_features: D of the features; by default the backbone's attribute of that name.
        head_std: Standard deviation of the normal distribution that the head's weights start from; by
            default they start as ``nn.Linear`` does.
        preprocessing: What the backbone expects of its images, if known.
        name: ``source/name`` of the backbone; it enters ``backbone_reference``.
    """

    backbone: nn.Module

    def __init__(
        self,
        backbone: nn.Module,
        num_classes: int,
        frozen: bool = False,
        *,
        num_features: int | None = None,
        head_std: float | None = None,
        preprocessing: Preprocessing | None = None,
        name: str = "",
    ) -> None:
        super().__init__()
        self.frozen = frozen
        self.head_std = head_std
        self.num_features = int(backbone.num_features if num_features is None else num_features)  # type: ignore[arg-type]
        self.preprocessing = preprocessing
        self.name = name
        self._references: tuple[dict[str, str], ...] | None = None
        if frozen:
            backbone.requires_grad_(False)
            backbone.eval()
            # past nn.Module.__setattr__, which would register it
            object.__setattr__(self, "backbone", backbone)
        else:
            self.backbone = backbone
        self.num_classes = num_classes
        self.transforms: Sequence[Transform] | nn.ModuleList = ()
        self.head: Head = (first := Linear(self.layout, num_classes))
        if head_std is not None:
            nn.init.normal_(first.weight, std=head_std)

    def use_head(self, head: Head, transforms: Sequence[Transform] | nn.ModuleList) -> None:
        """Put another head on the features, and transforms in front of it."""
        self.head = head
        if len(transforms):
            self.transforms = nn.ModuleList(transforms)

    @property
    def layout(self) -> tuple[Part, ...]:
        """What features (N, D) are concatenated from, in order; the widths add up to D."""
        if isinstance(self.backbone, SideBySide):
            return self.backbone.layout
        return (Part(self.name, self.num_features),)

    def images_are(self, preprocessing: Preprocessing) -> None:
        """Take it that images come normalised so, by which those of further backbones are made of them."""
        if isinstance(self.backbone, SideBySide):
            self.backbone.images_are(preprocessing)

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """Features (N, D) of normalised float images (N, 3, H, W); without gradients where frozen."""
        if not self.frozen:
            return self.backbone(images)
        with torch.no_grad():
            return self.backbone(images)

    def classify(self, features: torch.Tensor) -> torch.Tensor:
        """Float32 logits (N, ``num_classes``) of features (N, D), computed outside autocast."""
        with autocast_off(features.device.type):
            features = features.float()
            for transform in self.transforms:
                features = transform(features)
            return self.head(features)

    @property
    def needs_rows(self) -> bool:
        """Whether a transform or the head does in training what it does not do in an evaluation."""
        return any(one.needs_rows for one in (*self.transforms, self.head))

    def training_outputs(self, features: torch.Tensor, rows: Rows) -> list[torch.Tensor]:
        """What is given the loss, each float32 (n, ``num_classes``), in a training whose head ``needs_rows``.

        The last are the detector's outputs; there are none where the head learns by no gradients.
        """
        with autocast_off(features.device.type):
            features = features.float()
            for transform in self.transforms:
                features = transform(features, rows) if transform.needs_rows else transform(features)
            return self.head.training_outputs(features, rows)

    def forward(self, images: torch.Tensor, with_features: bool = False) -> Any:
        """Float32 logits (N, ``num_classes``) of normalised float images (N, 3, H, W).

        ``with_features`` gives them and the features (N, D).
        """
        features = self.features(images)
        logits = self.classify(features)
        return (logits, features) if with_features else logits

    @property
    def backbone_reference(self) -> dict[str, str] | None:
        """``{"name", "sha256"}`` of a frozen backbone, which checkpoints store in its place; None for tune.

        Of several, the names together and one hash of theirs.
        """
        if not self.frozen:
            return None
        each = [one["sha256"] for one in self.backbone_references]
        return {"name": self.name, "sha256": each[0] if len(each) == 1 else _hash_of_hashes(each)}

    @property
    def backbone_references(self) -> tuple[dict[str, str], ...]:
        """``{"name", "sha256"}`` of each backbone.

        The hashes are taken once, over all parameters and buffers (about a second per gigabyte).
        """
        if self._references is None:
            each = [(self.name, self.backbone)]
            if isinstance(self.backbone, SideBySide):
                each = [(one.name, one.module) for one, _ in self.backbone.each]
            self._references = tuple({"name": name, "sha256": weights_hash(one)} for name, one in each)
        return self._references

    def exposed(self) -> Classifier:
        """Itself, or of a probe a view that shares all tensors but registers the backbone as a submodule.

        Exporters and tracers see only registered submodules. The view is in eval mode.
        """
        if not self.frozen:
            return self
        view = Classifier(
            self.backbone,
            self.num_classes,
            num_features=self.num_features,
            preprocessing=self.preprocessing,
            name=self.name,
        )
        view.use_head(self.head, self.transforms)
        return view.eval()

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> Classifier:
        super()._apply(fn, recurse)
        if self.frozen:
            self.backbone._apply(fn, recurse)
        return self


class TimmFeatures(nn.Module):
    """Pooled features, before any classifier, of a module that has timm's interface."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module
        self.num_features = pooled_width(module)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Features (N, D) of images (N, 3, H, W)."""
        module: Any = self.module
        return module.forward_head(module.forward_features(images), pre_logits=True)


def pooled_width(module: nn.Module) -> int:
    """D of the features before the classifier of a module that has timm's interface."""
    # in some families they pass a hidden layer first, which has a width of its own
    return int(getattr(module, "head_hidden_size", None) or module.num_features)  # type: ignore[arg-type]


class OwnFeatures(nn.Module):
    """What a module's ``get_features(images)`` gives."""

    def __init__(self, module: nn.Module, input_size: tuple[int, int]) -> None:
        super().__init__()
        self.module = module
        width = getattr(module, "num_features", None)
        self.num_features = int(width) if isinstance(width, int) else self._measured(input_size)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Features (N, D) of images (N, 3, H, W)."""
        module: Any = self.module
        return module.get_features(images)

    def _measured(self, input_size: tuple[int, int]) -> int:
        was_training = self.module.training
        self.module.eval()
        parameter = next(self.module.parameters(), torch.empty(0))
        with torch.no_grad():
            features = self(parameter.new_zeros(1, 3, *input_size))
        self.module.train(was_training)
        return features.shape[1]


def feature_extractor(module: nn.Module, input_size: tuple[int, int]) -> nn.Module | None:
    """A backbone made of a whole classifier, or None where it offers no features.

    Args:
        module: Has ``get_features(x) -> (N, D)``, or timm's ``forward_features``,
            ``forward_head(x, pre_logits=True)`` and ``num_features``.
        input_size: (height, width) of the one image that is passed where ``get_features`` tells no width.
    """
    if callable(getattr(module, "get_features", None)):
        return OwnFeatures(module, input_size)
    timm_interface = ("forward_features", "forward_head", "num_features")
    if all(hasattr(module, attribute) for attribute in timm_interface):
        return TimmFeatures(module)
    return None


def fake_logits_of_classes(outputs: torch.Tensor, seen: Sequence[int]) -> torch.Tensor:
    """log(p / (1 - p)) of being fake, p the softmax probability of all seen classes but real together: (n,).

    Args:
        outputs: (n, classes); class 0 is real.
        seen: the classes that the softmax is over, 0 among them.
    """
    fakes = [i for i in seen if i != 0]
    return torch.logsumexp(outputs[:, fakes], dim=1) - outputs[:, 0]


def weights_hash(module: nn.Module) -> str:
    """SHA-256 (hex) over names, shapes and float32 values of all parameters and buffers of ``module``.

    That of several backbones is over theirs; that of one of which layers are read is its own.
    """
    if isinstance(module, SideBySide):
        own = [weights_hash(one.module) for one, _ in module.each]
        return own[0] if len(own) == 1 else _hash_of_hashes(own)
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        value = tensor.detach().cpu()
        if value.is_floating_point():
            value = value.float()
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.contiguous().numpy().data)
    return digest.hexdigest()


def _hash_of_hashes(hashes: Sequence[str]) -> str:
    return hashlib.sha256(" ".join(hashes).encode()).hexdigest()


def autocast_off(device_type: str) -> contextlib.AbstractContextManager[Any]:
    """A context without autocast on a kind of device."""
    if torch.amp.is_autocast_available(device_type):
        return torch.autocast(device_type, enabled=False)
    return contextlib.nullcontext()
