"""Training few of a backbone's weights: which tensors change, and by how many numbers."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from aigenbench.errors import InputError, nearest
from aigenbench.models.probe import Classifier
from aigenbench.models.tapping import SideBySide, blocks_of, stacks_of

KINDS: dict[str, dict[str, Any]] = {
    "all": {},
    "probe": {},
    "layernorm": {},
    "bias": {},
    "lora": {"rank": 8, "alpha": None, "where": "attention"},
    "svd": {"rank": 8, "where": "attention"},
    "last_blocks": {"n": 1},
}
"""Kinds, and their arguments with what they are by default."""
WHERE = {"attention": r"attn|attention", "mlp": r"mlp", "all": r"attn|attention|mlp"}
"""Which matrices of a block, by words in their names."""


@dataclass(frozen=True)
class Finetune:
    """What of a backbone trains.

    Attributes:
        kind: one of `KINDS`.
        arguments: of the kind.
    """

    kind: str
    arguments: Mapping[str, Any]

    @classmethod
    def of(cls, value: Any) -> Finetune:
        """From a config: a kind's name, or a mapping of the one name to its arguments.

        Raises:
            InputError: no kind has that name, or it has no such argument.
        """
        given = {value: {}} if isinstance(value, str) else value
        if not isinstance(given, Mapping) or len(given) != 1:
            raise InputError(
                f"model.finetune: expected one of {', '.join(KINDS)}, or one with its arguments: {value!r}"
            )
        ((kind, arguments),) = given.items()
        if kind not in KINDS:
            raise InputError(f"model.finetune: unknown {kind!r}; known: {', '.join(KINDS)}{nearest(str(kind), KINDS)}")
        arguments = {} if arguments is None else arguments
        known = KINDS[kind]
        if not isinstance(arguments, Mapping) or (unknown := [key for key in arguments if key not in known]):
            said = f"unknown {unknown[0]!r}{nearest(str(unknown[0]), known)}" if isinstance(arguments, Mapping) else ""
            raise InputError(f"model.finetune: {kind} takes {', '.join(known) or 'no arguments'}; {said or arguments}")
        values = {**known, **arguments}
        _check_values(kind, values)
        return cls(kind, values)


def _check_values(kind: str, values: Mapping[str, Any]) -> None:
    for key, least in (("rank", 0), ("n", 1)):
        if key in values and (type(values[key]) is not int or values[key] < least):
            raise InputError(f"model.finetune: {kind} {key} must be a whole number from {least}, found {values[key]!r}")
    if "where" in values and values["where"] not in WHERE:
        raise InputError(
            f"model.finetune: {kind} where: expected {', '.join(WHERE)}, found {values['where']!r}"
            f"{nearest(str(values['where']), WHERE)}"
        )
    alpha = values.get("alpha")
    if alpha is not None and (not isinstance(alpha, int | float) or isinstance(alpha, bool) or alpha <= 0):
        raise InputError(f"model.finetune: lora alpha must be above 0, found {alpha!r}")


class Change(nn.Module):
    """One tensor of a backbone that trains. Called, it gives the tensor in use."""

    def forward(self, fixed: Tensor) -> Tensor:
        """The tensor in use, of the shape of ``fixed``, the published one."""
        raise NotImplementedError


class Whole(Change):
    """Every number of it."""

    def __init__(self, fixed: Tensor) -> None:
        super().__init__()
        self.value = nn.Parameter(fixed.detach().clone())

    def forward(self, fixed: Tensor) -> Tensor:
        """The tensor itself."""
        return self.value


class LowRank(Change):
    """A matrix plus ``alpha / rank`` times a product of two thin ones (LoRA; Hu et al., arXiv 2106.09685).

    The product starts at zero.
    """

    def __init__(self, fixed: Tensor, rank: int, alpha: float | None) -> None:
        super().__init__()
        rows, columns = fixed.shape
        self.scale = 1.0 if alpha is None else alpha / rank
        self.down = nn.Parameter(torch.empty(rank, columns))
        self.up = nn.Parameter(torch.zeros(rows, rank))
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))

    def forward(self, fixed: Tensor) -> Tensor:
        """The sum."""
        return fixed + self.scale * (self.up @ self.down)


class Residual(Change):
    """The matrix's ``rank`` smallest singular values and their vectors; the rest stays (after arXiv 2411.15633).

    What the large ones carry, the backbone's knowledge, cannot be trained away.
    """

    def __init__(self, fixed: Tensor, rank: int) -> None:
        super().__init__()
        left, values, right = torch.linalg.svd(fixed.detach().float(), full_matrices=False)
        first = max(0, len(values) - rank)
        self.left = nn.Parameter(left[:, first:].clone())
        self.values = nn.Parameter(values[first:].clone())
        self.right = nn.Parameter(right[first:].clone())
        self.register_buffer("kept", (left[:, :first] * values[:first]) @ right[:first], persistent=False)

    def forward(self, fixed: Tensor) -> Tensor:
        """What is kept plus what trains."""
        return self.get_buffer("kept") + (self.left * self.values) @ self.right


class PartlyTrained(Classifier):
    """A classifier of which some of the backbone's tensors train, beside the head.

    The backbone itself stays as it was loaded: hidden as a probe's is, in eval mode, in no checkpoint. Registered is
    what trains, so optimizer, checkpoints and everything else see that alone.

    Args:
        base: the tuned classifier it is made of; its head and its backbone are used.
        finetune: what trains.

    Raises:
        InputError: the backbone has nothing of that kind.
    """

    def __init__(self, base: Classifier, finetune: Finetune) -> None:
        super().__init__(
            base.backbone,
            base.num_classes,
            frozen=True,
            num_features=base.num_features,
            preprocessing=base.preprocessing,
            name=base.name,
        )
        self.use_head(base.head, base.transforms)
        self.finetune = finetune
        fixed = dict(self.backbone.named_parameters())
        changed = {name: fixed[name] for name in _names(self.backbone, finetune, base.name)}
        self.changes = nn.ModuleDict({_key(name): _change(tensor, finetune) for name, tensor in changed.items()})
        self._changed = tuple(changed)

    def features(self, images: Tensor) -> Tensor:
        """Features (N, D) of normalised float images (N, 3, H, W)."""
        if not self._changed:
            return super().features(images)
        return functional_call(self.backbone, self.in_use(), (images,))

    def in_use(self) -> dict[str, Tensor]:
        """The tensors that differ from the backbone's own, by the backbone's names."""
        fixed = dict(self.backbone.named_parameters())
        return {name: self.changes[_key(name)](fixed[name]) for name in self._changed}

    def exposed(self) -> Classifier:
        """An ordinary classifier in eval mode with the changes merged into a copy of the backbone."""
        import copy

        backbone = copy.deepcopy(self.backbone)
        with torch.no_grad():
            own = dict(backbone.named_parameters())
            for name, tensor in self.in_use().items():
                own[name].copy_(tensor)
        view = Classifier(
            backbone,
            self.num_classes,
            num_features=self.num_features,
            preprocessing=self.preprocessing,
            name=self.name,
        )
        view.use_head(self.head, self.transforms)
        return view.eval()


def finetuned(model: nn.Module, finetune: Finetune, name: str) -> nn.Module:
    """The model of which ``finetune`` trains; ``all`` gives the model itself.

    Args:
        model: in its ``_tune`` form.
        finetune: what trains.
        name: the model's, for messages.

    Raises:
        InputError: the model is a user's own module or a probe, or has nothing of that kind.
    """
    if finetune.kind == "all":
        return model
    if not isinstance(model, Classifier):
        raise InputError(f"model.finetune {finetune.kind}: {name} is a module of its own, not a backbone with a head")
    if model.frozen:
        raise InputError(f"model.finetune {finetune.kind}: {name} is frozen; use its _tune form")
    return PartlyTrained(model, finetune)


def _names(backbone: nn.Module, finetune: Finetune, name: str) -> list[str]:
    """The tensors that train, in the backbone's order."""
    kind, arguments = finetune.kind, finetune.arguments
    if kind == "probe" or arguments.get("rank") == 0:
        return []
    if kind == "layernorm":
        found = [f"{path}.{one}" for path, norm in _norms(backbone) for one, _ in norm.named_parameters(recurse=False)]
    elif kind == "bias":
        found = [one for one, _ in backbone.named_parameters() if one.endswith("bias")]
    elif kind == "last_blocks":
        found = _of_last_blocks(backbone, arguments["n"], name)
    else:
        found = _matrices(backbone, arguments["where"])
        if not found:
            raise InputError(
                f"model.finetune {kind}: {name} has no blocks with {arguments['where']} matrices, as convolutional "
                "networks have none; use layernorm, bias or last_blocks"
            )
    if isinstance(backbone, SideBySide):
        found = [one for one in found if one not in backbone.idle]
    if not found:
        raise InputError(f"model.finetune {kind}: {name} has no such weights that its features depend on")
    return found


