"""Backbones that give several parts of themselves in one forward pass, side by side."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from aigenbench.errors import InputError
from aigenbench.models.parts import Features, Part
from aigenbench.models.preprocessing import Preprocessing
from aigenbench.models.shapes import idle_parameters, run_once

_STACKS = ("blocks", "resblocks", "layers", "stages", "features")


class BlockOutputs(NamedTuple):
    """How to read what a backbone's blocks give; a source says it as the backbone's attribute ``block_outputs``.

    Attributes:
        prefix: how many of the tokens (N, T, C) stand before those of patches; None of maps (N, C, H, W).
        cls: whether the first token is a class token.
        norm: path of the final norm, which the backbone applies after its last block; "" where it has none.
        pooled_first: the norm comes after the mean of the tokens, not before it.
        channels_last: maps are (N, H, W, C).
    """

    prefix: int | None = None
    cls: bool = False
    norm: str = ""
    pooled_first: bool = False
    channels_last: bool = False

    @property
    def tokens(self) -> tuple[str, ...]:
        """What there is to choose from."""
        if self.prefix is None:
            return ("default",)
        return ("cls", "patches") if self.cls else ("patches",)


def stacks_of(backbone: nn.Module) -> list[list[str]]:
    """Repeated blocks: the paths, in order, of each list of them that is not inside another."""
    found: list[list[str]] = []
    for path, module in backbone.named_modules():
        named = path.rpartition(".")[2] in _STACKS and isinstance(module, nn.ModuleList | nn.Sequential)
        blocks = [f"{path}.{name}" for name, _ in module.named_children()]
        if named and len(blocks) > 1 and not any(path.startswith(f"{outer[0].rpartition('.')[0]}.") for outer in found):
            found.append(blocks)
    return found


def blocks_of(backbone: nn.Module) -> list[str]:
    """Paths of what a backbone is a row of: a transformer's blocks, a convolutional network's stages."""
    paths = [path for path, _ in backbone.named_modules()]

    def numbered(word: str) -> list[str]:
        return [path for path in paths if re.search(rf"(^|\.){word}\d$", path)]

    return numbered("layer") or max(stacks_of(backbone), key=len, default=[]) or numbered("(stage|block|s)")


def parts_of(backbone: nn.Module, name: str, features: Features, size: tuple[int, int]) -> Tapped:
    """A backbone that gives the parts asked for.

    Args:
        backbone: of a built-in source where layers or tokens are asked for.
        name: ``source/name``.
        features: what is asked for.
        size: (height, width) of the one image that tells widths.

    Raises:
        InputError: the backbone has no such layer or tokens; told are those it has.
    """
    outputs = getattr(backbone, "block_outputs", BlockOutputs())
    if features.is_default:
        return Tapped(backbone, [Part(name, int(backbone.num_features))], [], outputs)  # type: ignore[arg-type]
    paths = blocks_of(backbone)
    if not paths:
        raise InputError(f"model.features: {name} has no blocks or stages to take features after; leave layers out")
    layers = _layers(features.layers or (-1,), len(paths), name)
    tokens = _tokens(features.tokens, outputs, name)
    wanted = [Part(name, 0, layer, kind) for layer in layers for kind in tokens]
    measured, _ = run_once(Tapped(backbone, wanted, paths, outputs), size)
    return Tapped(
        backbone,
        [Part(name, vector.shape[1], part.layer, part.tokens) for part, vector in zip(wanted, measured, strict=True)],
        paths,
        outputs,
    )


def _layers(asked: Sequence[int], n: int, name: str) -> list[int]:
    for layer in asked:
        if not -n <= layer < n:
            raise InputError(
                f"model.features: {name} has no layer {layer}; it has {n}, from 0 to {n - 1} (or -{n} to -1)"
            )
    layers = [layer % n for layer in asked]
    if twice := [asked[i] for i, layer in enumerate(layers) if layer in layers[:i]]:
        raise InputError(f"model.features: layer {twice[0]} of {name} is named twice, as {twice[0] % n} of {n}")
    return layers


def _tokens(asked: str, outputs: BlockOutputs, name: str) -> tuple[str, ...]:
    has = outputs.tokens
    chosen = {"default": has[:1], "both": ("cls", "patches")}.get(asked, (asked,))
    if not set(chosen) <= set(has):
        told = "a map, whose mean is tokens: default" if has == ("default",) else f"tokens: {', '.join(has)}"
        raise InputError(f"model.features: {name} has no tokens: {asked}; its layers give {told}")
    return chosen


class Tapped(nn.Module):
    """A backbone from which several parts are taken in one forward pass.

    Args:
        module: the backbone.
        parts: what it is to give, in order.
        paths: of its blocks.
        outputs: how to read what those give.
    """

    def __init__(self, module: nn.Module, parts: Sequence[Part], paths: Sequence[str], outputs: BlockOutputs) -> None:
        super().__init__()
        self.module = module
        self.parts, self.outputs, self._paths = tuple(parts), outputs, tuple(paths)
        self.arguments: dict[str, str] = {}
        """Of its factory, those that change what it computes beside its weights."""

    @property
    def name(self) -> str:
        """``source/name`` of the backbone."""
        return self.parts[0].backbone

    def forward(self, images: Tensor, wanted: Container[Part] | None = None) -> list[Tensor]:
        """Vectors (N, width) of the parts, or of those ``wanted``, of images (N, 3, H, W) normalised for it."""
        parts = [part for part in self.parts if wanted is None or part in wanted]
        seen: dict[Part, Tensor] = {}

        def keep(taken: list[Part], output: Tensor) -> None:
            # with gradients, everything is kept anyhow, and a hook that computes would trouble checkpointing
            later = torch.is_grad_enabled() and self.outputs.prefix is not None
            seen.update({part: output if later else self._vector(output, part) for part in taken})

        taps: dict[str, list[Part]] = {}
        for part in parts:
            if part.layer is not None:
                taps.setdefault(self._paths[part.layer], []).append(part)
        with _tapped(self.module, taps, keep):
            own = self.module(images)
        return [own if part.layer is None else self._finished(seen.get(part), part) for part in parts]

    def _finished(self, seen: Tensor | None, part: Part) -> Tensor:
        return seen if seen is not None and seen.ndim == 2 else self._vector(seen, part)

    def _vector(self, output: Tensor | None, part: Part) -> Tensor:
        """(N, width), of tokens (N, T, C) or a map."""
        prefix = self.outputs.prefix
        if not isinstance(output, Tensor) or output.ndim != (4 if prefix is None else 3):
            raise InputError(
                f"model.features: {part.backbone} cannot be read after layer {part.layer}, which gives neither a map "
                "nor tokens that are known; leave layers out"
            )
        if prefix is None:
            return _mean(output, (1, 2) if self.outputs.channels_last else (2, 3))
        if part.tokens == "cls":
            return self._normed(output[:, 0])
        if self.outputs.pooled_first:
            return self._normed(_mean(output[:, prefix:], (1,)))
        return _mean(self._normed(output[:, prefix:]), (1,))

    def _normed(self, tokens: Tensor) -> Tensor:
        norm = self.outputs.norm
        return self.module.get_submodule(norm)(tokens) if norm else tokens


def _mean(values: Tensor, dims: tuple[int, ...]) -> Tensor:
    return values.mean(dims, dtype=torch.promote_types(values.dtype, torch.float32))


@contextmanager
def _tapped(
    module: nn.Module, taps: Mapping[str, list[Part]], keep: Callable[[list[Part], Tensor], None]
) -> Iterator[None]:
    """While the context lasts, ``keep`` is told what the modules at the paths give in this thread."""
    thread = threading.get_ident()

    def hook(taken: list[Part]) -> Callable[..., None]:
        return lambda _module, _inputs, output: keep(taken, output) if threading.get_ident() == thread else None

    handles = [module.get_submodule(path).register_forward_hook(hook(taken)) for path, taken in taps.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


class SideBySide(nn.Module):
    """Parts of one or more backbones, concatenated: features (N, D).

    Args:
        backbones: in order; a part's name is another in each.
        preprocessings: what each expects of its images.
    """

    def __init__(self, backbones: Sequence[Tapped], preprocessings: Sequence[Preprocessing]) -> None:
        super().__init__()
        self.backbones = nn.ModuleList(backbones)
        self.preprocessings = tuple(preprocessings)
        self.layout = tuple(part for one in backbones for part in one.parts)
        self.num_features = sum(part.width for part in self.layout)
        self.idle: frozenset[str] = frozenset()
        """Names of parameters that the features do not depend on."""
        # on the processor also where weights are not made yet
        for name in ("scales", "shifts"):
            self.register_buffer(name, torch.zeros(len(backbones), 1, 3, 1, 1, device="cpu"), persistent=False)
        self.images_are(self.preprocessings[0])

    @property
    def each(self) -> list[tuple[Tapped, Preprocessing]]:
        """The backbones with what they expect of their images."""
        tapped = [one for one in self.backbones if isinstance(one, Tapped)]
        return list(zip(tapped, self.preprocessings, strict=True))

    def images_are(self, preprocessing: Preprocessing) -> None:
        """Take it that images come normalised so; every further backbone's are made of them."""
        given = (preprocessing.mean, preprocessing.std)
        self._alike = [i == 0 or given == (own.mean, own.std) for i, own in enumerate(self.preprocessings)]
        scales, shifts = self.get_buffer("scales"), self.get_buffer("shifts")
        mean, std = (np.array(values) for values in given)
        for i, own in enumerate(self.preprocessings):
            # a device, for where modules are built on none
            scales[i] = torch.tensor(std / own.std, device=scales.device).view(1, 3, 1, 1)
            shifts[i] = torch.tensor((mean - own.mean) / own.std, device=scales.device).view(1, 3, 1, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Features (N, D) of images (N, 3, H, W) that are normalised for the first backbone."""
        return torch.cat(list(self.vectors(lambda i: self.made_of(images, i), self.layout).values()), 1)

    def vectors(self, images: Callable[[int], Tensor], wanted: Container[Part]) -> dict[Part, Tensor]:
        """Wanted parts, each (N, width); ``images`` gives a backbone's, normalised for it, by its number."""
        found: dict[Part, Tensor] = {}
        for i, (one, _) in enumerate(self.each):
            if parts := [part for part in one.parts if part in wanted]:
                found |= zip(parts, one(images(i), wanted), strict=True)
        return found

    def rest_idle(self, size: tuple[int, int]) -> None:
        """Let parameters that the features do not depend on, as of blocks after the last that is read, not train.

        Processes that train together wait for the gradients of all that do.

        Args:
            size: (height, width) of the one image that tells which.
        """
        self.idle = frozenset(idle_parameters(self, size))
        for name in self.idle:
            self.get_parameter(name).requires_grad_(False)

    def made_of(self, images: Tensor, i: int) -> Tensor:
        """Images normalised for backbone ``i``, of those normalised for the first."""
        if self._alike[i]:
            return images
        scale, shift = self.get_buffer("scales")[i], self.get_buffer("shifts")[i]
        return (images * scale + shift).to(images.dtype)
