"""What the built-in sources of models have in common. Importing it, or asking for a card, imports no PyTorch."""

from __future__ import annotations

import logging
import re
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from aigenbench.errors import InputError, nearest
from aigenbench.models.preprocessing import Preprocessing
from aigenbench.models.registry import split_suffix
from aigenbench.models.weights.locate import RemoteFile, check_weights_arguments, locate
from aigenbench.models.weights.origin import check_origin, check_published

if TYPE_CHECKING:
    from torch import nn

    from aigenbench.models.probe import Classifier
    from aigenbench.models.weights.reading import StateDict

logger = logging.getLogger(__name__)

BackboneT = TypeVar("BackboneT", bound="nn.Module")

#: What stands before a published file's names in a backbone's.
_PREFIXES = ("", "visual.", "network.")


@dataclass(frozen=True)
class Card:
    """What is known of a model before it is built.

    Attributes:
        name: The source's own name of it, without ``_tune`` or ``_probe``.
        preprocessing: What its weights expect of their images.
        weights: The published files, any one of which serves, best first; empty where none are published.
        licence: The weights' licence as the source states it, or "" where it states none.
    """

    name: str
    preprocessing: Preprocessing
    weights: tuple[RemoteFile, ...] = ()
    licence: str = ""


@dataclass(frozen=True)
class Example:
    """A source's cheapest model: ``name`` with ``model_args`` takes images of ``input_size`` (height, width)."""

    name: str
    input_size: tuple[int, int]
    model_args: dict[str, Any] = field(default_factory=dict)


class ModelSource(ABC):
    """A family of named backbones. Calling it is what a user's model factory is: it builds, or declines."""

    #: The name before the slash.
    name: ClassVar[str]
    #: What the tests that hold for every source are run on.
    example: ClassVar[Example]
    #: See ``Classifier``.
    head_std: ClassVar[float | None] = None

    @abstractmethod
    def names(self) -> Sequence[str]:
        """All model names, without ``_tune`` and ``_probe``."""

    @abstractmethod
    def card(self, name: str) -> Card | None:
        """What is known of the model ``name`` (without suffix), or None where it is not this source's."""

    @abstractmethod
    def backbone(self, card: Card, state: StateDict | None, **model_args: Any) -> nn.Module:
        """The backbone with an attribute ``num_features`` and no head; randomly initialised where ``state`` is None.

        Raises:
            InputError: ``state`` belongs to another architecture, or an argument is unknown.
        """

    def __call__(
        self,
        model_name: str,
        pretrained: bool = True,
        num_classes: int = 1,
        *,
        weights: str | Path | None = None,
        weights_dir: str | Path | None = None,
        trusted: bool = False,
        **model_args: Any,
    ) -> Classifier | None:
        """Build ``model_name`` (``_tune``, ``_probe`` or plain, which is tune), or None where it is unknown here.

        Args:
            model_name: Without ``source/``.
            pretrained: Load weights; where false, nothing is read.
            num_classes: Logits per image.
            weights: A local file to load instead of the published ones.
            weights_dir: The folder of fetched weights; see ``weights.weights_folder``.
            trusted: The user vouches for ``weights``, so a TorchScript archive without a published hash may load.
            model_args: The source's own arguments.

        Raises:
            InputError: Weights are missing, unreadable or of another architecture; or an argument is unknown.
        """
        from aigenbench.models.probe import Classifier

        name, frozen = split_suffix(model_name)
        card = self.card(name)
        if card is None:
            return None
        check_weights_arguments(pretrained, weights)
        if pretrained:
            path = Path(weights).expanduser() if weights else locate(f"{self.name}/{name}", card.weights, weights_dir)
            backbone = self._loaded(card, path, bool(weights), trusted, model_args)
        else:
            backbone = self.backbone(card, None, **model_args)
        return Classifier(
            backbone,
            num_classes,
            frozen,
            head_std=self.head_std,
            preprocessing=self.preprocessing(card, backbone),
            name=f"{self.name}/{card.name}",
        )

    def _loaded(self, card: Card, path: Path, own: bool, trusted: bool, model_args: dict[str, Any]) -> nn.Module:
        """The backbone with the weights at ``path``, the user's ``own`` or published ones; says what of it is used."""
        from aigenbench.models.weights.reading import Use, check_finite, read_weights

        model = f"{self.name}/{card.name}"
        state = read_weights(path, card.weights, trusted=trusted and own)
        if own:
            check_origin(model, card, path, state, self.lookalikes(card))
        else:
            check_published(card, path)
        names = list(state)
        with load_errors(model, path):
            backbone = self.backbone(card, state, **model_args)
        tensors = backbone.state_dict()
        check_finite(tensors, dict(backbone.named_buffers()), f"weights: {path}")
        use = Use.of(tensors, names, _PREFIXES)
        if use.used < len(weights_of(tensors)):
            # names were converted, so no name says which tensor became which
            logger.info("weights of %s: all its %d tensors made of the %d of %s", model, len(tensors), len(names), path)
        else:
            logger.info("weights of %s: %s", model, use.told(path))
        return backbone

    def lookalikes(self, card: Card) -> Sequence[str]:
        """``source/name`` of models whose weights fit by name and shape and which compute otherwise."""
        return ()

    def preprocessing(self, card: Card, backbone: nn.Module) -> Preprocessing:
        """The card's, at the size that the backbone was really built for."""
        size = getattr(backbone, "input_size", None)
        return replace(card.preprocessing, input_size=size) if size else card.preprocessing


