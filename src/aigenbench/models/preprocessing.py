"""What a backbone expects of its images: a plain record that travels with checkpoints and exports."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from aigenbench.errors import InputError, nearest

if TYPE_CHECKING:
    from torch import Tensor

INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos")

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Preprocessing:
    """How an RGB image in [0, 1] becomes a backbone's input: resized, then ``(image - mean) / std``.

    Attributes:
        mean: One value a channel (R, G, B), in units of [0, 1].
        std: One positive value a channel, likewise.
        input_size: (height, width) in pixels that the backbone's authors use it at.
        interpolation: How the backbone's authors resize; one of ``INTERPOLATIONS``.

    Raises:
        InputError: A value is of another shape or range.
    """

    mean: Triple = IMAGENET_MEAN
    std: Triple = IMAGENET_STD
    input_size: tuple[int, int] = (224, 224)
    interpolation: str = "bilinear"

    def __post_init__(self) -> None:
        object.__setattr__(self, "mean", _triple("mean", self.mean))
        object.__setattr__(self, "std", _triple("std", self.std))
        if min(self.std) <= 0:
            raise InputError(f"preprocessing: std must be positive in every channel, found {list(self.std)}")
        object.__setattr__(self, "input_size", _size(self.input_size))
        if self.interpolation not in INTERPOLATIONS:
            hint = nearest(str(self.interpolation), INTERPOLATIONS)
            raise InputError(
                f"preprocessing: interpolation must be one of {', '.join(INTERPOLATIONS)}, "
                f"found {self.interpolation!r}{hint}"
            )

    def to_dict(self) -> dict[str, Any]:
        """Primitives only (lists, numbers, strings), for JSON, checkpoints and exports."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Preprocessing:
        """Read what ``to_dict`` wrote; fields that are left out take their defaults.

        Raises:
            InputError: An unknown field, or a value of another shape or range.
        """
        return cls().overridden(record)

    @classmethod
    def of_timm(cls, config: Mapping[str, Any]) -> Preprocessing:
        """What timm's record of a model (``pretrained_cfg``) says; an interpolation that is none of ours is bicubic."""
        interpolation = config.get("interpolation")
        return cls(
            mean=tuple(config["mean"]),
            std=tuple(config["std"]),
            input_size=tuple(config["input_size"][-2:]),
            interpolation=interpolation if interpolation in INTERPOLATIONS else "bicubic",
        )

    def overridden(self, changes: Mapping[str, Any]) -> Preprocessing:
        """A copy in which the given fields are changed, such as ``{"mean": [0.5, 0.5, 0.5]}``.

        Raises:
            InputError: An unknown field, or a value of another shape or range.
        """
        if not isinstance(changes, Mapping):
            raise InputError(f"preprocessing: expected fields and their values, found {changes!r}")
        known = [field.name for field in fields(self)]
        for key in changes:
            if key not in known:
                raise InputError(
                    f"preprocessing: unknown field {key!r}; the fields are {', '.join(known)}{nearest(str(key), known)}"
                )
        return replace(self, **changes)

    def for_detector(self, input_size: tuple[int, int], overrides: Mapping[str, Any] | None) -> Preprocessing:
        """What a detector does whose backbone expects this: at its ``input_size``, with its config's mean and std.

        Raises:
            InputError: As of ``overridden``; or another size or an interpolation, which a config does not choose here.
        """
        changed = self.overridden({"input_size": list(input_size), **(overrides or {})})
        if overrides and "interpolation" in overrides:
            raise InputError(
                f"model.preprocessing.interpolation: {overrides['interpolation']!r} would change nothing, as images "
                "are brought to the model's size bilinearly, by the protocol; leave it out"
            )
        if changed.input_size != tuple(input_size):
            raise InputError(
                f"model.preprocessing.input_size: {list(changed.input_size)} contradicts model_input_size "
                f"{list(input_size)}, which decides; leave it out, or set model_input_size"
            )
        return changed


def normalised(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Levels 0..255 to ``(level / 255 - mean) / std``, in the memory layout and on the device of ``images``.

    Args:
        images: uint8 (N, 3, H, W).
        mean: one value a channel, of a float type, which is the result's; (1, 3, 1, 1).
        std: likewise.
    """
    import torch

    if not images.is_contiguous(memory_format=torch.channels_last):
        return images.to(mean.dtype).div_(255).sub_(mean).div_(std)
    n, channels, height, width = images.shape
    # as rows of pixels, along which one instruction works on many values: on a CPU less than half the time
    rows = images.permute(0, 2, 3, 1).reshape(n, height, width * channels)
    means, stds = (values.reshape(channels).repeat(width) for values in (mean, std))
    floats = rows.to(mean.dtype).div_(255).sub_(means).div_(stds)
    return floats.view(n, height, width, channels).permute(0, 3, 1, 2)


def _is_list(value: Any, length: int) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str) and len(value) == length


def _triple(name: str, value: Any) -> Triple:
    if _is_list(value, 3) and all(isinstance(v, int | float) and math.isfinite(v) for v in value):
        return (float(value[0]), float(value[1]), float(value[2]))
    raise InputError(f"preprocessing: {name} must be three finite numbers (R, G, B), found {value!r}")


def _size(value: Any) -> tuple[int, int]:
    if isinstance(value, int) and not isinstance(value, bool):
        value = (value, value)
    if _is_list(value, 2) and all(isinstance(v, int) and not isinstance(v, bool) and v > 0 for v in value):
        return (int(value[0]), int(value[1]))
    raise InputError(f"preprocessing: input_size must be a positive whole number or (height, width), found {value!r}")