def _norms(backbone: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    kinds = (nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
    return ((path, module) for path, module in backbone.named_modules() if isinstance(module, kinds))


def _matrices(backbone: nn.Module, where: str) -> list[str]:
    """Matrices inside repeated blocks, so no pooling's and no projection's."""
    inside = tuple(f"{block}." for blocks in stacks_of(backbone) for block in blocks)
    pattern = re.compile(WHERE[where])
    return [
        name
        for name, tensor in backbone.named_parameters()
        if tensor.ndim == 2 and min(tensor.shape) > 1 and name.startswith(inside) and pattern.search(name)
    ]


def _of_last_blocks(backbone: nn.Module, n: int, name: str) -> list[str]:
    blocks = blocks_of(backbone)
    if n > len(blocks):
        raise InputError(f"model.finetune last_blocks: n {n}, but {name} has {len(blocks)} blocks")
    last = tuple(f"{path}." for path in blocks[-n:])
    return [one for one, _ in backbone.named_parameters() if one.startswith(last)]


def _change(tensor: Tensor, finetune: Finetune) -> Change:
    if finetune.kind == "lora":
        return LowRank(tensor, finetune.arguments["rank"], finetune.arguments["alpha"])
    if finetune.kind == "svd":
        return Residual(tensor, finetune.arguments["rank"])
    return Whole(tensor)


def _key(name: str) -> str:
    # the name of a module holds no dots
    return name.replace(".", "/")