def weights_of(tensors: StateDict) -> StateDict:
    """All but BatchNorm's counters, which older files lack and nothing reads."""
    return {name: tensor for name, tensor in tensors.items() if not name.endswith("num_batches_tracked")}


class UnfitWeightsError(RuntimeError):
    """A state dict is not the model's; the message says in what."""


@contextmanager
def load_errors(model: str, path: Path) -> Iterator[None]:
    """Turn PyTorch's page about a state dict that does not fit into one line."""
    try:
        yield
    except RuntimeError as error:
        raise InputError(f"weights {path} are not those of {model}: {_fit_problem(str(error))}") from error


def _fit_problem(text: str) -> str:
    from aigenbench.models.weights.reading import first_names

    parts = []
    for label, pattern in (
        ("missing", r"Missing key\(s\) in state_dict: (.*?)\. *\n?$"),
        ("unexpected", r"Unexpected key\(s\) in state_dict: (.*?)\. *\n?$"),
    ):
        found = re.search(pattern, text, re.MULTILINE)
        if found:
            keys = re.findall(r'"([^"]+)"', found.group(1))
            parts.append(f"{label} {first_names(keys)}")
    sizes = re.findall(r"size mismatch for ([^:]+): .*?torch\.Size\((\[.*?\])\).*?torch\.Size\((\[.*?\])\)", text)
    if sizes:
        shown = ", ".join(f"{key} {theirs} for {ours}" for key, theirs, ours in sizes[:3])
        parts.append(f"other shapes (file for model): {shown}" + (" ..." if len(sizes) > 3 else ""))
    return "; ".join(parts) or " ".join(text.split())[:300]


def load_into(module: nn.Module, state: StateDict, assign: bool = False) -> None:
    """Load ``state`` strictly, its floating-point tensors in float32 (OpenAI publishes float16).

    A state dict of ``torch.save`` carries the modules' format versions; where they are lacking (safetensors), the
    outermost module is taken to be of today's.

    Args:
        module: What to load into.
        state: Its names and tensors.
        assign: Make the tensors the module's own instead of copying them.

    Raises:
        RuntimeError: It does not fit (``load_errors`` makes one line of it).
    """
    floats = OrderedDict((k, v.float() if v.is_floating_point() else v) for k, v in state.items())
    versions = getattr(state, "_metadata", None)
    if versions is None:
        versions = {"": getattr(module.state_dict(), "_metadata", {}).get("", {})}
    floats._metadata = versions  # type: ignore[attr-defined]
    module.load_state_dict(floats, strict=True, assign=assign)


def built_with(state: StateDict | None, build: Callable[[], BackboneT]) -> BackboneT:
    """``build()`` with ``state`` loaded strictly, or as it is where ``state`` is None.

    Raises:
        RuntimeError: ``state`` does not fit (``load_errors`` makes one line of it).
    """
    if state is None:
        return build()
    # initialising weights that are replaced at once would take seconds
    module = on_meta(build)
    load_into(module, state, assign=True)
    if any(tensor.is_meta for tensor in (*module.parameters(), *module.buffers())):
        module = build()  # it has buffers that no state dict holds
        load_into(module, state)
    return module


def on_meta(build: Callable[[], BackboneT]) -> BackboneT:
    """Build without memory and initialisation; on the CPU where the constructor reads tensors' values."""
    import torch

    try:
        with torch.device("meta"):
            return build()
    except NotImplementedError:  # torchvision's RegNets compute their widths with tensors
        return build()


def known_arguments(found: dict[str, Any], known: tuple[str, ...], where: str) -> None:
    """Raise an InputError with the nearest name where ``found`` holds a key that is not in ``known``."""
    for key in found:
        if key not in known:
            raise InputError(
                f"model_args: {where} takes no argument {key!r}; it takes {', '.join(known) or 'none'}"
                f"{nearest(key, known)}"
            )
